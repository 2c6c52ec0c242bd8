"""What the doctor finds, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from app.ops.doctor.place import Place

Severity = Literal["error", "warning", "info"]
State = Literal["ok", "info", "warning", "error", "skipped"]

# What a finding takes off the hundred.
COSTS: dict[str, int] = {"error": 15, "warning": 4, "info": 0}
COST_OF_UNKNOWN = 2
EXIT_CODES: dict[str, int] = {"error": 2, "warning": 1}


@dataclass(frozen=True)
class Finding:
    """One thing that should be otherwise."""

    severity: Severity
    what: str
    why: str
    fix: str
    """A command or a setting."""


def error(what: str, why: str, fix: str) -> Finding:
    """Something does not work, or stands open."""
    return Finding("error", what, why, fix)


def warning(what: str, why: str, fix: str) -> Finding:
    """It works, and will not when it matters."""
    return Finding("warning", what, why, fix)


def info(what: str, why: str, fix: str) -> Finding:
    """Good to know; takes nothing off the score."""
    return Finding("info", what, why, fix)


Said = Finding | str
"""What a check says: findings, and facts in a few words."""
Look = Callable[[Place], Iterator[Said]]


@dataclass(frozen=True)
class Check:
    """One thing to look at; what `needs` something is left out while that is away."""

    name: str
    title: str
    look: Look
    needs: Literal["", "postgres", "redis"] = ""


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    check: str
    title: str
    findings: list[Finding]
    facts: list[str]
    skipped: str = ""
    """Why nobody looked."""

    @property
    def state(self) -> State:
        """As bad as its worst finding."""
        for severity in ("error", "warning", "info"):
            if any(finding.severity == severity for finding in self.findings):
                return severity
        return "skipped" if self.skipped else "ok"


@dataclass(frozen=True)
class Report:
    """Everything that was looked at."""

    at: datetime
    seconds: float
    results: list[Result]

    @property
    def findings(self) -> list[tuple[Result, Finding]]:
        """All findings, the worst first."""
        order = list(COSTS)
        found = [(result, finding) for result in self.results for finding in result.findings]
        return sorted(found, key=lambda pair: order.index(pair[1].severity))

    @property
    def score(self) -> int:
        """0 to 100; what nobody could look at is not well either."""
        unknown = sum(COST_OF_UNKNOWN for result in self.results if result.skipped)
        return max(0, 100 - unknown - sum(COSTS[finding.severity] for _, finding in self.findings))

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 1 warnings, 2 errors."""
        return max((EXIT_CODES.get(finding.severity, 0) for _, finding in self.findings), default=0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "score": self.score,
            "status": {0: "ok", 1: "warning", 2: "error"}[self.exit_code],
            "seconds": round(self.seconds, 2),
            "at": self.at,
            "findings": [{"check": result.check, **asdict(finding)} for result, finding in self.findings],
            "checks": [
                {"check": r.check, "title": r.title, "state": r.state, "facts": r.facts, "skipped": r.skipped}
                for r in self.results
            ],
        }
