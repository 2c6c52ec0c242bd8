"""Keep the files an agent left in `workspace/artifacts/`, and nothing else that a name may lead to.

Symbolic links, hard links, pipes, sockets and devices are left alone; every open goes through the
descriptor of its folder, so no path is ever followed out of the workspace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from actors.runners.base import Context
from app.errors import JobError, PermanentError

MAX_FILES = 100
MAX_BYTES = 20_000_000
MAX_ENTRIES = 5_000
MAX_DEPTH = 8


@contextmanager
def collecting(context: Context) -> Iterator[None]:
    """Collect when the block ends, by a JobError too; not when the attempt was stopped."""
    try:
        yield
    except JobError:
        collect(context)
        raise
    collect(context)


def collect(context: Context) -> int:
    """Keep every regular file below `artifacts/`, named by its path there; answers how many were kept.

    What is too large or one too many is left out with a warning in the log.
    """
    kept = 0
    for name, content in regular_files(context.workspace / "artifacts"):
        if kept == MAX_FILES:
            _warn(context, f"Only {MAX_FILES} files are kept of a job; the rest was left out.")
            break
        if content is None:
            _warn(context, f"{name} was left out: no regular file of its own, or over {MAX_BYTES >> 20} MB.")
            continue
        try:
            context.artifact(name, content)
        except PermanentError as error:
            _warn(context, f"{name} was left out: {error.message}")
            continue
        kept += 1
    return kept


def regular_files(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    """`(relative path, content)` of everything below `folder`; None for what must not be read."""
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    yield from islice(_walk(root, "", MAX_DEPTH), MAX_ENTRIES)


def read_inside(workspace: Path, relative: str) -> bytes | None:
    """The content of the regular file `relative` in `workspace`; None if a link or `..` is on the way."""
    *folders, name = Path(relative).parts or ("",)
    if Path(relative).is_absolute() or ".." in (*folders, name):
        return None
    opened = [os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for folder in folders:
            opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        return _content(name, opened[-1])
    except OSError:
        return None
    finally:
        for fd in opened:
            os.close(fd)


def _walk(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, bytes | None]]:
    """Go through `folder` and close it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + printable(entry.name)
                if not entry.is_dir(follow_symlinks=False):
                    yield name, _content(entry.name, folder)
                elif depth:
                    below = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                    yield from _walk(below, name + "/", depth - 1)
    finally:
        os.close(folder)


def printable(name: str) -> str:
    """A file name as text: undecodable bytes and control characters become `_`."""
    return "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "_" for c in name)


def _content(name: str, folder: int) -> bytes | None:
    """What is in the file, if it is a regular one with this single name and not too large."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with open(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size > MAX_BYTES:
            return None
        return file.read(MAX_BYTES)


def _warn(context: Context, message: str) -> None:
    context.log(message, level="warning", source="runner")
