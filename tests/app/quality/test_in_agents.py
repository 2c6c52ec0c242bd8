"""The gate of an agent is read when the agent is: mistakes have a line, names nobody knows a warning."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents import importing
from app.agents.definition import BrokenDefinition, parse
from app.agents.folders import File
from app.agents.front_matter import Complaint

TEXT = """\
---
description: Writes.
x-callboard:
  title: Writer
  gate:
    threshold: 6
    checks:
      - check: length
        min_words: 100
      - check: tone
        weight: {weight}
---
Write.
"""
NAMED = "---\ndescription: Writes.\nx-callboard:\n  gate: {name}\n---\nWrite.\n"


def complaints(text: str, overlay: dict[str, Any] | None = None) -> list[Complaint]:
    with pytest.raises(BrokenDefinition) as broken:
        parse("writer", text, overlay)
    return broken.value.complaints


def test_a_gate_is_kept_as_it_is_written() -> None:
    gate = parse("writer", TEXT.format(weight=2)).ours.gate
    assert isinstance(gate, dict)
    assert gate["checks"][1] == {"check": "tone", "weight": 2}
    assert parse("writer", NAMED.format(name="blog-post")).ours.gate == "blog-post"


def test_a_mistake_has_its_line_and_its_pointer() -> None:
    (said,) = complaints(TEXT.format(weight="much"))
    assert (said.pointer, said.line) == ("/x-callboard/gate/checks/1/weight", 11)
    assert "number" in said.message


def test_mistakes_of_the_gate_are_told_beside_others() -> None:
    text = TEXT.format(weight=-1).replace("title: Writer", "max_concurrent: 0")
    assert [(said.pointer, said.line) for said in complaints(text)] == [
        ("/x-callboard/max_concurrent", 4),
        ("/x-callboard/gate/checks/1/weight", 11),
    ]


def test_a_mistake_in_a_sidecar_says_so() -> None:
    (said,) = complaints(TEXT.format(weight=1), {"gate": {"checks": [{"check": "nothing"}]}})
    assert (said.pointer, said.line) == ("/x-callboard/gate/checks/0/check", None)
    assert said.message.endswith("(in the sidecar)")


@pytest.mark.parametrize(("name", "line"), [("Blog Post", 4), ("'-x'", 4)])
def test_a_name_that_can_be_none_is_refused(name: str, line: int) -> None:
    (said,) = complaints(NAMED.format(name=name))
    assert (said.pointer, said.line) == ("/x-callboard/gate", line)


@pytest.mark.parametrize("value", ["[a]", "3"])
def test_what_is_neither_name_nor_gate_is_refused(value: str) -> None:
    assert complaints(NAMED.format(name=value))[0].pointer.startswith("/x-callboard/gate")


def test_a_name_that_nobody_saved_is_a_warning() -> None:
    file = File(path="writer.md", text=NAMED.format(name="blog-post"))
    (item,) = importing.plan([file], {}, {"short-answer"}).items
    assert item.sound
    (said,) = item.warnings
    assert (said.pointer, said.message) == (
        "/x-callboard/gate",
        "there is no gate blog-post: until one is saved under this name, the agent's jobs fail",
    )
    assert importing.plan([file], {}, {"blog-post"}).items[0].warnings == ()
    assert importing.plan([file], {}).items[0].warnings == ()
