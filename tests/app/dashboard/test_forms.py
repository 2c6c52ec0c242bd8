"""Forms from schemas, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from app.dashboard import forms
from app.errors import Invalid, InvalidParameters

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["topic"],
    "properties": {
        "words": {"type": "integer", "minimum": 10, "maximum": 50, "default": 20},
        "ratio": {"type": "number"},
        "topic": {"type": "string", "description": "What about?"},
        "body": {"type": "string"},
        "tone": {"enum": ["plain", "formal"], "default": "plain"},
        "level": {"enum": [1, 2, None]},
        "draft": {"type": "boolean", "default": True},
        "links": {"type": "array", "items": {"type": "string"}},
        "checks": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "default": ["a"]},
        "rows": {"type": "array", "items": {"type": "object"}},
        "more": {"type": "object"},
    },
}


def test_each_property_gets_the_field_that_fits_it_and_required_ones_come_first() -> None:
    kinds = {field.name: field.kind for field in forms.fields(SCHEMA, {})}

    assert next(iter(kinds)) == "topic"
    assert kinds == {
        "topic": "text",
        "words": "number",
        "ratio": "number",
        "body": "textarea",
        "tone": "select",
        "level": "select",
        "draft": "checkbox",
        "links": "list",
        "checks": "choices",
        "rows": "json",
        "more": "json",
    }


def test_defaults_stand_in_the_fields_until_something_is_typed() -> None:
    empty = {field.name: field.value for field in forms.fields(SCHEMA, {})}
    assert (empty["words"], empty["tone"], empty["draft"], empty["checks"]) == ("20", "plain", "on", "a")

    filled = {field.name: field.value for field in forms.fields(SCHEMA, {"words": "", "draft": ""})}
    assert (filled["words"], filled["draft"]) == ("", "")


def _sent(**values: str | list[str]) -> MultiDict[str, str]:
    return MultiDict({"p." + name: value for name, value in values.items()})


def test_what_was_typed_becomes_values_of_the_right_types() -> None:
    sent = _sent(
        topic="Tea\r\nand cake", words="33", ratio="0.5", tone="formal", level="2", draft="on",
        links="one\n\n two ", checks=["b", "c"], rows='[{"x": 1}]', more='{"y": null}',
    )  # fmt: skip

    read = forms.parameters(SCHEMA, forms.typed(SCHEMA, sent))

    assert read == {
        "topic": "Tea\nand cake",
        "words": 33,
        "ratio": 0.5,
        "tone": "formal",
        "level": 2,
        "draft": True,
        "links": ["one", "two"],
        "checks": ["b", "c"],
        "rows": [{"x": 1}],
        "more": {"y": None},
    }


def test_empty_fields_are_left_to_the_schema_but_unticked_boxes_mean_no() -> None:
    assert forms.parameters(SCHEMA, forms.typed(SCHEMA, _sent(topic=" "))) == {"draft": False, "checks": []}


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("words", "many", "whole number"),
        ("words", "1.5", "whole number"),
        ("ratio", "1,5", "number"),
        ("rows", "[", "JSON"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_field(name: str, text: str, word: str) -> None:
    with pytest.raises(Invalid) as refused:
        forms.parameters(SCHEMA, {name: text, "topic": "x"})

    assert word in forms.complaints(refused.value)[name]


def test_an_unknown_choice_is_kept_for_the_schema_to_refuse() -> None:
    assert forms.parameters(SCHEMA, {"tone": "rude"})["tone"] == "rude"


@given(
    st.fixed_dictionaries(
        {
            "topic": st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1).filter(
                str.strip
            )
        },
        optional={
            "words": st.integers(),
            "tone": st.sampled_from(["plain", "formal"]),
            "level": st.sampled_from([1, 2, None]),
            "draft": st.booleans(),
            "more": st.dictionaries(st.text(), st.integers() | st.none() | st.text()),
        },
    )
)
def test_an_example_put_into_the_form_comes_out_as_it_went_in(example: dict[str, Any]) -> None:
    typed = forms.filled_with(SCHEMA, example)

    read = forms.parameters(SCHEMA, typed)

    left_out = {name for name, value in example.items() if value is None}
    expected = {"draft": False, "checks": []} | {k: v for k, v in example.items() if k not in left_out}
    assert read == expected


def test_complaints_of_the_schema_find_their_fields() -> None:
    error = InvalidParameters(
        "no",
        [("/parameters/topic", "is required"), ("/parameters/rows/0/x", "is odd"), ("/tags", "too many")],
    )

    assert forms.complaints(error) == {"topic": "is required", "rows": "0/x: is odd", "tags": "too many"}


def test_a_complaint_without_a_field_is_kept() -> None:
    assert forms.complaints(Invalid("The sky is falling.")) == {"": "The sky is falling."}


@pytest.mark.parametrize("text", ["", "[1]", "{", "null"])
def test_parameters_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        forms.json_object(text, "/json")


def test_rules_that_are_only_true_or_false_get_a_field_too() -> None:
    schema = {"properties": {"any": True, "none": False, "row": {"type": "array", "items": False}}}
    assert [field.name for field in forms.fields(schema, {})] == ["any", "none", "row"]
    assert forms.filled_with(schema, {"any": "x"}).keys() == {"any"}
    assert forms.parameters(schema, {"any": "", "row": ""}) == {}
