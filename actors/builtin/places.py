"""Where agents may look: paths from parameters, confined to the configured roots.

Symbolic links are resolved before the check, so a link inside a root that leads out of it is outside.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from actors.runners.base import Work
from app.errors import PermanentError

READ = "workspace_roots"
EXECUTE = "execute_roots"

PROJECT_MARKS = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "tox.ini", ".git")


def readable(work: Work, parameter: str) -> Path:
    """The file or folder that `parameter` names, if agents may read it."""
    return confined(str(work.parameters[parameter]), roots(work, READ), parameter=parameter, setting=READ)


def executable(work: Work, parameter: str) -> Path:
    """The file or folder that `parameter` names, if test agents may execute its code."""
    raw = str(work.parameters[parameter])
    return confined(raw, roots(work, EXECUTE), parameter=parameter, setting=EXECUTE)


def roots(work: Work, setting: str) -> list[Path]:
    """The configured folders of `setting` (READ or EXECUTE), links resolved."""
    return [Path(root).resolve() for root in work.config.get(setting, [])]


def confined(raw: str, allowed: list[Path], *, parameter: str, setting: str) -> Path:
    """Resolve `raw` to something that exists inside one of `allowed`.

    `examples/a` means `a` in a root called `examples` first, then `examples/a` in each root. Raises
    PermanentError; it says the same of outside paths whether they exist or not.
    """
    if not raw.strip() or not raw.isprintable():
        refuse(parameter, f"`{parameter}` must be a path without control characters.")
    candidates = [_resolved(path) for path in _readings(Path(raw), allowed)]
    inside = [path for path in candidates if path and any(path.is_relative_to(root) for root in allowed)]
    for path in inside:
        if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long
            return path
    shown = raw if len(raw) <= 200 else raw[:200] + "…"
    if inside:
        refuse(parameter, f"There is no `{shown}` in {_named(allowed)}.")
    what = f"`{shown}` is outside the folders that agents may {_verb(setting)}."
    return refuse(parameter, f"{what} {_way_out(allowed, setting)}")


def project_of(path: Path, allowed: list[Path]) -> Path:
    """The project `path` belongs to: the nearest folder upwards, within the root, that looks like one."""
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if not any(folder.is_relative_to(root) for root in allowed):
            break
        if any((folder / mark).exists() for mark in PROJECT_MARKS):
            return folder
    return start


def refuse(parameter: str, message: str) -> NoReturn:
    """Fail for good because of what the submitter wrote in `parameter`."""
    raise PermanentError(message, user_error=True, details={"field": f"/parameters/{parameter}"})


def _readings(path: Path, allowed: list[Path]) -> list[Path]:
    if path.is_absolute():
        return [path]
    by_name = [root.parent / path for root in allowed if path.parts and path.parts[0] == root.name]
    return by_name + [root / path for root in allowed]


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name the system cannot take
        return None


def _verb(setting: str) -> str:
    return "execute" if setting == EXECUTE else "read"


def _named(allowed: list[Path]) -> str:
    return ", ".join(f"`{root}`" for root in allowed) or "no folder at all"


def _way_out(allowed: list[Path], setting: str) -> str:
    setting = setting.upper()
    return f"Choose a path in {_named(allowed)}, or ask an administrator to add a folder to {setting}."
