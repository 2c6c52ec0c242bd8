"""What is wrong with a JSON Schema that came from outside: no schema at all, or one that could keep us busy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jsonschema import SchemaError
from jsonschema.validators import Draft202012Validator

from app.agents import params

MOST_UNIQUE = 1000
"""Of a list whose items must differ: each is compared with each."""


class Fault(NamedTuple):
    """One thing that is wrong, and the way out if there is one to tell."""

    pointer: str
    message: str
    hint: str | None = None


def faults(schema: Any, at: str = "") -> Iterator[Fault]:
    """All that is wrong with the schema of an object; `at` is where it stands."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as wrong:
        where = pointer(wrong.absolute_path)
        yield Fault(f"{at}{where}", f"not a JSON Schema: {wrong.message[:200]}")
    if isinstance(schema, dict) and schema.get("type", "object") != "object":
        yield Fault(f"{at}/type", "must be `object`")
    yield from _not_allowed(schema, at)


def pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _not_allowed(schema: Any, at: str) -> Iterator[Fault]:
    """What whoever checks against it would have to fetch, or could be kept busy with."""
    todo = [(schema, at)]
    while todo:
        here, place = todo.pop()
        if isinstance(here, Mapping):
            yield from _costly(here, place)
            todo += [(inner, f"{place}{pointer((name,))}") for name, inner in here.items()]
        elif isinstance(here, list):
            todo += [(inner, f"{place}/{n}") for n, inner in enumerate(here)]


def _costly(here: Mapping[str, Any], place: str) -> Iterator[Fault]:
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        if isinstance(here.get(name), str):  # a few that fan out make millions of it
            yield Fault(f"{place}/{name}", "is not allowed here", "Write out what it points to.")
    if here.get("uniqueItems") is True and not _is_short(here.get("maxItems")):
        yield Fault(f"{place}/uniqueItems", f"goes only with `maxItems` of at most {MOST_UNIQUE}")
    if isinstance(here.get("pattern"), str) and not params.is_linear(here["pattern"]):
        yield Fault(f"{place}/pattern", "is no pattern that RE2 can try", "Leave out look-arounds.")
    if isinstance(here.get("patternProperties"), Mapping):
        yield Fault(f"{place}/patternProperties", "is not allowed here", "Name the properties.")


def _is_short(most: Any) -> bool:
    return isinstance(most, int) and most <= MOST_UNIQUE
