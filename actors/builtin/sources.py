"""A private copy of what an agent may look at, so that tools never touch the original.

Regular files only: links, devices, unprintable names and folders that hold no source of the project
(environments, caches, `.git`) are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from actors.builtin import repositories
from actors.builtin.copies import copy_tree
from actors.builtin.places import refuse
from actors.builtin.repositories import Repository
from actors.runners.base import Context

MAX_FILES = 20_000
MAX_TOTAL_BYTES = 500_000_000
MAX_FILE_BYTES = 50_000_000
FOREIGN = frozenset(
    [
        *(".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", ".eggs", "node_modules", "__pycache__"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".callboard"),
    ]
)
"""Folders that hold no source of the project itself."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was copied: `root` is the copy, `python` the Python files in it as relative paths."""

    name: str
    root: Path
    files: int
    python: tuple[str, ...]
    left_out: dict[str, int]
    repository: Repository | None = None

    def lines(self) -> int:
        """How many lines the Python files have."""
        return sum((self.root / path).read_bytes().count(b"\n") for path in self.python)

    def about(self) -> str:
        """One sentence on what was looked at, for a report."""
        left = ", ".join(f"{count} {what}" for what, count in sorted(self.left_out.items()))
        return f"{self.files} files, {len(self.python)} of them Python." + (
            f" Left out: {left}." if left else ""
        )


def take(
    place: Path,
    context: Context,
    *,
    parameter: str,
    allowed: list[Path],
    ref: str | None = None,
    history: bool = False,
) -> Source:
    """Copy the file, folder, checkout or bundle at `place` into `workspace/source`.

    With `ref`, what that commit holds is taken instead of the files as they are. `history`: keep a mirror
    of the history with it. Refuses `parameter` if there is nothing to copy.
    """
    bundled = place.is_file() and repositories.is_history(place)
    repository = None
    origin = place
    if ref or history or bundled:
        repository = repositories.mirror(place, context, parameter=parameter, allowed=allowed)
    if repository and (ref or bundled):
        commit = repository.commit(ref or "HEAD", parameter="ref" if ref else parameter)
        origin = repository.check_out(commit, context.workspace / "checkout")
    return _copied(place.name, origin, context, parameter, repository)


def _copied(
    name: str, origin: Path, context: Context, parameter: str, repository: Repository | None
) -> Source:
    root = context.workspace / "source"
    left_out: Counter[str] = Counter()
    copied: list[str] = []
    total = 0
    for path, size in copy_tree(origin, root, left_out, skip=FOREIGN, max_file_bytes=MAX_FILE_BYTES):
        copied.append(path)
        total += size
        if len(copied) > MAX_FILES or total > MAX_TOTAL_BYTES:
            limits = f"{MAX_FILES:,} files or {MAX_TOTAL_BYTES // 1_000_000} MB"
            refuse(parameter, f"`{name}` has more than {limits}; choose a folder inside it.")
        if len(copied) % 200 == 0:
            context.checkpoint_due()
    if not copied:
        refuse(parameter, f"There are no files to look at in `{name}`.")
    python = tuple(sorted(path for path in copied if path.endswith((".py", ".pyi"))))
    source = Source(
        name=name,
        root=root,
        files=len(copied),
        python=python,
        left_out=dict(left_out),
        repository=repository,
    )
    context.log(f"Copied {source.about()}", files=source.files, bytes=total)
    return source
