"""Checking parameters against an agent's JSON Schema, with defaults filled in, before anything is stored."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from typing import Any

from jsonschema.exceptions import ValidationError
from referencing.exceptions import Unresolvable

from app import schemas
from app.agents import secrecy
from app.db import dumps
from app.errors import InvalidParameters
from app.secrets import sealing

DEEPEST = 32
MOST_COMPLAINTS = 20


def check(schema: dict[str, Any], parameters: dict[str, Any], secret: Collection[str] = ()) -> dict[str, Any]:
    """Answer `parameters` with the schema's defaults; InvalidParameters names each field that does not fit.

    What the schema marks as secret, and what stands at the pointers `secret`, is not quoted.
    """
    _demand_storable(parameters)
    filled = copy.deepcopy(parameters)
    _fill(schema, filled)
    try:
        wrong = sorted(schemas.judge(schema).iter_errors(filled), key=lambda e: [str(p) for p in e.path])
    except (RecursionError, Unresolvable) as broken:  # a reference to nowhere, or to itself without end
        said = "the agent's own schema cannot be used: one of its references leads nowhere"
        raise InvalidParameters(said, [("/parameters", said)]) from broken
    if wrong:
        hidden = {*secret, *secrecy.places(schema, filled)}
        fields = [_complaint(error, hidden) for error in wrong[:MOST_COMPLAINTS]]
        raise InvalidParameters(
            f"parameters{fields[0][0].removeprefix('/parameters')}: {fields[0][1]}", fields
        )
    return filled


def is_linear(pattern: str) -> bool:
    """Whether a pattern can be tried in time that grows with the text only; others are for those we trust."""
    return schemas.linear(pattern) is not None


def _fill(schema: dict[str, Any], value: dict[str, Any]) -> None:
    for name, rule in schema.get("properties", {}).items():
        if not isinstance(rule, dict):  # true or false: anything, or nothing
            continue
        if name not in value and "default" in rule:
            value[name] = copy.deepcopy(rule["default"])
        elif rule.get("type") == "object" and isinstance(value.get(name), dict):
            _fill(rule, value[name])


def _complaint(error: ValidationError, secret: Collection[str]) -> tuple[str, str]:
    """Where something does not fit, and why; the reason never has in it what the schema calls secret."""
    path = "/parameters" + "".join(f"/{part}" for part in error.absolute_path)
    rule: Any = error.schema
    given: Any = error.instance
    if error.validator == "required":
        missing = next(name for name in rule["required"] if name not in given)
        return f"{path}/{missing}", "is required"
    if error.validator == "additionalProperties":
        known = sorted(rule.get("properties", {}))
        return path, f"{error.message}; known: {', '.join(known)}"
    if _shows(error, secret):
        return path, f"does not fit {error.validator}: {dumps(error.validator_value)}"[:300]
    return path, error.message[:300]


def _shows(error: ValidationError, secret: Collection[str]) -> bool:
    """Whether what a complaint would quote is a secret, is in one, or has one in it."""
    at = "".join(f"/{sealing.escaped(part)}" for part in error.absolute_path)
    return any(f"{at}/".startswith(f"{each}/") or f"{each}/".startswith(f"{at}/") for each in secret)


def _demand_storable(value: Any, depth: int = 0, path: str = "/parameters") -> None:
    """Refuse what Postgres cannot keep: NUL, lone surrogates, numbers over 64 bits, endless nesting."""
    if depth > DEEPEST:
        raise InvalidParameters("parameters are nested too deep", [(path, f"at most {DEEPEST} levels")])
    if isinstance(value, str):
        _demand_text(value, path)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidParameters("a number is too large", [(path, "must fit into 64 bits")])
    elif isinstance(value, float) and (not math.isfinite(value)):
        raise InvalidParameters("a number is not finite", [(path, "must be a finite number")])
    elif isinstance(value, dict):
        for name, inner in value.items():
            _demand_text(name, path)
            _demand_storable(inner, depth + 1, f"{path}/{name}")
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            _demand_storable(inner, depth + 1, f"{path}/{n}")


def _demand_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise InvalidParameters("text may not contain the character NUL", [(path, "contains NUL")])
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        raise InvalidParameters("text is not valid Unicode", [(path, "contains a lone surrogate")]) from wrong
    if sealing.PREFIX in text:
        said = f"may not contain {sealing.PREFIX!r}, which marks what Callboard has sealed"
        raise InvalidParameters(f"text {said}", [(path, said)])
