"""The editor's review of a draft: the checks of app/quality with the editor's weights, told one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from app.quality.checks import check as make
from app.quality.definition import Gate
from app.quality.report import Finding, Report
from app.quality.subject import Subject
from app.quality.text.draft import Draft

CRITERIA: tuple[tuple[str, float], ...] = (
    ("length", 2.0),
    ("structure", 0.75),
    ("headings", 1.25),
    ("lists", 0.25),
    ("introduction", 0.75),
    ("examples", 1.25),
    ("conclusion", 1.0),
    ("call_to_action", 0.75),
    ("readability", 1.0),
    ("tone", 0.75),
    ("keywords", 1.0),
    ("wording", 0.5),
    ("stock_phrases", 0.5),
)
"""Kind and weight of every check, in the order they are made."""


@dataclass(frozen=True)
class Check:
    """One graded quality of a draft."""

    name: str
    weight: float
    grade: float
    """0 (absent) to 1 (as wished)."""
    evidence: str
    issue: str | None
    suggestion: str | None

    @property
    def passed(self) -> bool:
        """Nothing to complain about."""
        return self.issue is None


@dataclass(frozen=True)
class Quality:
    """What the checks say together."""

    score: float
    threshold: float
    checks: tuple[Check, ...]
    issues: list[str]
    """The complaints, the costliest first."""
    feedback: str
    """The verdict in one sentence."""

    @property
    def passed(self) -> bool:
        """The score reaches the threshold."""
        return self.score >= self.threshold

    def document(self) -> dict[str, Any]:
        """The quality as JSON."""
        return {
            "score": self.score,
            "threshold": self.threshold,
            "passed": self.passed,
            "issues": self.issues,
            "feedback": self.feedback,
            "checks": [{**asdict(check), "passed": check.passed} for check in self.checks],
        }


def grade(
    content: str,
    wishes: dict[str, Any],
    threshold: float = 7.0,
    each: Callable[[Check], None] = lambda _: None,
) -> Quality:
    """Judge a draft; `each` hears of every check as it is made. What cannot be judged is left out."""
    subject = Subject(content, {"content": content}, wishes)
    gate = _gate().model_copy(update={"threshold": threshold})
    found: list[Finding] = []
    checks: list[Check] = []
    for spec in gate.checks:
        found.append(finding := make(spec, subject))
        if finding.score is not None:
            checks.append(_as_check(finding, finding.score))
            each(checks[-1])
    report = Report.of(gate, found)
    score = round(min(report.score or 0.0, _ceiling(subject.draft, subject.number("target_length"))), 1)
    told = Report.feedback_on(score, threshold, passed=score >= threshold)
    return Quality(score, threshold, tuple(checks), list(report.issues), told)


def _as_check(finding: Finding, score: float) -> Check:
    return Check(
        finding.name,
        finding.weight,
        round(score / 10, 2),
        finding.evidence,
        finding.issue,
        finding.suggestion,
    )


@cache
def _gate() -> Gate:
    return Gate.read(
        {"title": "Review", "checks": [{"check": kind, "weight": weight} for kind, weight in CRITERIA]}
    )


def _ceiling(draft: Draft, target: int) -> float:
    """The best score a fragment can get: a tenth of the length wished for cannot be a good article."""
    return 10.0 if (share := draft.words / (target or 300)) >= 0.7 else 2.0 + 7.0 * share
