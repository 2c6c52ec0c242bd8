from __future__ import annotations

import time
from typing import Any

import pytest

from app.hooks import matching
from tests.app.hooks.sending import ISSUES, PULL_REQUEST, PUSH


@pytest.mark.parametrize(
    ("pattern", "event", "fits"),
    [
        ("*", "push", True), ("push", "push", True), ("push", "pushed", False),
        ("pull_request", "pull_request.opened", True), ("pull_request", "pull_request_review.submitted", False),
        ("pull_request.opened", "pull_request.opened", True), ("pull_request.opened", "pull_request.closed", False),
        ("issues.*", "issues.labeled", True), ("issues.*", "issues", False), ("issues.*", "issues_x.y", False),
    ],
)  # fmt: skip
def test_a_pattern_means_these_events(pattern: str, event: str, *, fits: bool) -> None:
    assert matching.event_fits([pattern], event) is fits


@pytest.mark.parametrize(
    ("path", "verb", "value", "body", "holds"),
    [
        ("pull_request.base.ref", "equals", "main", PULL_REQUEST, True),
        ("pull_request.draft", "equals", 0, PULL_REQUEST, False),  # false is not 0
        ("pull_request.number", "equals", "2", PULL_REQUEST, False),
        ("pull_request.base.ref", "not_equals", "main", PULL_REQUEST, False),
        ("pull_request.merged", "not_equals", True, PULL_REQUEST, True),  # it is not there
        ("pull_request.title", "contains", "README", PULL_REQUEST, True),
        ("commits[0].modified", "contains", "tides.py", PUSH, True),
        ("commits[0].author", "contains", "name", PUSH, False),
        ("ref", "matches", "^refs/heads/(main|release/.*)$", PUSH, True),
        ("ref", "matches", "^main$", PUSH, False),
        ("issue.number", "matches", "1", ISSUES, False),  # no text
        ("label.name", "in", ["bug", "crash"], ISSUES, True),
        ("label.name", "in", [], ISSUES, False),
        ("label", "exists", None, ISSUES, True),
        ("milestone", "exists", False, ISSUES, True),
        ("milestone", "exists", True, ISSUES, False),
        ('["ref"]', "equals", "refs/heads/main", PUSH, True),
        ("[0].ref", "equals", "x", [{"ref": "x"}], True),
        ("ref", "equals", "x", "only text", False),
    ],
)  # fmt: skip
def test_a_condition_holds_or_not(path: str, verb: str, value: Any, body: Any, *, holds: bool) -> None:
    condition = {"path": path, "is": verb, "value": value}

    assert matching.complaints(["*"], [condition]) == []
    assert (matching.failing([condition], body) is None) is holds


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        ({"path": "a..b", "is": "exists"}, "/path"), ({"path": "", "is": "exists"}, "/path"),
        ({"path": "a}} {{b", "is": "exists"}, "/path"), ({"path": "a ?? b", "is": "exists"}, "/path"),
        ({"path": "a", "is": "like"}, "/is"), ({"path": "a", "is": "in", "value": "x"}, "/value"),
        ({"path": "a", "is": "matches", "value": "("}, "/value"), ({"path": "a", "is": "matches"}, "/value"),
        ({"path": "a", "is": "matches", "value": "(?=x)"}, "/value"), ({"path": "a", "is": "exists", "value": 3}, "/value"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told_with_its_place(condition: dict[str, Any], where: str) -> None:
    assert [pointer for pointer, _ in matching.complaints(["*"], [condition])] == [f"/conditions/0{where}"]


def test_events_are_written_in_one_of_three_ways() -> None:
    assert [where for where, _ in matching.complaints(["push", "*.x", "a b", "**", "a.*.b", "a.*"], [])] == [
        "/events/1", "/events/2", "/events/3", "/events/4",
    ]  # fmt: skip
    assert matching.complaints([], [])[0][0] == "/events"


def test_a_hostile_text_takes_no_longer() -> None:
    """What makes other engines try for years."""
    began = time.thread_time()
    assert matching.failing([{"path": "t", "is": "matches", "value": "^(a+)+$"}], {"t": "a" * 50_000 + "!"})

    assert time.thread_time() - began < 1
