"""The front matter of a markdown file: split off, read without YAML's traps, and mended where people write it wrong.

Files in the wild have Windows line ends, byte order marks, and descriptions with a colon that YAML takes for a key.
Those are read. Aliases (which can make a few bytes mean gigabytes) and endless nesting are refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

DEEPEST = 32
# The C parser where PyYAML was built with it; both read the same.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_ENTRY = re.compile(r"^([A-Za-z][\w-]*):[ \t]+(?![\[{|>\"'&*!])(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing that is wrong, or only odd: in words, and where."""

    message: str
    pointer: str = ""
    """JSON pointer into the front matter; empty: the file as a whole."""
    line: int | None = None
    """In the file, from 1."""


class Unreadable(ValueError):
    """There is no front matter, or it is no YAML that may be read."""

    def __init__(self, message: str, line: int | None = None) -> None:
        """`line` counts in the file, from 1."""
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, kw_only=True)
class Page:
    """A file taken apart."""

    keys: dict[str, Any]
    body: str
    front: str
    """The YAML as it stands, with the lines of the fences' ends."""
    first_line: int
    """The line of the file at which `front` begins, from 1."""
    odd: tuple[Complaint, ...]

    def line_of(self, *path: str | int) -> int | None:
        """The line of the key or entry at `path`, or of the nearest thing around it that is there."""
        return _line_of(yaml.compose(self.front, Loader=yaml.SafeLoader), path, self.first_line)


def cleaned(text: str) -> str:
    """`text` without a byte order mark and with plain line ends: what a definition is, whoever saved it."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read(text: str) -> Page:
    """Take a cleaned file apart; raises Unreadable, which names what is missing."""
    parts = _FENCE.split(text, maxsplit=2)
    if len(parts) < 2 or parts[0].strip():
        raise Unreadable(
            "there is no front matter: the file must begin with a line ---, then `name:` and `description:`, "
            "and another line ---"
        )
    if len(parts) < 3:
        raise Unreadable("the front matter does not end: a second line --- is missing", _lines(parts[0]) + 1)
    first_line = _lines(parts[0]) + 1
    front = parts[1]
    odd: tuple[Complaint, ...] = ()
    try:
        keys = load(front, first_line)
    except Unreadable as wrong:
        front, odd = _mended(front, first_line)
        if not odd:
            raise
        try:
            keys = load(front, first_line)
        except Unreadable:
            raise wrong from None
    if not isinstance(keys, dict):
        raise Unreadable("the front matter must be a mapping: lines of `key: value`", first_line)
    named = {str(name): value for name, value in keys.items()}
    return Page(keys=named, body=parts[2], front=front, first_line=first_line, odd=odd)


def load(text: str, first_line: int = 1) -> Any:
    """The value of a YAML text without aliases; raises Unreadable with the line."""
    try:
        _demand_simple(text, first_line)
        return yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        why = getattr(wrong, "problem", None) or str(wrong).partition("\n")[0]
        raise Unreadable(f"not YAML: {why}", first_line + mark.line if mark else None) from wrong
    except ValueError as wrong:  # say, the 31st of February
        if isinstance(wrong, Unreadable):
            raise
        raise Unreadable(f"not YAML: {wrong}") from wrong


def _demand_simple(text: str, first_line: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = first_line + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.ScalarEvent) and "\x00" in event.value:
            raise Unreadable("the character NUL is not taken, written out or not", line)
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable(f"aliases (*{event.anchor}) are not read: write the value out", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise Unreadable(f"nested deeper than {DEEPEST} levels", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _mended(front: str, first_line: int) -> tuple[str, tuple[Complaint, ...]]:
    """The same with quotes around plain texts that YAML stumbles over, and a word about each."""
    odd: list[Complaint] = []

    def quoted(entry: re.Match[str]) -> str:
        try:
            load(entry[0])
        except Unreadable:
            line = first_line + _lines(front[: entry.start()])
            said = f"`{entry[1]}` needs quotes in YAML; it was read as plain text"
            odd.append(Complaint(message=said, pointer=f"/{entry[1]}", line=line))
            return f"{entry[1]}: {json.dumps(entry[2].rstrip(), ensure_ascii=False)}"
        return entry[0]

    return _ENTRY.sub(quoted, front), tuple(odd)


def _lines(text: str) -> int:
    return text.count("\n")


def _line_of(node: yaml.Node | None, path: tuple[str | int, ...], first_line: int) -> int | None:
    if node is None:
        return None
    line = first_line + node.start_mark.line
    if not path:
        return line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(path[0]):
                return (
                    _line_of(value, path[1:], first_line)
                    if path[1:]
                    else first_line + int(key.start_mark.line)
                )
    if isinstance(node, yaml.SequenceNode) and isinstance(path[0], int) and path[0] < len(node.value):
        return _line_of(node.value[path[0]], path[1:], first_line)
    return line
