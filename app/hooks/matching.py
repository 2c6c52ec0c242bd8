"""Whether a rule takes a delivery: the pattern of its events, and conditions on what stands in the body.

    events       *   push   pull_request (and all below it)   pull_request.opened   issues.*
    conditions   {"path": "pull_request.base.ref", "is": "equals", "value": "main"}

All conditions must hold. Patterns of texts are RE2: they take no longer than the text is long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import re2

from app.errors import Invalid
from app.workflows.references import Named, Path, UnknownReference, placeholder

PATTERN: Final = re.compile(r"\*|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:\.\*)?")
MOST_CONDITIONS = 20
LONGEST_PATTERN = 500
ROOTS = ("body",)
_NOTHING: Final = object()


def event_fits(patterns: list[str], event: str) -> bool:
    """Whether one of the patterns means this event."""
    return any(_fits(pattern, event) for pattern in patterns)


def _fits(pattern: str, event: str) -> bool:
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return event.startswith(pattern[:-1])
    return event == pattern or event.startswith(pattern + ".")


def failing(conditions: list[dict[str, Any]], body: Any) -> dict[str, Any] | None:
    """The first condition that does not hold; None if all do."""
    return next((each for each in conditions if not _holds(each, body)), None)


def said(condition: dict[str, Any]) -> str:
    """A condition in words: `pull_request.base.ref equals "main"`."""
    shown = "" if condition.get("value") is None else f" {condition['value']!r}"[:120]
    return f"{condition['path']} {condition['is'].replace('_', ' ')}{shown}"


def complaints(events: list[str], conditions: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What cannot be understood of a rule's events and conditions, by JSON pointer."""
    if not isinstance(events, list) or not isinstance(conditions, list):
        return [("/events" if not isinstance(events, list) else "/conditions", "must be a list")]
    wrong = [
        (f"/events/{n}", "write it like push, pull_request.opened, issues.* or *")
        for n, each in enumerate(events)
        if not PATTERN.fullmatch(str(each))
    ]
    if not events:
        wrong.append(("/events", "name at least one; * is every event"))
    if len(conditions) > MOST_CONDITIONS:
        wrong.append(("/conditions", f"at most {MOST_CONDITIONS}"))
    for n, condition in enumerate(conditions):
        wrong += [(f"/conditions/{n}{pointer}", words) for pointer, words in _wrong(condition)]
    return wrong


def _wrong(condition: dict[str, Any]) -> list[tuple[str, str]]:
    if not isinstance(condition, dict) or condition.keys() - {"path", "is", "value"}:
        return [("", "takes path, is and value")]
    verb, value = condition.get("is"), condition.get("value")
    wrong: list[tuple[str, str]] = []
    try:
        _path(str(condition.get("path", "")))
    except Invalid as unreadable:
        wrong.append(("/path", unreadable.message))
    if verb not in VERBS:
        wrong.append(("/is", f"is not one of {', '.join(VERBS)}"))
    if verb == "in" and not isinstance(value, list):
        wrong.append(("/value", "must be a list"))
    if verb == "exists" and not isinstance(value, bool | None):
        wrong.append(("/value", "must be true, false, or left out"))
    if verb == "matches" and (said := _wrong_pattern(value)):
        wrong.append(("/value", said))
    return wrong


def _wrong_pattern(value: Any) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_PATTERN:
        return f"must be a pattern of 1 to {LONGEST_PATTERN} characters"
    try:
        _pattern(value)
    except re2.error as wrong:
        return f"is no pattern of RE2: {wrong}"
    return None


def _pattern(text: str) -> Any:
    wish = re2.Options()
    wish.log_errors = False
    wish.max_mem = 1 << 20
    return re2.compile(text, wish)


def _path(text: str) -> Path:
    """`pull_request.base.ref`, `commits[0].author`, `["any key"].x` as a path into the body."""
    lead = "{{body" if text.startswith("[") else "{{body."
    reference, end = placeholder(f"{lead}{text}}}}}", 0, "", ROOTS)
    if len(reference.alternatives) != 1 or reference.literal or end != len(lead) + len(text) + 2:
        raise Invalid("write it like pull_request.base.ref")
    return reference.alternatives[0]


def _holds(condition: dict[str, Any], body: Any) -> bool:
    try:
        found = Named({"body": body}).look(_path(condition["path"]))
    except UnknownReference:
        found = _NOTHING
    return VERBS[condition["is"]](found, condition.get("value"))


def _equals(found: Any, value: Any) -> bool:
    """Types count: true is not 1, and "1" is not 1."""
    return isinstance(found, bool) == isinstance(value, bool) and bool(found == value)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, list) and any(_equals(each, value) for each in found)


def _matches(found: Any, value: Any) -> bool:
    return isinstance(found, str) and _pattern(value).search(found) is not None


VERBS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equals": _equals,
    "not_equals": lambda found, value: not _equals(found, value),
    "contains": _contains,
    "matches": _matches,
    "exists": lambda found, value: (found is not _NOTHING and found is not None) is (value is not False),
    "in": lambda found, value: any(_equals(found, each) for each in value),
}
