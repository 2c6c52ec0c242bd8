"""What the tools found, in one shape: merged, ordered by severity, counted and told as markdown."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from actors.runners.base import JSON


class Severity(StrEnum):
    """How much a finding matters."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


RANKS = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}

REPORTED = 60
"""Findings in the markdown report; the rest is counted, and listed in the JSON artifact."""
RETURNED = 100
"""Findings in the job's result, which is a row in the database."""
KEPT = 5_000
"""Findings in the artifacts."""
REPORT_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One complaint of one tool about one place."""

    tool: str
    rule: str
    severity: Severity
    path: str
    line: int
    message: str
    column: int = 1
    end_line: int | None = None
    confidence: str | None = None
    help_url: str | None = None
    cwe: int | None = None

    @property
    def place(self) -> str:
        """`path:line`."""
        return f"{self.path}:{self.line}"

    @property
    def fingerprint(self) -> str:
        """The same for the same complaint after lines have moved."""
        return hashlib.sha256(f"{self.rule}\n{self.path}\n{self.message}".encode()).hexdigest()[:32]

    def as_json(self) -> JSON:
        """The finding for JSON; what is unknown is left out."""
        values = {
            "severity": self.severity.value,
            "rule": self.rule,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "message": self.message,
            "tool": self.tool,
            "confidence": self.confidence,
            "cwe": self.cwe,
            "help_url": self.help_url,
            "fingerprint": self.fingerprint,
        }
        return {key: value for key, value in values.items() if value is not None}


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first, then by place; of equal complaints (bandit's B602 is ruff's S602) the first is kept."""
    seen: dict[tuple[str, int, str], Finding] = {}
    for finding in findings:
        seen.setdefault((finding.path, finding.line, _twin(finding.rule)), finding)
    return sorted(
        seen.values(), key=lambda found: (RANKS[found.severity], found.path, found.line, found.rule)
    )


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each severity, and `total`."""
    by_severity = Counter(finding.severity for finding in findings)
    return {severity.value: by_severity[severity] for severity in Severity} | {"total": by_severity.total()}


def by_rule(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each rule, most frequent first."""
    return dict(Counter(finding.rule for finding in findings).most_common(30))


def table(findings: Sequence[Finding]) -> str:
    """The first findings as a markdown table, with a sentence on how many more there are."""
    if not findings:
        return "Nothing found.\n"
    rows = ["| Severity | Where | What | Rule |", "|---|---|---|---|"]
    rows += [_row(finding) for finding in findings[:REPORTED]]
    more = len(findings) - REPORTED
    return "\n".join(rows) + (f"\n\n…and {more} more in the JSON file.\n" if more > 0 else "\n")


def cell(text: str, limit: int = 160) -> str:
    """`text` made safe for one cell of a markdown table."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= limit else flat[: limit - 1] + "…"
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", flat)


def code(text: str, limit: int = 100) -> str:
    """`text` as inline code for a table cell; a long path keeps its end."""
    flat = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return f"`{flat if len(flat) <= limit else '…' + flat[-limit + 1 :]}`"


def shortened(report: str) -> str:
    """`report` cut at a line so that it fits into a job's result."""
    encoded = report.encode()
    if len(encoded) <= REPORT_BYTES:
        return report
    kept = encoded[: REPORT_BYTES - 100].decode(errors="ignore").rsplit("\n", 1)[0]
    return kept + "\n\n…the whole report is among the artifacts.\n"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 test`, `2 tests`, `2 classes` (with `many`)."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _row(finding: Finding) -> str:
    rule = f"[{finding.rule}]({finding.help_url})" if finding.help_url else finding.rule
    return f"| {finding.severity.value} | {code(finding.place)} | {cell(finding.message)} | {rule} |"


def _twin(rule: str) -> str:
    numbered = re.fullmatch(r"[BS](\d{3})", rule)
    return numbered[1] if numbered else rule
