"""JSON for reading: a tree that folds, tables where it is a list of alike things, a diff where it is one; all bounded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from app import clock

MOST_NODES = 1500
MOST_CHILDREN = 200
DEEPEST = 12
LONGEST_TEXT = 2000
MOST_ROWS, MOST_COLUMNS = 200, 12
LONGEST_CELL = 300
LARGEST_DIFF = 200_000


@dataclass(kw_only=True)
class Node:
    """One value: `kind` is object, array, string, number, word (true, false, null)."""

    key: str = ""
    kind: str
    text: str = ""
    size: int = 0
    children: list[Node] = field(default_factory=list)
    left_out: int = 0
    """How many children are not drawn."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A list of flat objects."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    left_out: int


def exact(value: Any, *, indent: int | None = 2) -> str:
    """JSON for reading in which each number is what it was, times as the API writes them."""
    return json.dumps(value, indent=indent, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return clock.iso(value)
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


def tree(value: Any) -> Node:
    """The value as nodes, as many of them as a page takes."""
    return _node("", value, 0, [MOST_NODES])


def _node(key: str, value: Any, depth: int, left: list[int]) -> Node:
    left[0] -= 1
    if isinstance(value, dict):
        return _branch(Node(key=key, kind="object", size=len(value)), list(value.items()), depth, left)
    if isinstance(value, list):
        pairs = [(str(at), inner) for at, inner in enumerate(value[:MOST_CHILDREN])]
        return _branch(Node(key=key, kind="array", size=len(value)), pairs, depth, left)
    if isinstance(value, str):
        cut = len(value) > LONGEST_TEXT
        return Node(key=key, kind="string", text=value[:LONGEST_TEXT] + "…" * cut, size=len(value))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Node(key=key, kind="number" if is_number else "word", text=exact(value))


def _branch(node: Node, pairs: list[tuple[str, Any]], depth: int, left: list[int]) -> Node:
    for key, inner in pairs[:MOST_CHILDREN]:
        if left[0] <= 0 or depth >= DEEPEST:
            break
        node.children.append(_node(key, inner, depth + 1, left))
    node.left_out = node.size - len(node.children)
    return node


def tables(value: Any) -> list[Table]:
    """What in the value, or right below it, is a list of flat objects."""
    found = value.items() if isinstance(value, dict) else [("", value)]
    return [made for name, inner in found if (made := _table(str(name), inner))]


def _table(name: str, value: Any) -> Table | None:
    if not isinstance(value, list) or not value or not all(_is_flat(each) for each in value[:MOST_ROWS]):
        return None
    rows = value[:MOST_ROWS]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not 1 <= len(columns) <= MOST_COLUMNS:
        return None
    return Table(
        name=name,
        columns=columns,
        rows=[[_cell(row, column) for column in columns] for row in rows],
        left_out=len(value) - len(rows),
    )


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(inner, dict | list) for inner in value.values())


def _cell(row: dict[str, Any], column: str) -> str:
    if row.get(column) is None:
        return ""
    value = row[column]
    text = value if isinstance(value, str) else exact(value)
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…"


def diffs(value: Any) -> list[tuple[str, str]]:
    """The texts right below the value that are unified diffs, by name."""
    if not isinstance(value, dict):
        return []
    return [(str(name), text) for name, text in value.items() if isinstance(text, str) and is_diff(text)]


def is_diff(text: str) -> bool:
    """Whether a text is a unified diff of a size that can be drawn."""
    if len(text) > LARGEST_DIFF or not text.startswith(("--- ", "diff --git ", "Index: ")):
        return False
    return any(line.startswith("@@ ") for line in text.splitlines())
