"""Which files of a folder, an upload or an archive define agents, and their texts; nothing is parsed here.

    <team>/.claude/agents/*.md     wherever they lie below the folder; where there are some, nothing else counts
    *.md                           else the markdown files that lie highest
    callboard.yaml                 beside or above them: keys for files that may not be touched

Only the standard library is imported: every start asks for these files, and nearly always nothing has changed.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from app.errors import Invalid

ROOT = ".claude/agents"
SIDECARS = ("callboard.yaml", "callboard.yml")
MOST_FILES = 1000
MOST_LOOKED_AT = 50_000
LARGEST_BYTES = 2_000_000
LARGEST_TOTAL = 50_000_000
LONGEST_PATH = 500

_SKIPPED = {"node_modules", "venv", "__pycache__", "__MACOSX", "site-packages"}
_DOCUMENTS = {
    "AGENTS",
    "CLAUDE",
    "GEMINI",
    "CHANGELOG",
    "CONTRIBUTING",
    "LICENSE",
    "SECURITY",
    "CODE_OF_CONDUCT",
}
_ODD_NAME = re.compile(r"[\x00-\x1f\x7f]|^/|^[A-Za-z]:|(^|/)\.\.(/|$)")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that may define an agent: its text, or why there is none."""

    path: str
    """With slashes; absolute for what lies in a folder of this machine."""
    text: str = ""
    problem: str | None = None
    chosen: bool = False
    """It is known to define an agent; else its path decides, among the others'."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path above it; empty for a bare name."""
        return self.path.rpartition("/")[0]

    @property
    def is_sidecar(self) -> bool:
        """It holds keys for other files."""
        return self.name in SIDECARS


def definitions(paths: Iterable[str], *, below: str = "") -> list[str]:
    """The paths that define agents, sorted; in which folders the path `below` itself lies is of no matter."""
    found = [path for path in paths if _may_define(path.removeprefix(below))]
    rooted = [path for path in found if f"/{ROOT}/" in f"/{path}"]
    highest = min((path.count("/") for path in found), default=0)
    return sorted(rooted or (path for path in found if path.count("/") == highest))


def _may_define(path: str) -> bool:
    *folders, name = path.split("/")
    stem, dot, ending = name.rpartition(".")
    if not dot or ending.lower() != "md" or name.startswith("."):
        return False
    return not (stem in _DOCUMENTS or stem.lower() == "readme" or _SKIPPED.intersection(folders))


def team_of(path: str) -> str | None:
    """The team by the path: the folder above `.claude/agents`, else the file's own; None without either."""
    above, found, _ = f"/{path}".rpartition(f"/{ROOT}/")
    folders = [part for part in (above if found else path.rpartition("/")[0]).split("/") if part]
    if not found and len(folders) > 1 and folders[-1] == "agents":
        folders.pop()
    team = re.sub(r"[^A-Za-z0-9]+", "_", folders[-1]).strip("_").upper()[:50] if folders else ""
    return team or None


# -- folders of this machine


def files_of(folder: Path) -> list[Path]:
    """The definitions of a folder and the sidecars that belong to them; a single file is its own definition.

    Raises Invalid for what is not there, or for far too much.
    """
    place = folder.resolve()
    if place.is_file():
        return [*_sidecars_above(place.parent), place]
    if not place.is_dir():
        raise Invalid(f"{folder} is no folder")
    seen = [path.as_posix() for path in _walk(place)]
    chosen = definitions(seen, below=place.as_posix())
    if len(chosen) > MOST_FILES:
        raise Invalid(f"{folder} has {len(chosen)} definitions; at most {MOST_FILES} are read at once")
    inside = sorted(path for path in seen if path.rpartition("/")[2] in SIDECARS)
    return [*_sidecars_above(place), *(Path(path) for path in (*inside, *chosen))]


def read(folder: Path) -> list[File]:
    """The files of `files_of` with their texts."""
    place = folder.resolve()
    inside = place.parent if place.is_file() else place
    return [replace(_read(path, inside), chosen=path.name not in SIDECARS) for path in files_of(folder)]


def _walk(place: Path) -> Iterator[Path]:
    count = 0
    for here, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if _worth_a_look(name))
        for name in sorted(names):
            if name.lower().endswith(".md") or name in SIDECARS:
                count += 1
                if count > MOST_LOOKED_AT:
                    raise Invalid(
                        f"{place} has more than {MOST_LOOKED_AT} markdown files; name the folder of agents"
                    )
                yield Path(here, name)


def _worth_a_look(folder: str) -> bool:
    return folder == ".claude" or not (folder.startswith(".") or folder in _SKIPPED)


def _sidecars_above(place: Path) -> list[Path]:
    """Those above `place` that can mean it, the highest first: up to the repository's root, never a stranger's."""
    reach = 3 if place.as_posix().endswith(f"/{ROOT}") else 1
    owner = place.stat().st_uid
    found = [above / name for above in place.parents[:reach] for name in SIDECARS if (above / name).is_file()]
    return [path for path in reversed(found) if path.lstat().st_uid == owner]


def _read(path: Path, inside: Path) -> File:
    name = path.as_posix()
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            return File(path=name, problem="it is a link that leads out of the folder")
        if not path.is_file():
            return File(path=name, problem="it is no plain file")
        with path.open("rb") as file:
            return decoded(name, file.read(LARGEST_BYTES + 1))
    except OSError as wrong:
        return File(path=name, problem=f"it cannot be read: {wrong.strerror}")


def decoded(path: str, data: bytes) -> File:
    """A file of these bytes: UTF-8, or UTF-16 if it says so by its first bytes."""
    if len(data) > LARGEST_BYTES:
        return File(path=path, problem=f"it is larger than {LARGEST_BYTES:,} bytes")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        return File(path=path, text=data.decode(encoding))
    except UnicodeDecodeError as wrong:
        return File(path=path, problem=f"it is not {encoding.upper()} text (byte {wrong.start + 1})")


# -- what somebody sends


def received(path: str, data: bytes) -> list[File]:
    """What an uploaded file brings: itself, or, of a zip, what is inside. Nothing is ever written to a disk.

    A file without a folder was picked by hand, and is meant.
    """
    if data.startswith(b"PK") or path.lower().endswith(".zip"):
        return unpacked(path, data)
    return [replace(decoded(path, data), chosen="/" not in path and _may_define(path))]


def demand_path(path: str) -> str:
    """A path as it may be shown and kept; Invalid for what leads elsewhere."""
    plain = path.replace("\\", "/").removeprefix("./")
    if not plain or len(plain) > LONGEST_PATH or _ODD_NAME.search(plain):
        raise Invalid(f"the path {path[:100]!r} is not accepted: it must lead to a file below a folder")
    return plain


def unpacked(name: str, data: bytes) -> list[File]:
    """The definitions and sidecars in a zip; Invalid for one that cannot be opened or grows beyond all limits."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as wrong:
        raise Invalid(f"{name} is no zip archive: {wrong}") from wrong
    with archive:
        entries = {
            entry.filename.replace("\\", "/"): entry for entry in archive.infolist() if not entry.is_dir()
        }
        chosen = [path for path in entries if path.rpartition("/")[2] in SIDECARS] + definitions(entries)
        if len(chosen) > MOST_FILES:
            raise Invalid(f"{name} has {len(chosen)} definitions; at most {MOST_FILES} are read at once")
        room, files = LARGEST_TOTAL, []
        for path in chosen:
            file = _unpacked(archive, path, entries[path])
            files.append(replace(file, chosen=not file.is_sidecar))
            room -= len(files[-1].text)
            if room < 0:
                raise Invalid(f"{name} unpacks to more than {LARGEST_TOTAL:,} characters")
        return files


def _unpacked(archive: zipfile.ZipFile, path: str, entry: zipfile.ZipInfo) -> File:
    if _ODD_NAME.search(path) or len(path) > LONGEST_PATH:
        return File(path=PurePosixPath(path).name, problem="its path leads out of the archive")
    if stat.S_IFMT(entry.external_attr >> 16) == stat.S_IFLNK:
        return File(path=path, problem="it is a link; links are not followed")
    try:
        with archive.open(entry) as file:
            return decoded(
                path, file.read(LARGEST_BYTES + 1)
            )  # what the entry says of its size is not believed
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as wrong:
        return File(path=path, problem=f"it cannot be unpacked: {wrong}")
