"""Parameters with placeholders against a JSON Schema: what can be said before the placeholders are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

from app.workflows.complaints import nearest, pointer
from app.workflows.references import is_one

JSON = Any
MOST = 20
_OF_WHOLE_VALUES = {"required", "additionalProperties", "type", "minItems", "maxItems", "dependentRequired"}


def misfits(schema: dict[str, JSON], value: JSON, *, patterns: bool = True) -> list[tuple[str, str]]:
    """(pointer, what is wrong) of what will not fit, whatever the placeholders turn out to be.

    What the schema has a default for is not missed. Without `patterns` regular expressions are not tried: those of
    a schema that anybody may write could be made to take hours.
    """
    judge = _Judge if patterns else _Patternless
    try:
        wrong = judge(schema, format_checker=FormatChecker()).iter_errors(value)
        return sorted(_told(error) for error in wrong if not _is_open(error))[:MOST]
    except (RecursionError, Unresolvable):  # the schema leads nowhere; the job's own check says so
        return []


def _nothing(*_: Any) -> Iterator[ValidationError]:
    return iter(())


_extend: Any = extend
_Judge: Any = Draft202012Validator
_Patternless: Any = _extend(Draft202012Validator, {"pattern": _nothing, "patternProperties": _nothing})


def _is_open(error: ValidationError) -> bool:
    """Whether a placeholder may still make it right."""
    given: Any = error.instance
    if error.validator == "required" and _has_a_default(error):
        return True
    if isinstance(given, str):
        if "{{" not in given:
            return False
        return error.validator != "type" or is_one(given)
    return error.validator not in _OF_WHOLE_VALUES and has_placeholder(given)


def _has_a_default(error: ValidationError) -> bool:
    rule: Any = error.schema
    return "default" in (rule.get("properties", {}).get(_missing(error)) or {})


def _missing(error: ValidationError) -> str:
    """The one missing name this error is about; there is an error for each."""
    rule: Any = error.schema
    given: Any = error.instance
    return str(next(n for n in rule["required"] if n not in given and repr(n) in error.message))


def has_placeholder(value: JSON) -> bool:
    """Whether there is one anywhere in it."""
    todo = [value]
    while todo:
        here = todo.pop()
        if isinstance(here, str) and "{{" in here:
            return True
        if isinstance(here, Mapping):
            todo += here.values()
        elif isinstance(here, list):
            todo += here
    return False


def _told(error: ValidationError) -> tuple[str, str]:
    at = pointer(error.absolute_path)
    if error.validator == "required":
        return f"{at}{pointer([_missing(error)])}", "is required"
    if error.validator == "additionalProperties":
        return _unknown(error, at)
    return at, error.message[:300]


def _unknown(error: ValidationError, at: str) -> tuple[str, str]:
    rule: Any = error.schema
    given: Any = error.instance
    known = sorted(rule.get("properties", {}))
    odd = next((name for name in given if name not in known and repr(name) in error.message), None)
    if odd is None:
        return at, error.message[:300]
    near = nearest(odd, known)
    meant = f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"
    return f"{at}{pointer([odd])}", f"there is no `{odd[:80]}` here; {meant}"
