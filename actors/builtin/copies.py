"""Copy a tree without following links, so that nothing outside of it can come along.

Files are opened relative to their folder's handle and without following links: nobody can swap a link in
between check and copy.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

NOTHING: frozenset[str] = frozenset()


def copy_tree(
    origin: Path, target: Path, left_out: Counter[str], *, skip: frozenset[str] = NOTHING, max_file_bytes: int
) -> Iterator[tuple[str, int]]:
    """Copy the file or folder `origin` into `target`, answering (relative path, bytes) of each file copied.

    Links, special files, unprintable names, folders named in `skip` and virtual environments are counted
    in `left_out` instead. The caller stops the iteration when it has enough.
    """
    target.mkdir(parents=True, exist_ok=True)
    if origin.is_file():
        yield from _single(origin, target, left_out, max_file_bytes)
        return
    for walked, folders, names, handle in os.fwalk(origin, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if _is_own(name, handle, skip, left_out))
        place = target / os.path.relpath(walked, origin)
        place.mkdir(exist_ok=True)
        for name in sorted(names):
            size = _copy(name, handle, place, left_out, max_file_bytes)
            if size is not None:
                yield (place / name).relative_to(target).as_posix(), size


def _single(
    origin: Path, target: Path, left_out: Counter[str], max_file_bytes: int
) -> Iterator[tuple[str, int]]:
    handle = os.open(origin.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        size = _copy(origin.name, handle, target, left_out, max_file_bytes)
    finally:
        os.close(handle)
    if size is not None:
        yield origin.name, size


def _is_own(name: str, folder: int, skip: frozenset[str], left_out: Counter[str]) -> bool:
    if _is_link(name, folder):
        left_out["symbolic links"] += 1
    elif name in skip or not name.isprintable() or _is_environment(name, folder):
        left_out["folders that are not source"] += 1
    else:
        return True
    return False


def _is_environment(name: str, folder: int) -> bool:
    return os.access(f"{name}/pyvenv.cfg", os.F_OK, dir_fd=folder, follow_symlinks=False)


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _copy(name: str, folder: int, place: Path, left_out: Counter[str], max_file_bytes: int) -> int | None:
    """Copy one file; answers its size, or None after counting why not."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        left_out["symbolic links" if _is_link(name, folder) else "unreadable files"] += 1
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not name.isprintable():
            left_out["special files"] += 1
        elif status.st_size > max_file_bytes:
            left_out["files that are too large"] += 1
        else:
            with (place / name).open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
            (place / name).chmod(0o700 if status.st_mode & 0o100 else 0o600)
            return status.st_size
    return None
