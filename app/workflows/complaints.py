"""What is wrong with a definition, in plain words, each with the JSON pointer of its place.

definition.py calls this, so its classes are imported late.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

DEEPEST = 64
LONGEST_POINTER = 1000
MOST = 50
_LISTS_OF_STEPS = {"steps", "tasks", "default"}
_STEP_ID = "must be letters, digits, _ or -, beginning with a letter or _, at most 64 of them"
_SAID = {
    "missing": "is required",
    "string_type": "must be text; numbers and the like go in quotes",
    "string_pattern_mismatch": _STEP_ID,
    "string_too_long": "must be at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_long": "must be at most {max_length} entries",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that somebody who wrote `name` most likely meant."""
    found = difflib.get_close_matches(name.lower()[:200], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def pointer(parts: Iterable[object]) -> str:
    """A JSON pointer; "" is the whole."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def complaints(raw: Any, error: ValidationError) -> list[tuple[str, str]]:
    """What pydantic found, as (pointer, words)."""
    return [_complaint(raw, each) for each in error.errors(include_url=False, include_context=True)[:MOST]]


def _complaint(raw: Any, error: ErrorDetails) -> tuple[str, str]:
    where = list(_without_types(error["loc"]))
    if where and where[-1] in {"step_id", "parameters"}:
        where[-1] = _as_spelt(raw, where)
    what = error["type"]
    if what in {"union_tag_invalid", "union_tag_not_found"}:
        return pointer([*where, "type"]), _unknown_type(str(error.get("ctx", {}).get("tag", "")))
    if what == "extra_forbidden":
        return pointer(where), _unknown_key(error["loc"])
    return pointer(where), _words(error)


def _words(error: ErrorDetails) -> str:
    least = error.get("ctx", {}).get("min_length")
    if error["type"] in {"string_too_short", "too_short"} and least == 1:
        return "must not be empty"
    said = _SAID.get(error["type"])
    return said.format(**error.get("ctx", {})) if said else error["msg"]


def _without_types(loc: tuple[int | str, ...]) -> Iterator[int | str]:
    """The place without the step types that pydantic puts between (`steps, 0, agent, step_id`)."""
    for n, part in enumerate(loc):
        if not _is_type(loc, n):
            yield part


def _is_type(loc: tuple[int | str, ...], n: int) -> bool:
    from app.workflows.definition import SHAPES

    if loc[n] not in SHAPES or n == 0:
        return False
    of_list = n > 1 and isinstance(loc[n - 1], int) and loc[n - 2] in _LISTS_OF_STEPS
    return of_list or (loc[n - 1] == "step" and _is_type(loc, n - 2))


def _as_spelt(raw: Any, where: list[int | str]) -> int | str:
    """The other spelling of the last key, if that is the one that was used."""
    here: Any = raw
    for part in where[:-1]:
        here = here[part]
    other = {"step_id": "id", "parameters": "params"}[str(where[-1])]
    return other if isinstance(here, dict) and other in here and where[-1] not in here else where[-1]


def _unknown_type(given: str) -> str:
    from app.workflows.definition import SHAPES

    near = nearest(given, SHAPES)
    meant = f"; did you mean `{near}`?" if near else ""
    return f"`{given[:60]}` is no type of step; there are {', '.join(SHAPES)}{meant}"


def _unknown_key(loc: tuple[int | str, ...]) -> str:
    whose, shape = _shape(loc)
    known = [name for name in shape.model_fields if name != "workflow_id" or whose == "a workflow"]
    near = nearest(str(loc[-1]), known)
    return f"is no key of {whose}; " + (f"did you mean `{near}`?" if near else f"known: {', '.join(known)}")


def _shape(loc: tuple[int | str, ...]) -> tuple[str, type[BaseModel]]:
    """What the thing at the place before the last is called, and its class."""
    from app.workflows import definition as d

    whose: tuple[str, type[BaseModel]] = ("a workflow", d.Definition)
    for n, part in enumerate(loc[:-1]):
        if _is_type(loc, n):
            kind = str(part)
            whose = (f"{'an' if kind[0] == 'a' else 'a'} {kind} step", d.SHAPES[kind])
        elif part == "definition":
            whose = ("a workflow", d.Definition)
        elif part == "cases":
            whose = ("a case", d.Case)
        elif part == "budget":
            whose = ("a budget", d.Limits)
        elif part in {"on_failure", "on_success"}:
            whose = (f"`{part}`", d.OnFailure if part == "on_failure" else d.OnSuccess)
    return whose


def unstorable(raw: Any) -> list[tuple[str, str]]:
    """What Postgres cannot keep: NUL, lone surrogates, numbers over 64 bits, endless nesting. Never recurses."""
    wrong: list[tuple[str, str]] = []
    todo: list[tuple[Any, tuple[object, ...], int]] = [(raw, (), 0)]
    while todo and len(wrong) < MOST:
        value, where, length = todo.pop()
        if what := _unstorable(value) or _too_far(where, length):
            wrong.append((pointer(where)[:LONGEST_POINTER], what))
        elif isinstance(value, Mapping):
            wrong += [
                (pointer(where), f"has a key that {what}") for name in value if (what := _unstorable(name))
            ]
            inner = [(each, (*where, name), length + len(name) + 1) for name, each in value.items()]
            todo += reversed(inner)
        elif isinstance(value, list):
            todo += reversed([(each, (*where, n), length + 2) for n, each in enumerate(value)])
    return wrong


def _too_far(where: tuple[object, ...], length: int) -> str | None:
    if len(where) > DEEPEST:
        return f"is nested too deep: at most {DEEPEST} levels"
    if length > LONGEST_POINTER:  # each complaint and each placeholder carries its path
        return f"has keys above it that are longer than {LONGEST_POINTER} characters together"
    return None


def _unstorable(value: Any) -> str | None:
    if isinstance(value, str):
        if "\x00" in value:
            return "contains the character NUL"
        return None if value.isascii() or _is_unicode(value) else "is not valid Unicode"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must fit into 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
