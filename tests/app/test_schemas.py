from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app import schemas

LEAVES = (
    st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, 1.5])
    | st.booleans()
    | st.text("ab", max_size=2)
    | st.none()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@given(st.lists(VALUES, max_size=6))
def test_items_differ_exactly_when_the_standard_says_so(items: list[Any]) -> None:
    schema = {"uniqueItems": True}
    assert (not schemas.faults(schema, items, 5)) == Draft202012Validator(schema).is_valid(items)


def test_many_equal_items_are_found_at_once() -> None:
    began = time.monotonic()
    assert schemas.faults({"uniqueItems": True}, [{"n": n} for n in range(60_000)], 5) == []
    assert schemas.faults({"uniqueItems": True}, [{}, *[{"n": n} for n in range(60_000)], {}], 5)
    assert time.monotonic() - began < 10


def test_faults_come_by_place_and_no_more_than_asked() -> None:
    schema = {"items": {"type": "integer"}}
    assert [list(fault.path) for fault in schemas.faults(schema, ["a", 1, "b", "c"], 2)] == [[0], [2]]


def test_a_bounded_check_gives_up_and_the_next_one_starts_anew() -> None:
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 4} for n in range(20)} | {"d20": {}}
    with pytest.raises(schemas.TooMuch):
        schemas.faults({"$defs": defs, "$ref": "#/$defs/d0"}, 1, 5)
    assert schemas.faults({"type": "integer"}, 1, 5) == []


@pytest.mark.parametrize(
    ("pattern", "is_linear"), [("^a+$", True), ("(a)\\1", False), ("(?=a)", False), ("(", False)]
)
def test_what_re2_knows_is_linear(pattern: str, is_linear: bool) -> None:
    assert (schemas.linear(pattern) is not None) == is_linear
    assert (schemas.why_not_linear(pattern) is None) == is_linear


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "https://a.example/"}}},
        {"allOf": [{"$dynamicRef": "other.json#a"}]},
        {"maximum": 2**63},
    ],
)
def test_what_is_not_whole_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="may only point into|too large"):
        schemas.demand_whole(schema)
    schemas.demand_whole({"$ref": "#/$defs/a", "$defs": {"a": True}})


HIDDEN = {"$ref": "#/const", "const": {"patternProperties": {"(a+)+$": {}}}}


def test_what_others_would_match_slowly_is_refused() -> None:
    for schema in ({"items": [{"pattern": "(a)\\1"}]}, {"not": {"patternProperties": {"a": {}}}}, HIDDEN):
        with pytest.raises(ValueError, match="pattern"):
            schemas.demand_linear(schema)
    schemas.demand_linear({"pattern": "^a$", "properties": {"pattern": {"type": "string"}}})
