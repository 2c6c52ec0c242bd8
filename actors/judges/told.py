"""What a program, an address or a model said of a draft, read into a finding."""

from __future__ import annotations

from typing import Any

from actors.runners.base import JSON
from app.errors import TemporaryError
from app.quality.definition import CheckSpec
from app.quality.report import Finding

LONGEST = 2_000
MOST_ISSUES = 10
BEST = 10.0


def finding_of(spec: CheckSpec, told: JSON, evidence: str = "") -> Finding:
    """The finding that {score or passed, issue or issues, suggestion or feedback, evidence} means.

    Raises TemporaryError for an answer without a score from 0 to 10: that is a check that was not made.
    """
    score = score_of(told)
    issue = "; ".join(issues_of(told)) or None
    finding = Finding.of(
        spec,
        score,
        evidence=text_of(told.get("evidence")) or evidence,
        issue=issue,
        suggestion=text_of(told.get("suggestion")) or text_of(told.get("feedback")) or None,
    )
    if finding.passed is False and issue is None:
        return Finding.of(
            spec,
            score,
            evidence=finding.evidence,
            issue=f"{spec.name}: {score:g} of 10",
            suggestion=finding.suggestion,
        )
    return finding


def score_of(told: JSON) -> float:
    """The score an answer has; raises TemporaryError if it has none."""
    score, passed = told.get("score"), told.get("passed")
    if score is None and isinstance(passed, bool):
        return BEST if passed else 0.0
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= BEST:
        raise TemporaryError(f"its answer has no score from 0 to 10, but {score!r:.100}")
    return float(score)


def issues_of(told: JSON) -> list[str]:
    """What is wrong, at most ten things."""
    issues = told.get("issues")
    listed = issues if isinstance(issues, list) else [told.get("issue")]
    return [said for issue in listed if (said := text_of(issue))][:MOST_ISSUES]


def text_of(value: Any) -> str:
    """A text of fair length; "" for anything else."""
    return value.strip()[:LONGEST] if isinstance(value, str) else ""
