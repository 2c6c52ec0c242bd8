"""A deterministic 0-10 quality score for drafts: weighted checks, each with evidence and advice.

Every check looks at one quality and answers a grade from 0 to 1. The score is their weighted mean
times ten, so that the same text with the same wishes always gets the same score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from actors.builtin.text import criteria
from actors.builtin.text.criteria import Finding, Wishes
from actors.builtin.text.draft import Draft


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

    @property
    def passed(self) -> bool:
        """The score reaches the threshold."""
        return self.score >= self.threshold

    @property
    def issues(self) -> list[str]:
        """The complaints, the costliest first."""
        failing = [check for check in self.checks if check.issue]
        return [
            str(check.issue) for check in sorted(failing, key=lambda check: -check.weight * (1 - check.grade))
        ]

    @property
    def feedback(self) -> str:
        """The verdict in one sentence."""
        if self.passed:
            return f"✓ Content approved ({self.score:.1f}/10, threshold: {self.threshold:.1f})"
        return f"✗ Content needs improvement ({self.score:.1f}/10, threshold: {self.threshold:.1f})"

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


CRITERIA: tuple[tuple[str, float, Callable[[Draft, Wishes], Finding | None]], ...] = (
    ("length", 2.0, criteria.length),
    ("structure", 1.0, criteria.structure),
    ("headings", 1.25, criteria.headings),
    ("introduction", 0.75, criteria.introduction),
    ("examples", 1.25, criteria.examples),
    ("conclusion", 1.0, criteria.conclusion),
    ("call_to_action", 0.75, criteria.call_to_action),
    ("readability", 1.0, criteria.reading_ease),
    ("tone", 0.75, criteria.tone),
    ("keywords", 1.0, criteria.keyword_coverage),
    ("language", 1.0, criteria.language),
)
"""Name, weight and function of every check, in the order they are made."""


def grade(
    content: str, wishes: Wishes, threshold: float = 7.0, each: Callable[[Check], None] = lambda _: None
) -> Quality:
    """Judge a draft; `each` hears of every check as it is made."""
    draft = Draft(content)
    checks: list[Check] = []
    for name, weight, criterion in CRITERIA:
        finding = criterion(draft, wishes)
        if finding is not None:
            checks.append(Check(name, weight, round(min(1.0, max(0.0, finding.grade)), 2), finding.evidence,
                                finding.issue, finding.suggestion))  # fmt: skip
            each(checks[-1])
    total = sum(check.weight for check in checks)
    score = 10 * sum(check.weight * check.grade for check in checks) / total if draft.words else 0.0
    return Quality(round(min(score, _ceiling(draft, wishes)), 1), threshold, tuple(checks))


def _ceiling(draft: Draft, wishes: Wishes) -> float:
    """The best score a fragment can get: a tenth of the length wished for cannot be a good article."""
    return 10.0 if (share := draft.words / (wishes.target_length or 300)) >= 0.7 else 2.0 + 7.0 * share
