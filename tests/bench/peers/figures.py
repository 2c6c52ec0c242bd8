"""From what was measured to what is said: medians of the rounds, ratios within a round, and what was asked of Callboard.

Pure: takes the JSON of a run and answers plain values. A figure that is missing is None and is shown as a dash.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OURS = "callboard"
# Of Callboard's rate to another's, in the same round: at least so much.
WANTED_RATIOS = {"oban": 1.0, "dramatiq": 0.6, "procrastinate": 2.0, "dbos": 2.0, "celery": 2.0}
WANTED_BULK, WANTED_IDLE_MS = 8000.0, 10.0


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One thing that was asked of Callboard; `met` is None where it could not be measured."""

    what: str
    asked: str
    got: str
    met: bool | None


def measured(found: dict[str, Any]) -> dict[str, Any]:
    """The peers that have at least one whole round."""
    return {name: peer for name, peer in found["peers"].items() if peer.get("rounds")}


def rates(peer: dict[str, Any], key: str) -> list[float]:
    """This figure of each round that has it."""
    return [each[key] for each in peer["rounds"] if each.get(key) is not None]


def middle(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def samples(peer: dict[str, Any], key: str) -> list[float]:
    """The samples of all rounds together."""
    return sorted(value for each in peer["rounds"] for value in each.get(key, ()))


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def processor_us(peer: dict[str, Any]) -> dict[str, float | None]:
    """Medians of the processor time a job: worker, postgres, redis."""
    names = ("worker", "postgres", "redis")
    return {name: middle([each["us"][name] for each in peer["rounds"]]) for name in names}


def ratios(found: dict[str, Any], other: str, key: str = "drained") -> list[float]:
    """Callboard's rate over another's, round by round; only rounds that both have."""
    peers = measured(found)
    if OURS not in peers or other not in peers:
        return []
    ours, theirs = ({each["round"]: each[key] for each in peers[name]["rounds"]} for name in (OURS, other))
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]


def total_mb(peer: dict[str, Any]) -> tuple[float | None, float | None]:
    """Memory of the workers, and of what else belongs to it (Callboard: web and scheduler)."""
    rest = [
        sum(size for size in each["rest_mb"].values() if size)
        for each in peer["rounds"]
        if each.get("rest_mb")
    ]
    return middle(rates(peer, "memory_mb")), middle(rest)


def goals(found: dict[str, Any]) -> list[Goal]:
    """What was asked of Callboard, and what it got in this run."""
    ours = measured(found).get(OURS)
    if ours is None:
        return []
    answers = [_ratio_goal(found, other, wanted) for other, wanted in WANTED_RATIOS.items()]
    bulk = middle(rates(ours, "bulk"))
    answers.append(
        _goal("bulk a second", f"≥ {WANTED_BULK:,.0f}", bulk, f"{bulk or 0:,.0f}", WANTED_BULK, above=True)
    )
    for key, what in (("idle_ms", "submit → body, p50"), ("http_ms", "POST → body, p50")):
        value = quantile(samples(ours, key), 0.5)
        asked = f"≤ {WANTED_IDLE_MS:.0f} ms"
        answers.append(_goal(what, asked, value, f"{value or 0:.1f} ms", WANTED_IDLE_MS, above=False))
    return answers


def _ratio_goal(found: dict[str, Any], other: str, wanted: float) -> Goal:
    each = ratios(found, other)
    got = middle(each)
    said = f"{got or 0:.2f} × ({', '.join(f'{one:.2f}' for one in each)})"
    return _goal(f"drained, over {other}", f"≥ {wanted:g} ×", got, said, wanted, above=True)


def _goal(what: str, asked: str, value: float | None, said: str, wanted: float, *, above: bool) -> Goal:
    if value is None:
        return Goal(what=what, asked=asked, got="not measured", met=None)
    return Goal(what=what, asked=asked, got=said, met=value >= wanted if above else value <= wanted)
