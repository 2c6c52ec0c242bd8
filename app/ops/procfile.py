"""The Procfile's lines as commands: platforms run them by a shell, our supervisor runs the very same."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from app.errors import Invalid

_LINE = re.compile(r"^(?P<name>[a-z][a-z0-9_-]*):\s*(?P<command>\S.*)$")
_VARIABLE = re.compile(r"\$(?:\{(?P<name>\w+)(?::-(?P<otherwise>[^}]*))?\}|(?P<bare>\w+))")


def read(path: Path) -> dict[str, str]:
    """The process names and their command lines, in the order of the file."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    found = [_LINE.match(line) for line in lines if line and not line.startswith("#")]
    if not all(found):
        msg = f"{path} has a line that is not `name: command`"
        raise Invalid(msg)
    return {match["name"]: match["command"] for match in found if match}


def command(line: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """`line` as arguments: variables filled in, `exec` dropped, programs taken from our own Python.

    Knows `$NAME`, `${NAME}` and `${NAME:-otherwise}`, and no other shell syntax on purpose.
    """
    words = shlex.split(_VARIABLE.sub(lambda found: _value(found, environ), line))
    if words[0] == "exec":
        words = words[1:]
    return (*_program(words[0]), *words[1:])


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    return environ.get(found["name"] or found["bare"]) or found["otherwise"] or ""


def _program(name: str) -> tuple[str, ...]:
    if name == "python":
        return (sys.executable,)
    beside = Path(sys.executable).parent / name
    # Named as a script of our interpreter: its own first line is wrong once the folder was moved.
    return (sys.executable, str(beside)) if beside.exists() else (name,)
