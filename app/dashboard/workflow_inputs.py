"""Forms for what a workflow is given, and for what an approval asks: schemas that people wrote, not agents.

What somebody wrote may be no JSON Schema at all; then there is one field for the whole, as JSON.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from werkzeug.datastructures import MultiDict

from app.dashboard import forms
from app.dashboard.forms import Field
from app.errors import Invalid

JSON = dict[str, Any]
WHOLE = "_json"


def fields(schema: JSON | None, typed: dict[str, str], wrong: dict[str, str] | None = None) -> list[Field]:
    """The fields of a schema, filled with what was typed; none where there is no schema."""
    if schema is None:
        return []
    if _has_fields(schema):
        return forms.fields(schema, typed, wrong)
    said = "; ".join((wrong or {}).values())
    return [Field(name=WHOLE, label="As JSON", kind="json", value=typed.get(WHOLE, ""), wrong=said)]


def typed(schema: JSON | None, form: MultiDict[str, str]) -> dict[str, str]:
    """What was typed into these fields."""
    if schema is None:
        return {}
    if _has_fields(schema):
        return forms.typed(schema, form)
    return {WHOLE: form.get(forms.PREFIX + WHOLE, "").replace("\r\n", "\n")}


def values(schema: JSON | None, typed: dict[str, str]) -> JSON:
    """What is meant by what was typed; Invalid points at fields that cannot be read."""
    if schema is None:
        return {}
    if _has_fields(schema):
        return forms.parameters(schema, typed)
    text = typed.get(WHOLE, "").strip()
    return forms.json_object(text, f"/parameters/{WHOLE}") if text else {}


def filled_with(schema: JSON | None, given: JSON | None) -> dict[str, str]:
    """Values as typed text, to start a form from an earlier run."""
    if not schema or not given:
        return {}
    if _has_fields(schema):
        return forms.filled_with(schema, given)
    return {WHOLE: forms.as_typed({}, given, "json")}


def complaints(error: Invalid) -> dict[str, str]:
    """Each complaint by the name of its field, wherever its pointer begins; what belongs to no field under ""."""
    here = ("/inputs", "/answer", "/parameters")
    told = []
    for pointer, said in error.fields:
        start = next((part for part in here if pointer == part or pointer.startswith(part + "/")), "")
        told.append((pointer.removeprefix(start) if start else "", said))
    return forms.complaints(Invalid(error.message, told))


def _has_fields(schema: JSON) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return isinstance(schema.get("properties"), dict)
