"""docs/security.md: every threat has its row, and every proof it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache

from app.settings import ROOT

TABLE = ROOT / "docs" / "security.md"
_ROW = re.compile(r"^\| (X\d+) \|.*$", re.MULTILINE)
_PROOF = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


@cache
def _tests(path: str) -> frozenset[str]:
    """The tests of a file: `name`, or `Class::name`."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    top = ast.parse(file.read_text()).body
    inside = {
        f"{each.name}::{inner.name}"
        for each in top
        if isinstance(each, ast.ClassDef)
        for inner in each.body
        if isinstance(inner, ast.FunctionDef)
    }
    return frozenset(inside | {each.name for each in top if isinstance(each, ast.FunctionDef)})


def test_every_threat_has_its_row_with_a_proof() -> None:
    rows = {row[1]: row[0] for row in _ROW.finditer(TABLE.read_text())}

    assert list(rows) == [f"X{number}" for number in range(1, 36)]
    assert [name for name, row in rows.items() if not _PROOF.search(row)] == []


def test_every_proof_that_is_named_is_there() -> None:
    named = set(_PROOF.findall(TABLE.read_text()))

    assert len(named) > 70
    assert {f"{path}::{name}" for path, name in named if name not in _tests(path)} == set()


def test_nothing_is_unpickled_or_evaluated() -> None:
    """X28: no bytes and no text that were stored become code."""
    words = re.compile(
        r"\b(?:import (?:c?pickle|marshal|shelve|dill|joblib)|from (?:c?pickle|marshal|shelve) )|(?<![\w.])(?:eval|exec)\("
    )
    guilty = [
        str(path.relative_to(ROOT))
        for room in ("app", "actors", "migrations")
        for path in (ROOT / room).rglob("*.py")
        if words.search(path.read_text())
    ]
    # Those two speak to each other by a socket that nobody else has.
    assert sorted(guilty) == ["actors/runners/box.py", "actors/runners/warden.py"]
