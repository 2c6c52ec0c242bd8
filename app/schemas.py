"""JSON Schema where people from outside may send it: patterns by RE2, no references to elsewhere, and a bound on steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import orjson
import re2
from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

MOST_STEPS = 100_000
"""Keywords that one checking may look at, where it is bounded: about half a second."""

_steps: ContextVar[list[int] | None] = ContextVar("steps", default=None)


class TooMuch(Exception):
    """A value and its schema would need more steps than anybody should wait for."""


def linear(pattern: str) -> Any:
    """The pattern compiled by RE2, which needs time that grows with the text only; None if RE2 does not know it."""
    return _compiled(pattern)[0]


def why_not_linear(pattern: str) -> str | None:
    """What RE2 says against a pattern; None if it takes it."""
    return _compiled(pattern)[1]


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[Any, str | None]:
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        return re2.compile(pattern, quiet), None
    except re2.error as wrong:
        said = wrong.args[0] if wrong.args else wrong
        return None, said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def demand_whole(schema: Any) -> None:
    """Raise ValueError for references to elsewhere, which whoever checks would fetch, and for numbers that JSON cannot keep."""
    if isinstance(schema, int) and not -(2**63) <= schema < 2**63:
        raise ValueError(f"{schema} is too large: a number must fit into 64 bits")
    if isinstance(schema, list):
        for inner in schema:
            demand_whole(inner)
    elif isinstance(schema, dict):
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            reference = schema.get(keyword)
            if isinstance(reference, str) and not reference.startswith("#"):
                raise ValueError(f"{keyword} may only point into the schema itself, not to {reference[:100]}")
        for inner in schema.values():
            demand_whole(inner)


def demand_linear(schema: Any) -> None:
    """Raise ValueError for patterns that RE2 does not know, and for keywords whose patterns others would try.

    Wherever they stand, as data or as names too: a reference can point at them and make them a schema.
    """
    if isinstance(schema, list):
        for inner in schema:
            demand_linear(inner)
    elif isinstance(schema, dict):
        if isinstance(schema.get("patternProperties"), dict):
            raise ValueError("patternProperties is not taken here: name the properties")  # noqa: TRY004 - pydantic takes only this one
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and (why := why_not_linear(pattern)):
            raise ValueError(f"pattern {pattern[:100]!r}: {why}")
        for inner in schema.values():
            demand_linear(inner)


def judge(schema: dict[str, Any]) -> Validator:
    """What checks values against `schema`; the same schema is taken apart once."""
    return _judge(orjson.dumps(schema))


def faults(schema: dict[str, Any], value: Any, most: int) -> list[ValidationError]:
    """The first `most` faults of a value, by place; raises TooMuch, RecursionError or Unresolvable."""
    token = _steps.set([0])
    try:
        found = []
        for fault in judge(schema).iter_errors(value):
            found.append(fault)
            if len(found) == most:
                break
    finally:
        _steps.reset(token)
    return sorted(found, key=lambda fault: [str(part) for part in fault.path])


@lru_cache(maxsize=512)
def _judge(schema: bytes) -> Validator:
    checker: Validator = _Judge(orjson.loads(schema), format_checker=FormatChecker())
    return checker


def _fits_pattern(_checker: Any, pattern: str, text: Any, _schema: Any) -> Iterator[ValidationError]:
    """`pattern`, by RE2: a text made for it cannot keep us busy. What RE2 does not know falls back to Python."""
    if not isinstance(text, str):
        return
    quick = linear(pattern)
    if not (quick.search(text) if quick else re.search(pattern, text)):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


def _all_differ(_checker: Any, wanted: bool, items: Any, _schema: Any) -> Iterator[ValidationError]:
    """`uniqueItems`, in time that grows with the list only."""
    if wanted and isinstance(items, list):
        said = {orjson.dumps(_comparable(item), option=orjson.OPT_SORT_KEYS, default=str) for item in items}
        if len(said) < len(items):
            yield ValidationError("its items are not all different")


def _comparable(value: Any) -> Any:
    """The value with 1.0 as 1, which JSON Schema takes for the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < 2**53 else value
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _comparable(inner) for name, inner in value.items()}
    return value


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def look(checker: Any, rule: Any, value: Any, schema: Any) -> Any:
        if (taken := _steps.get()) is not None:
            taken[0] += 1
            if taken[0] > MOST_STEPS:
                raise TooMuch
        return keyword(checker, rule, value, schema)

    return look


_ours: dict[str, Callable[..., Any]] = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _fits_pattern,
    "uniqueItems": _all_differ,
}
_extend: Any = validators.extend
_Judge: Any = _extend(Draft202012Validator, {name: _counted(keyword) for name, keyword in _ours.items()})
