"""Parameters: checked and filled in before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents.params import DEEPEST, MOST_COMPLAINTS, check, is_linear
from app.errors import InvalidParameters

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "minLength": 1},
        "depth": {"type": "integer", "default": 3},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "mail": {"type": "string", "format": "email"},
        "inner": {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}},
    },
    "required": ["path"],
    "additionalProperties": False,
}
ANYTHING: dict[str, Any] = {"type": "object"}


def _fields(schema: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidParameters) as refused:
        check(schema, parameters)
    return [pointer for pointer, _ in refused.value.fields]


def test_defaults_are_filled_in_also_in_inner_objects() -> None:
    assert check(SCHEMA, {"path": "x", "inner": {}}) == {
        "path": "x",
        "depth": 3,
        "tags": [],
        "inner": {"on": True},
    }


def test_what_is_given_wins_and_is_not_changed() -> None:
    given = {"path": "x", "depth": 9}
    assert check(SCHEMA, given)["depth"] == 9
    assert given == {"path": "x", "depth": 9}


def test_defaults_are_nobodys_shared_property() -> None:
    check(SCHEMA, {"path": "x"})["tags"].append("y")
    assert check(SCHEMA, {"path": "x"})["tags"] == []


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({}, "/parameters/path"),
        ({"path": ""}, "/parameters/path"),
        ({"path": 1}, "/parameters/path"),
        ({"path": "x", "tags": ["a", 2]}, "/parameters/tags/1"),
        ({"path": "x", "inner": {"on": "yes"}}, "/parameters/inner/on"),
        ({"path": "x", "pathh": "y"}, "/parameters"),
        ({"path": "x", "mail": "nobody"}, "/parameters/mail"),
    ],
)
def test_a_complaint_points_at_its_field(parameters: dict[str, Any], pointer: str) -> None:
    assert _fields(SCHEMA, parameters) == [pointer]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidParameters, match="known: depth, inner, mail, path, tags"):
        check(SCHEMA, {"path": "x", "pathh": "y"})


@pytest.mark.parametrize(
    "rule",
    [
        {"properties": {"key": {"type": "string", "writeOnly": True, "minLength": 20}}},
        {"properties": {"key": {"format": "password", "enum": ["another"]}}},
        {"properties": {"key": {"type": "object", "x-secret": True}}},
        {"properties": {"key": {"x-secret": True}}, "not": {"required": ["key"]}},
        {"properties": {"key": {"x-secret": True}}, "anyOf": [{"required": ["other"]}]},
    ],
)
def test_a_complaint_does_not_quote_a_secret(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters) as refused:
        check({"type": "object", **rule}, {"key": "sesame, open"})
    assert "sesame" not in f"{refused.value.message} {refused.value.fields}"


def test_a_complaint_does_not_quote_what_the_caller_calls_secret() -> None:
    with pytest.raises(InvalidParameters) as refused:
        check(SCHEMA, {"path": "x", "mail": "sesame"}, {"/mail"})
    assert refused.value.fields == [("/parameters/mail", 'does not fit format: "email"')]


def test_there_is_an_end_to_complaints() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert len(_fields(schema, {f"n{n:03}": "x" for n in range(100)})) == MOST_COMPLAINTS


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"a": "nul\x00"}, "/parameters/a"),
        ({"a": [{"b": "\ud800"}]}, "/parameters/a/0/b"),
        ({"k\x00": 1}, "/parameters"),
        ({"a": 2**63}, "/parameters/a"),
        ({"a": -(2**63) - 1}, "/parameters/a"),
        ({"a": float("nan")}, "/parameters/a"),
        ({"a": [float("inf")]}, "/parameters/a/0"),
    ],
)
def test_what_postgres_cannot_keep_is_refused_whatever_the_schema_says(
    parameters: dict[str, Any], pointer: str
) -> None:
    assert _fields(ANYTHING, parameters) == [pointer]


def test_the_largest_numbers_that_fit_are_kept() -> None:
    limits = {"least": -(2**63), "most": 2**63 - 1}
    assert check(ANYTHING, limits) == limits


def test_nesting_has_a_bottom() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(levels):
            value = {"a": value}
        return value

    check(ANYTHING, nested(DEEPEST))
    assert _fields(ANYTHING, nested(DEEPEST + 1)) == ["/parameters" + "/a" * (DEEPEST + 1)]


@pytest.mark.parametrize("rule", [{"$ref": "#"}, {"properties": {"a": {"$ref": "#/nowhere"}}}])
def test_a_schema_whose_references_lead_nowhere_refuses_and_does_not_break(rule: dict[str, Any]) -> None:
    assert _fields(rule, {"a": 1}) == ["/parameters"]


def test_rules_may_be_true_or_false() -> None:
    schema = {"properties": {"anything": True, "nothing": False}}
    assert check(schema, {"anything": 1}) == {"anything": 1}
    assert _fields(schema, {"nothing": 1}) == ["/parameters"]


def test_a_pattern_made_to_keep_us_busy_does_not() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}}
    assert check(schema, {"text": "a" * 5000}) == {"text": "a" * 5000}
    with pytest.raises(InvalidParameters):  # years, by backtracking
        check(schema, {"text": "a" * 5000 + "!"})


def test_a_pattern_that_only_python_knows_still_works() -> None:
    schema = {"type": "object", "properties": {"text": {"pattern": "^(?!x)"}}}
    assert not is_linear("^(?!x)")
    assert check(schema, {"text": "abc"})
    assert check(schema, {"text": 7})
    with pytest.raises(InvalidParameters):
        check(schema, {"text": "xyz"})
