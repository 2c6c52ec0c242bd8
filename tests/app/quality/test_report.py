from __future__ import annotations

from typing import Any

import pytest

from app.quality.definition import Gate
from app.quality.report import Finding, Report


def gate(*checks: dict[str, Any], **keys: Any) -> Gate:
    return Gate.read({"checks": [{"check": "length"} | each for each in checks]} | keys)


def report(*made: tuple[dict[str, Any], float | None], **keys: Any) -> Report:
    """The report on checks, each with its keys and its score; None: it could not be made."""
    judged_by = gate(*({"name": f"c{place}"} | spec for place, (spec, _) in enumerate(made)), **keys)
    found = [
        Finding.not_made(spec, "it is away")
        if score is None
        else Finding.of(spec, score, "seen", f"issue of {spec.name}" if score < 10 else None)
        for spec, (_, score) in zip(judged_by.checks, made, strict=True)
    ]
    return Report.of(judged_by, found, attempt=2)


def test_the_score_is_the_weighted_mean_of_what_ran() -> None:
    assert report(({"weight": 3}, 10), ({}, 2)).score == 8.0
    assert report(({"weight": 3}, 10), ({}, 2), ({"weight": 50}, None)).score == 8.0
    assert report(({}, 1), ({}, 1), ({}, 2)).score == 1.3


def test_weightless_checks_never_count_not_even_where_nothing_else_ran() -> None:
    assert report(({"weight": 0}, 0), ({}, 9)).score == 9.0
    assert report(({"weight": 0}, 4), ({}, None)).score is None
    assert not report(({"weight": 0}, 10), ({}, None)).passed


def test_nothing_made_is_no_score_and_no_pass() -> None:
    found = report(({}, None), threshold=0)
    assert (found.score, found.passed, found.issues) == (None, False, ())
    assert found.feedback == "No check of the gate could be made."
    assert [each.error for each in found.not_made] == ["it is away"]


def test_feedback_says_score_and_threshold() -> None:
    assert report(({}, 8.2)).feedback == "✓ Content approved (8.2/10, threshold: 7.0)"
    assert report(({}, 6.5)).feedback == "✗ Content needs improvement (6.5/10, threshold: 7.0)"
    assert report(({}, 7)).passed


def test_a_blocking_check_that_fails_blocks_whatever_the_score() -> None:
    found = report(({"mode": "blocking", "threshold": 5, "name": "must"}, 4.9), ({"weight": 20}, 10))
    assert not found.passed
    assert found.feedback == "✗ Content needs improvement (9.8/10, threshold: 7.0; blocked by must)"
    assert report(({"mode": "blocking", "threshold": 5}, 5), ({"weight": 20}, 10)).passed


def test_a_blocking_check_without_threshold_passes_without_issues_only() -> None:
    assert not report(({"mode": "blocking"}, 9.9)).passed
    assert report(({"mode": "blocking"}, 10)).passed


def test_a_blocking_check_that_was_not_made_does_not_block() -> None:
    assert report(({"mode": "blocking"}, None), ({}, 8)).passed


def test_issues_come_blocking_first_then_by_cost_and_none_twice() -> None:
    found = report(
        ({"name": "cheap", "weight": 1}, 8),
        ({"name": "dear", "weight": 4}, 5),
        ({"name": "blocks", "weight": 0.1, "mode": "blocking"}, 9),
        ({"name": "fine"}, 10),
    )
    assert found.issues == ("issue of blocks", "issue of dear", "issue of cheap")
    specs = gate({"name": "a"}, {"name": "b"})
    twice = Report.of(specs, [Finding.of(spec, 1, "", "Same") for spec in specs.checks])
    assert twice.issues == ("Same",)


@pytest.mark.parametrize(("score", "held"), [(-3, 0.0), (11, 10.0), (3.14159, 3.1)])
def test_a_score_stays_between_0_and_10_with_one_decimal(score: float, held: float) -> None:
    assert Finding.of(gate({}).checks[0], score).score == held


def test_the_document_has_what_is_kept() -> None:
    made = report(({"weight": 2}, 8), ({}, None), title="Mine").document("revise")
    assert made["verdict"] == "revise"
    assert made["gate"] == {"name": None, "version": None, "title": "Mine"}
    assert made["checks"][0] == {
        "name": "c0",
        "kind": "length",
        "score": 8.0,
        "weight": 2.0,
        "threshold": None,
        "mode": "advisory",
        "passed": False,
        "evidence": "seen",
        "issue": "issue of c0",
        "suggestion": None,
        "error": None,
    }
    assert made["checks"][1]["error"] == "it is away"
    assert (made["attempt"], made["score"], made["threshold"], made["passed"]) == (2, 8.0, 7.0, True)
