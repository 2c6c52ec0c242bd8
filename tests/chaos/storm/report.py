"""What is written down of a storm: as JSON for programs, as markdown for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.storm.catalogue import KINDS

Recovery = dict[str, float | None]
GOES_ON = ("job", "api", "backlog")


@dataclass(frozen=True)
class Report:
    """One storm."""

    seed: int
    minutes: float
    rate: float
    commit: str
    seconds: float
    """How long it took, with starting and calming down."""
    restarts: int
    jobs: dict[str, int]
    """How many ended how."""
    attempts: dict[str, int]
    orders: int
    sent_again: dict[str, int]
    """How often clients tried again, by what they were told."""
    faults: list[tuple[str, float, Recovery]]
    """Kind, seconds it lasted, and how long it then took until things went on."""
    not_possible: dict[str, str]
    lost: int
    doubled: int
    checked: int
    """How often everything was looked at while it went on."""
    broken: dict[str, list[Any]]
    surprises: dict[str, int] = field(default_factory=dict)
    cpu: float = 0.0
    """Processors that the product and the storm took."""

    @property
    def good(self) -> bool:
        """Whether everything held."""
        return not self.broken

    def as_json(self) -> str:
        """For programs."""
        return json.dumps(asdict(self) | {"good": self.good}, indent=1, default=str)


def by_kind(faults: Sequence[tuple[str, float, Recovery]]) -> dict[str, list[Recovery]]:
    """The recoveries of each kind, in the order of the catalogue."""
    found: dict[str, list[Recovery]] = {}
    for name in KINDS:
        if mine := [recovery for kind, _, recovery in faults if kind == name]:
            found[name] = mine
    return found


def whole(recovery: Recovery) -> float | None:
    """Until everything went on; None if something never did."""
    values = [recovery.get(what) for what in GOES_ON]
    return None if None in values else max(value for value in values if value is not None)


def seconds(values: Sequence[float | None], worst: bool = False) -> str:
    """The median, or the worst, in words."""
    known = [value for value in values if value is not None]
    if not known or (worst and len(known) < len(values)):
        return "never"
    return f"{max(known) if worst else statistics.median(known):.1f} s"


def markdown(report: Report) -> str:
    """For people."""
    return "\n".join([*_head(report), "", *_table(report), "", *_tail(report)]).rstrip() + "\n"


def _head(report: Report) -> list[str]:
    every = [whole(recovery) for _, _, recovery in report.faults]
    rows = {
        "seed, minutes, jobs a second": f"`{report.seed}`, {report.minutes:g}, {report.rate:g}",
        "commit": f"`{report.commit}`",
        "orders by clients": f"{report.orders:,}, sent again {sum(report.sent_again.values()):,} times",
        "jobs": f"{sum(report.jobs.values()):,}: {_counts(report.jobs)}",
        "attempts": f"{sum(report.attempts.values()):,}: {_counts(report.attempts)}",
        "faults": f"{len(report.faults)} of {len(by_kind(report.faults))} kinds; processes started again {report.restarts} times",
        "**jobs lost**": f"**{report.lost}**",
        "**duplicates settled**": f"**{report.doubled}**",
        "until all went on again": f"half of the times within {seconds(every)}, at worst {seconds(every, worst=True)}",
        "all laws looked at": f"{report.checked:,} times meanwhile, and at the end",
        "processors taken": f"{report.cpu:.2f}",
        "broken": ", ".join(report.broken) or "nothing",
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def _table(report: Report) -> list[str]:
    """One row for each kind of fault."""
    lines = [
        "| fault | times | what happened | a job completes: p50, worst | the API answers | nothing waits long |",
        "|---|---|---|---|---|---|",
    ]
    for name, recoveries in by_kind(report.faults).items():
        cells = [
            f"{seconds(values)}, {seconds(values, worst=True)}"
            for values in ([recovery.get(what) for recovery in recoveries] for what in GOES_ON)
        ]
        lines.append(
            f"| {KINDS[name].what} | {len(recoveries)} | {KINDS[name].survived} | {' | '.join(cells)} |"
        )
    return lines


def _tail(report: Report) -> list[str]:
    lines = [f"- not possible here: {kind}: {why}" for kind, why in report.not_possible.items()]
    for name, rows in report.broken.items():
        lines += [f"- **broken: {name}**", *(f"  - `{row}`" for row in rows)]
    return lines


BEGIN, END = "<!-- storm: written by python -m tests.chaos.storm --write-docs -->", "<!-- /storm -->"


def into_guide(text: str, report: Report) -> str:
    """The guide with this report between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not begin or not end:
        msg = "the guide has no place for a report"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{markdown(report)}\n{END}{behind}"


def write_guide(path: Path, report: Report) -> None:
    """Put the report into the guide at `path`."""
    path.write_text(into_guide(path.read_text(), report))
