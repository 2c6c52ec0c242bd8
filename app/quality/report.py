"""What checks found, and what a gate makes of it: score, verdict in a sentence, issues with the costliest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from app.quality.definition import CheckSpec, Gate


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    kind: str
    score: float | None
    """0 to 10; None: not judged (it was not asked for, or cannot tell), or not made (then `error` says why)."""
    weight: float = 1.0
    threshold: float | None = None
    mode: str = "advisory"
    passed: bool | None = None
    """None where there is no score."""
    evidence: str = ""
    issue: str | None = None
    suggestion: str | None = None
    error: str | None = None
    """Why the check could not be made; it is then no part of the score and no rejection."""

    @classmethod
    def of(
        cls,
        spec: CheckSpec,
        score: float,
        evidence: str = "",
        issue: str | None = None,
        suggestion: str | None = None,
    ) -> Finding:
        """A check that was made."""
        held = round(min(10.0, max(0.0, score)), 1)
        passed = issue is None if spec.least is None else held >= spec.least
        return cls(
            **_facts(spec), score=held, passed=passed, evidence=evidence, issue=issue, suggestion=suggestion
        )

    @classmethod
    def not_judged(cls, spec: CheckSpec, why: str) -> Finding:
        """A check that has nothing to say about this text; that is no error."""
        return cls(**_facts(spec), score=None, evidence=why)

    @classmethod
    def not_made(cls, spec: CheckSpec, error: str) -> Finding:
        """A check that could not be made."""
        return cls(**_facts(spec), score=None, error=error)

    @property
    def ran(self) -> bool:
        """It has a score."""
        return self.score is not None

    @property
    def blocks(self) -> bool:
        """Nothing passes because of it."""
        return self.mode == "blocking" and self.passed is False

    @property
    def cost(self) -> float:
        """What it takes off the score, before weights are shared out."""
        return 0.0 if self.score is None else self.weight * (10.0 - self.score)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the checks of a gate say together about one draft."""

    attempt: int
    score: float | None
    """The weighted mean of the checks that have a score, 0 to 10 with one decimal; None if none that counts has."""
    threshold: float
    passed: bool
    issues: tuple[str, ...]
    findings: tuple[Finding, ...]
    gate: dict[str, Any]

    @classmethod
    def of(cls, gate: Gate, findings: Iterable[Finding], *, attempt: int = 1) -> Report:
        """Sum up; passed are those that reach the gate's threshold and fail no blocking check."""
        found = tuple(findings)
        score = _mean([finding for finding in found if finding.ran])
        return cls(
            attempt=attempt,
            score=score,
            threshold=gate.threshold,
            passed=_passed(found, score, gate.threshold),
            issues=_issues(found),
            findings=found,
            gate=gate.summary(),
        )

    @property
    def feedback(self) -> str:
        """The verdict in one sentence."""
        blocked = ", ".join(finding.name for finding in self.findings if finding.blocks)
        why = f"; blocked by {blocked}" if blocked and (self.score or 0) >= self.threshold else ""
        return self.feedback_on(self.score, self.threshold, passed=self.passed, why=why)

    @staticmethod
    def feedback_on(score: float | None, threshold: float, *, passed: bool, why: str = "") -> str:
        """The sentence for a score; `why` it did not pass if the score would have."""
        if score is None:
            return "No check of the gate could be made."
        said = "✓ Content approved" if passed else "✗ Content needs improvement"
        return f"{said} ({score:.1f}/10, threshold: {threshold:.1f}{why})"

    @property
    def not_made(self) -> list[Finding]:
        """The checks that could not be made."""
        return [finding for finding in self.findings if finding.error is not None]

    def document(self, verdict: str | None = None) -> dict[str, Any]:
        """The report as JSON, as it is kept with the draft and shown."""
        return {
            "attempt": self.attempt,
            "score": self.score,
            "threshold": self.threshold,
            "passed": self.passed,
            "verdict": verdict or ("passed" if self.passed else None),
            "issues": list(self.issues),
            "feedback": self.feedback,
            "checks": [asdict(finding) for finding in self.findings],
            "gate": self.gate,
        }


def _facts(spec: CheckSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": spec.check,
        "weight": spec.weight,
        "threshold": spec.least,
        "mode": spec.mode,
    }


def _mean(ran: list[Finding]) -> float | None:
    total = sum(finding.weight for finding in ran)
    if not total:  # what has no weight is shown, and not counted
        return None
    return round(sum((finding.score or 0.0) * finding.weight for finding in ran) / total, 1)


def _passed(found: tuple[Finding, ...], score: float | None, threshold: float) -> bool:
    return score is not None and score >= threshold and not any(finding.blocks for finding in found)


def _issues(found: tuple[Finding, ...]) -> tuple[str, ...]:
    """What blocks first, then the costliest; none said twice."""
    complaining = [finding for finding in found if finding.issue]
    ordered = sorted(complaining, key=lambda finding: (not finding.blocks, -finding.cost))
    return tuple(dict.fromkeys(str(finding.issue) for finding in ordered))
