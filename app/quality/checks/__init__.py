"""The checks that need nothing but the text: `check(spec, subject)` answers what one of them found.

Words are matched whole: `start` never counts inside `restarted`. What looks for English wording says "not judged" of
other languages. Every check takes bounded time for any text, and the same text always gets the same score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.quality.checks import data, parts, shape, wording
from app.quality.definition import CheckSpec, Gate
from app.quality.report import Finding, Report
from app.quality.subject import Subject

__all__ = ["WORKERS_ONLY", "Subject", "check", "judge"]

WORKERS_ONLY = "runs on a worker only"

MAKERS: Mapping[str, Callable[[Any, Subject], Finding]] = {
    "length": shape.length,
    "structure": shape.structure,
    "headings": shape.headings,
    "lists": shape.lists,
    "introduction": parts.introduction,
    "conclusion": parts.conclusion,
    "examples": parts.examples,
    "call_to_action": parts.call_to_action,
    "tone": wording.tone,
    "readability": wording.readability,
    "keywords": wording.keywords,
    "stock_phrases": wording.stock_phrases,
    "wording": wording.wording,
    "json_schema": data.json_schema,
    "regex": data.regex,
}
NEEDS_ENGLISH = frozenset({"conclusion", "examples", "call_to_action", "tone", "readability", "wording"})
NEEDS_SPACES = frozenset({"length", "introduction", "keywords"})
_OF_THE_VALUE = frozenset({"json_schema", "regex"})


def check(spec: CheckSpec, subject: Subject) -> Finding:
    """What a check found; of kinds that only workers make, that it was not made."""
    make = MAKERS.get(spec.check)
    if make is None:
        return Finding.not_made(spec, WORKERS_ONLY)
    looked_at = subject.part(spec)
    if spec.check not in _OF_THE_VALUE and (found := _at_a_glance(spec, looked_at)):
        return found
    return make(spec, looked_at)


def judge(gate: Gate, subject: Subject, *, attempt: int = 1) -> Report:
    """What a gate says of a text by the checks that need no worker."""
    return Report.of(gate, [check(spec, subject) for spec in gate.checks], attempt=attempt)


def _at_a_glance(spec: CheckSpec, subject: Subject) -> Finding | None:
    """What can be said without looking closely: there is no text, or none of a language that this check knows."""
    draft = subject.draft
    if not draft.words and not draft.code_blocks and not draft.headings:
        where = f" at {spec.of}" if spec.of else ""
        return Finding.of(spec, 0, f"there is no text{where}", "Empty text", "Write the text.")
    spoken = draft.language
    if spec.check in NEEDS_ENGLISH and not spoken.is_english:
        return Finding.not_judged(spec, f"not judged: the text is in {spoken.name}")
    if spec.check in NEEDS_SPACES and not spoken.is_spaced:
        return Finding.not_judged(spec, f"not judged: words cannot be counted in {spoken.name}")
    return None
