"""What programs look at: the result against a JSON Schema, the text against patterns."""

from __future__ import annotations

from typing import Any

import re2
from jsonschema.exceptions import ValidationError
from referencing.exceptions import Unresolvable

from app import schemas
from app.quality.definition import JsonSchema, Regex
from app.quality.report import Finding
from app.quality.subject import Subject

MOST_FAULTS = 20
SHOWN = 5
_MEMORY = 64 << 20


def json_schema(spec: JsonSchema, subject: Subject) -> Finding:
    """The result against a schema: the check's own, else the one of the agent."""
    schema = spec.schema_ if spec.schema_ is not None else subject.schema
    if schema is None:
        return Finding.not_judged(spec, "not judged: neither the check nor the agent has a schema")
    try:
        found = schemas.faults(schema, subject.value, MOST_FAULTS)
    except schemas.TooMuch:
        return Finding.not_made(spec, "the value and its schema would need too many steps")
    except (RecursionError, Unresolvable):
        return Finding.not_made(spec, "the schema cannot be used: one of its references leads nowhere")
    if not found:
        return Finding.of(spec, 10, "fits the schema")
    more = "at least " if len(found) == MOST_FAULTS else ""
    advice = "; ".join(_said(fault) for fault in found[:SHOWN])
    score = max(0.0, 5.0 - len(found))
    return Finding.of(
        spec, score, f"{more}{len(found)} faults against the schema", "Does not fit the schema", advice
    )


def _said(fault: ValidationError) -> str:
    place = "".join(f"/{part}" for part in fault.absolute_path) or "the result"
    return f"{place}: {fault.message[:200]}"


def regex(spec: Regex, subject: Subject) -> Finding:
    """The patterns that must be there, and those that must not."""
    text = subject.text.encode("utf-8", "replace")
    missing = [pattern for pattern in spec.must if not _search(spec, pattern, text)]
    present = [pattern for pattern in spec.must_not if _search(spec, pattern, text)]
    wanted = len(spec.must) + len(spec.must_not)
    wrong = len(missing) + len(present)
    evidence = f"{wanted - wrong} of {wanted} patterns as wanted"
    if not wrong:
        return Finding.of(spec, 10, evidence)
    issue = "A required pattern is missing" if missing else "A forbidden pattern is there"
    advice = [f"must match {pattern}" for pattern in missing] + [
        f"must not match {pattern}" for pattern in present
    ]
    return Finding.of(spec, 10 * (wanted - wrong) / wanted, evidence, issue, "; ".join(advice[:SHOWN])[:1000])


def _search(spec: Regex, pattern: str, text: bytes) -> Any:
    wish = re2.Options()
    wish.log_errors = False
    wish.case_sensitive = not spec.ignore_case
    wish.max_mem = _MEMORY
    return re2.compile(pattern, wish).search(text)
