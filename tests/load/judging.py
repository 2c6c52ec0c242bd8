"""What a scenario is asked for, and whether it was kept: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.load.scenarios import Plan

P95_MS = 100
POLL_MS = 2000  # the hard limit of an answer to a poll, also in a spike
GROWTH = 1.5
GROWTH_MIB = 150


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    name: str
    asked: str
    found: str
    met: bool
    timed: bool = False
    """Whether it is about how fast this machine is, not about right and wrong."""


def verdicts(plan: Plan, found: dict[str, Any]) -> list[Verdict]:
    """All lines of a scenario."""
    kinds = {1: _sustained, 2: _spike, 3: _volume}
    return [*kinds[plan.scenario](plan, found), *_correct(found), *_inside(found)]


def _sustained(plan: Plan, found: dict[str, Any]) -> list[Verdict]:
    seen, lines = found["seen"], []
    if plan.per_second:
        least = 0.9 * plan.per_second  # users come one after the other, and go
        reached = seen["requests_per_second"]
        lines.append(
            Verdict(
                "requests a second", f"{plan.per_second:g}", f"{reached:.1f}", reached >= least, timed=True
            )
        )
    for name, kind in [*sorted(seen["kinds"].items()), ("all", seen["all"])]:
        lines.append(
            Verdict(f"p95 of {name}", f"< {P95_MS} ms", _milliseconds(kind), kind["p95"] < P95_MS, timed=True)
        )
    return lines


def _spike(_plan: Plan, found: dict[str, Any]) -> list[Verdict]:
    seen = found["seen"]
    return [
        Verdict(f"p95 of {name}", f"< {POLL_MS} ms", _milliseconds(kind), kind["p95"] < POLL_MS, timed=True)
        for name, kind in [*sorted(seen["kinds"].items()), ("all", seen["all"])]
    ]


def _volume(plan: Plan, found: dict[str, Any]) -> list[Verdict]:
    seen, ends = found["seen"], found["ends"]
    lines = [
        Verdict("jobs accepted", f"{plan.tasks}", f"{seen['accepted']}", seen["accepted"] == plan.tasks),
        Verdict(
            "accepted within",
            f"{plan.submit_seconds:g} s",
            f"{seen['submit_seconds']:.1f} s",
            seen["submit_seconds"] <= plan.submit_seconds,
            timed=True,
        ),
        Verdict(
            "clients saw the end of",
            f"{plan.tasks}",
            f"{_ended(seen)}",
            seen["seen_ended"] == {"completed": plan.tasks},
        ),
    ]
    if "seconds" in ends:
        took = ends["seconds"] or 0
        lines.append(
            Verdict(
                "all done within",
                f"{plan.seconds / 60:g} min",
                f"{took:.0f} s",
                took <= plan.seconds,
                timed=True,
            )
        )
    return lines


def _correct(found: dict[str, Any]) -> list[Verdict]:
    """What no machine may be too slow for."""
    seen, ends = found["seen"], found["ends"]
    failed = sum(kind["failed"] for kind in seen["kinds"].values())
    wrong = "; ".join(f"{each['times']} × {each['kind']}: {each['error']}" for each in seen["errors"][:3])
    return [
        Verdict("errors", "0", f"{failed} {wrong}".strip(), not failed and not seen["errors"]),
        Verdict("accepted jobs that are there", f"{seen['accepted']}", f"{ends['promised']}", ends["promised"] == seen["accepted"]),
        Verdict("jobs completed", f"{ends['jobs']}", f"{ends['completed']}", ends["completed"] == ends["jobs"]),
        # A submission whose answer was lost may have made a job; one without an error may not have made two.
        Verdict(
            "jobs that nobody was promised", f"≤ {failed}", f"{ends['jobs'] - seen['accepted']}",
            0 <= ends["jobs"] - seen["accepted"] <= failed,
        ),
        Verdict("answers afterwards", "yes", "yes" if found["answers"] else "no", found["answers"]),
    ]  # fmt: skip


def _inside(found: dict[str, Any]) -> list[Verdict]:
    """What only the machine itself can see."""
    if "died" not in found:
        return []
    broken, memory = found["ends"]["broken"], found["memory_mib"]
    most = max(memory["before"] * GROWTH, memory["before"] + GROWTH_MIB)
    return [
        Verdict("invariants broken", "none", ", ".join(broken) or "none", not broken),
        Verdict("processes that ended", "none", ", ".join(found["died"]) or "none", not found["died"]),
        Verdict("alarms in the logs", "none", "; ".join(found["alarms"]) or "none", not found["alarms"]),
        Verdict(
            "memory afterwards",
            f"≤ {most:.0f} MiB",
            f"{memory['after']} MiB (before {memory['before']}, at most {memory['peak']})",
            memory["after"] <= most,
        ),
    ]


def _milliseconds(kind: dict[str, float]) -> str:
    return f"{kind['p95']:.0f} ms (p50 {kind['p50']:.0f}, p99 {kind['p99']:.0f}, worst {kind['max']:.0f}, n {kind['n']})"


def _ended(seen: dict[str, Any]) -> str:
    return ", ".join(f"{n} {status}" for status, n in sorted(seen["seen_ended"].items())) or "none"
