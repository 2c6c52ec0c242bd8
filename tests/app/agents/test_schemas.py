"""JSON Schemas from outside."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents import schemas

FINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red"]},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "few": {"type": "array", "uniqueItems": True, "maxItems": 10},
        "$ref": {"type": "string"},
    },
    "required": ["colour"],
}


def test_a_plain_form_is_fine() -> None:
    assert list(schemas.faults(FINE, "/form")) == []


@pytest.mark.parametrize(
    ("schema", "pointer", "said"),
    [
        ({"type": "array"}, "/form/type", "must be `object`"),
        ({"properties": {"a": {"type": "text"}}}, "/form/properties/a/type", "not a JSON Schema"),
        ({"properties": {"a": {"$ref": "#/b"}}}, "/form/properties/a/$ref", "is not allowed here"),
        ({"allOf": [{"uniqueItems": True}]}, "/form/allOf/0/uniqueItems", "goes only with `maxItems`"),
        (
            {"properties": {"a/b": {"pattern": "(?=x)"}}},
            "/form/properties/a~1b/pattern",
            "no pattern that RE2",
        ),
        ({"patternProperties": {"x": {}}}, "/form/patternProperties", "is not allowed here"),
        (7, "/form", "not a JSON Schema"),
    ],
)
def test_what_is_wrong_is_pointed_at(schema: Any, pointer: str, said: str) -> None:
    fault = next(schemas.faults(schema, "/form"))

    assert fault.pointer == pointer
    assert said in fault.message
