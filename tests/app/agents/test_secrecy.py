"""What schemas mark as secret is masked, wherever it stands; the rest stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.secrecy import MASK, hidden, restored


@pytest.mark.parametrize(
    ("rule", "value", "shown"),
    [
        ({"type": "string", "writeOnly": True}, "x", MASK),
        ({"type": "string", "format": "password"}, "x", MASK),
        ({"x-secret": True}, {"a": 1}, MASK),
        ({"x-secret": False, "writeOnly": "yes"}, "x", "x"),
        ({"type": "string"}, "x", "x"),
        (True, "x", "x"),
        ({"writeOnly": True}, None, None),
        ({"items": {"writeOnly": True}}, ["a", "b"], [MASK, MASK]),
        ({"prefixItems": [{}, {"writeOnly": True}]}, ["a", "b", "c"], ["a", MASK, "c"]),
        ({"properties": {"a": {"writeOnly": True}}}, {"a": 1, "b": 2}, {"a": MASK, "b": 2}),
        ({"additionalProperties": {"writeOnly": True}, "properties": {"b": {}}}, {"a": 1, "b": 2}, {"a": MASK, "b": 2}),
        ({"anyOf": [{"type": "null"}, {"format": "password"}]}, "x", MASK),
        ({"allOf": [{"properties": {"a": {"writeOnly": True}}}]}, {"a": 1}, {"a": MASK}),
        ({"$ref": "#/$defs/word"}, "x", MASK),
        ({"$ref": "#/$defs/loop"}, "x", "x"),
        ({"$ref": "#/$defs/nowhere"}, "x", "x"),
    ],
)  # fmt: skip
def test_what_is_marked_is_masked(rule: Any, value: Any, shown: Any) -> None:
    schema = {
        "properties": {"p": rule},
        "$defs": {"word": {"format": "password"}, "loop": {"$ref": "#/$defs/loop"}},
    }

    assert hidden(schema, {"p": value}) == {"p": shown}


def test_without_a_schema_nothing_is_known_to_be_secret() -> None:
    assert hidden(None, {"a": 1}) == {"a": 1}


def test_a_value_that_is_nested_without_end_is_no_trouble() -> None:
    schema: dict[str, Any] = {
        "properties": {"p": {"$ref": "#/properties/p"}},
        "additionalProperties": {"$ref": "#"},
    }
    value: dict[str, Any] = {}
    for _ in range(200):
        value = {"q": value}

    assert hidden(schema, value) == value


@pytest.mark.parametrize(
    ("edited", "before", "meant"),
    [
        (MASK, "x", "x"),
        ({"a": MASK, "b": 2}, {"a": "x", "b": 1}, {"a": "x", "b": 2}),
        ({"a": {"deep": MASK}}, {"a": {"deep": 5, "gone": 1}}, {"a": {"deep": 5}}),
        ([MASK, "new"], ["x", "y"], ["x", "new"]),
        ([MASK], ["x", "y"], [MASK]),
        ({"new": MASK}, {}, {"new": MASK}),
        ("typed", "x", "typed"),
    ],
)
def test_what_comes_back_masked_is_what_it_was(edited: Any, before: Any, meant: Any) -> None:
    assert restored(edited, before) == meant
