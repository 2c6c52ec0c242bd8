"""Artifacts beside the dump: the folder they lie in as a tar, and the way back.

Only where they are kept in a folder of this machine: a bucket keeps its own copies, and with `postgres:` they are in
the dump. A file that is there already stays as it is, because artifacts never change.
"""

from __future__ import annotations

import os
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from app.ops.backups.sealed import Damaged


def folder_of(store: str) -> Path | None:
    """The folder behind the URL of an artifact store; None where they are kept elsewhere, or none was ever kept."""
    parts = urlsplit(store)
    folder = Path(parts.path) if parts.scheme in ("", "file", "local") else None
    return folder if folder and folder.is_dir() else None


def size(folder: Path) -> tuple[int, int]:
    """How many files there are and how many bytes they have."""
    sizes = [_size(file) for file in _files(folder)]
    return len(sizes), sum(sizes)


def pack(folder: Path, target: IO[bytes]) -> tuple[int, int]:
    """Write the files as a tar; answers how many, and how many bytes. One that goes meanwhile is left out."""
    count = total = 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for file in _files(folder):
            with suppress(FileNotFoundError), file.open("rb") as content:
                about = tar.gettarinfo(arcname=str(file.relative_to(folder)), fileobj=content)
                about.uid = about.gid = 0
                about.uname = about.gname = ""
                tar.addfile(about, content)
                count, total = count + 1, total + about.size
    return count, total


def unpack(source: IO[bytes], folder: Path) -> int:
    """Put the files of a tar into their places where none are yet; answers how many."""
    count = 0
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for about in tar:
            path = PurePosixPath(about.name)
            if not about.isreg() or path.is_absolute() or ".." in path.parts:
                raise Damaged(f"the artifacts have an entry that is no file of ours: {about.name!r}")
            count += _put(tar, about, folder / path)
    return count


def _put(tar: tarfile.TarFile, about: tarfile.TarInfo, there: Path) -> bool:
    if there.exists():
        return False
    content = tar.extractfile(about)
    assert content is not None
    there.parent.mkdir(parents=True, exist_ok=True)
    part = there.with_name(f".{there.name}-{os.getpid()}")
    with part.open("wb") as file:
        while data := content.read(1 << 20):
            file.write(data)
    part.replace(there)
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
