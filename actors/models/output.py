"""An answer of a model against the agent's output schema."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from actors.runners.base import JSON
from actors.runners.output import last_json_object

FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)
MOST_COMPLAINTS = 10
SHOWN_CHARS = 300


class Misfit(Exception):
    """The answer is not what was asked for; `complaints` says where."""

    def __init__(self, complaints: list[str]) -> None:
        """At least one complaint."""
        super().__init__("; ".join(complaints))
        self.complaints = complaints


def fitted(text: str, schema: JSON | None) -> JSON:
    """The result an answer means: `{"result": text}` without a schema; raises Misfit."""
    if schema is None and text.strip():
        return {"result": text}
    if schema is None:
        raise Misfit(["it is empty"])
    value = value_of(text)
    problems = sorted(
        Draft202012Validator(schema).iter_errors(value), key=lambda error: list(map(str, error.path))
    )
    if problems:
        raise Misfit([described(problem) for problem in problems[:MOST_COMPLAINTS]])
    return value if isinstance(value, dict) else {"result": value}


def value_of(text: str) -> Any:
    """The JSON in a text: all of it, in a fence, or the last object; raises Misfit."""
    fence = FENCED.match(text)
    try:
        return json.loads(fence[1] if fence else text)
    except (ValueError, RecursionError) as wrong:
        found = last_json_object(text)
        if found is None:
            raise Misfit([f"it is not JSON: {wrong}"]) from wrong
        return found


def described(problem: Any) -> str:
    """One complaint of the validator, with its place."""
    message = problem.message if len(problem.message) <= SHOWN_CHARS else problem.message[:SHOWN_CHARS] + "…"
    return f"/{'/'.join(map(str, problem.absolute_path))}: {message}"


def closable(schema: Any) -> bool:
    """Whether nothing is lost when objects may only hold the properties that the schema names.

    Providers that hold a model to a schema demand that; a free object would have to stay empty.
    """
    if isinstance(schema, list):
        return all(closable(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    free = (kind == "object" or (isinstance(kind, list) and "object" in kind)) and "properties" not in schema
    more = schema.get("additionalProperties", False) is not False or "patternProperties" in schema
    return not free and not more and all(closable(each) for each in schema.values())


def told_schema(schema: JSON) -> str:
    """What the instructions say of the schema where the provider does not hold the model to it."""
    return (
        "Answer with one JSON value that fits this JSON Schema, and with nothing else: no explanation, no code fence.\n\n"
        + json.dumps(schema, ensure_ascii=False)
    )


def repair_request(complaints: list[str]) -> str:
    """The one message that asks for a better answer."""
    listed = "\n".join(f"- {complaint}" for complaint in complaints)
    return (
        f"Your answer cannot be used:\n{listed}\n\nGive the whole answer again, corrected, and nothing else."
    )
