"""Answers against schemas."""

from __future__ import annotations

import pytest

from actors.models.output import Misfit, closable, fitted
from actors.runners.base import JSON

SCHEMA: JSON = {
    "type": "object",
    "required": ["title"],
    "properties": {"title": {"type": "string"}, "stars": {"type": "integer", "maximum": 5}},
}


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "a"}',
        '```json\n{"title": "a"}\n```',
        '```\n{"title": "a"}\n```\n',
        'Here it is:\n{"title": "a"}',
    ],
)
def test_json_is_found_however_a_model_wraps_it(text: str) -> None:
    assert fitted(text, SCHEMA) == {"title": "a"}


def test_without_a_schema_the_text_is_the_result() -> None:
    assert fitted("Hello", None) == {"result": "Hello"}


def test_what_is_no_object_becomes_one() -> None:
    assert fitted("[1, 2]", {"type": "array"}) == {"result": [1, 2]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Sorry, no.", "it is not JSON"),
        ('{"stars": 3}', "/: 'title' is a required property"),
        ('{"title": "a", "stars": 9}', "/stars: 9 is greater than the maximum of 5"),
    ],
)
def test_a_misfit_says_where(text: str, complaint: str) -> None:
    with pytest.raises(Misfit) as misfit:
        fitted(text, SCHEMA)

    assert misfit.value.complaints[0].startswith(complaint)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (SCHEMA, True),
        ({"type": "object"}, False),
        ({"type": ["object", "null"]}, False),
        (SCHEMA | {"additionalProperties": False}, True),
        (SCHEMA | {"additionalProperties": {"type": "string"}}, False),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [SCHEMA, {"type": "string"}]}, True),
    ],
)
def test_a_schema_with_free_objects_cannot_be_closed(schema: JSON, answer: bool) -> None:
    assert closable(schema) is answer


def test_an_empty_answer_is_no_result() -> None:
    with pytest.raises(Misfit, match="empty"):
        fitted(" \n", None)
