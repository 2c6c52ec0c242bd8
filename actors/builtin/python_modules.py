"""Find the Python module a job names, with the project around it, in the folders agents may execute."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from actors.builtin import places, sources
from actors.builtin.python_outline import Outline, outline
from actors.builtin.sources import FOREIGN, Source
from actors.runners.base import Context, Work

MOST_FILES_SEARCHED = 50_000


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module in a private copy of its project; `path` is relative to that copy."""

    path: str
    source: Source

    @property
    def dotted(self) -> str:
        """The name it is imported by."""
        return dotted(self.path)

    @property
    def text(self) -> str:
        """Its source; raises as `Path.read_text` does."""
        return (self.source.root / self.path).read_text(encoding="utf-8")

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a folder."""
        return self.path.endswith("__init__.py")

    @property
    def folder(self) -> str:
        """The folder it lies in, relative to the copy; `.` for the top."""
        return Path(self.path).parent.as_posix()


def take(work: Work, context: Context) -> Module:
    """Find the module that `module` (and `path`) name and copy its project."""
    context.stage("prepare", "Looking for the module")
    context.progress(2, "Looking for the module")
    file, project, allowed = find(work)
    source = sources.take(project, context, parameter="module", allowed=allowed)
    return Module(path=file.relative_to(project).as_posix(), source=source)


def find(work: Work) -> tuple[Path, Path, list[Path]]:
    """The module's file, its project, and the roots. Looks inside `path`, without it in all execute roots."""
    allowed = places.roots(work, places.EXECUTE)
    where = [places.executable(work, "path")] if work.parameters.get("path") else allowed
    module = str(work.parameters["module"])
    matches = sorted({match for folder in where for match in _files_called(module, folder)})
    if not matches:
        places.refuse(
            "module", f"There is no Python module `{module}` in {', '.join(f'`{root}`' for root in where)}."
        )
    if len(matches) > 1:
        listed = ", ".join(f"`{match}`" for match in matches[:5])
        places.refuse(
            "module", f"`{module}` could be {listed}; say which with `path` or a longer module name."
        )
    return matches[0], places.project_of(matches[0], allowed), allowed


def outlined(source: Source, path: str) -> Outline:
    """What the module offers; refuses `module` if it is not readable as Python."""
    try:
        return outline((source.root / path).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError, FileNotFoundError) as error:
        return places.refuse("module", f"`{path}` is not readable as Python: {error}")


def parsed(module: Module) -> ast.Module:
    """The module's syntax tree; refuses `module` if it is not readable as Python."""
    try:
        return ast.parse(module.text)
    except (SyntaxError, ValueError, RecursionError, FileNotFoundError) as error:
        return places.refuse("module", f"`{module.path}` is not readable as Python: {error}")


def dotted(path: str) -> str:
    """`src/a/b.py` is imported as `a.b`."""
    return path.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".")


def _files_called(module: str, folder: Path) -> list[Path]:
    """Files below `folder` that `a.b`, `a/b.py` or `b` may mean. Links are not followed."""
    wanted = module.removesuffix(".py").replace(".", "/").strip("/")
    endings = (f"/{wanted}.py", f"/{wanted}/__init__.py")
    matches: list[Path] = []
    searched = 0
    for walked, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in FOREIGN]
        searched += len(names)
        if searched > MOST_FILES_SEARCHED:
            places.refuse("path", f"`{folder}` is too large to search; give the project's folder as `path`.")
        matches += [Path(walked, name) for name in names if f"{walked}/{name}".endswith(endings)]
    return [match for match in matches if match.is_file() and not match.is_symlink()]
