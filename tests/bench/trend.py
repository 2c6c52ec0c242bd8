"""Whether a figure that was taken again and again grew: the middle third of the run against its last third.

The first third is the warm-up: caches fill, pools open connections, memory that was once needed stays with its process.
A median of many samples does not see a single high one, and what really leaks is higher in every later third.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bound:
    """How much the last third may be above the middle one: by a share of it, or by `slack` in its own unit."""

    share: float
    slack: float


BOUNDS = {
    "memory": Bound(0.10, 8e6),
    "count": Bound(0.10, 4),
    "size": Bound(0.25, 4e6),
    "rows": Bound(0.25, 20_000),
    "seconds": Bound(0.50, 5),
    "keys": Bound(0.20, 50),
    "per job": Bound(0.20, 100),
}


@dataclass(frozen=True)
class Series:
    """One figure over the run, and by which of BOUNDS it is judged."""

    kind: str
    values: list[float]


def verdict(series: Series) -> dict[str, Any]:
    """{kind, first, middle, last, most, growth, bound, grew} of one figure; thirds are told by their medians."""
    bound = BOUNDS[series.kind]
    first, middle, last = (statistics.median(part) for part in thirds(series.values))
    above = last - middle
    return {
        "kind": series.kind,
        "first": round(first, 2),
        "middle": round(middle, 2),
        "last": round(last, 2),
        "most": round(max(series.values), 2),
        "growth": round(last / middle, 3) if middle else None,
        "bound": f"{1 + bound.share:g} x, or {bound.slack:g} more",
        "grew": above > bound.slack and above > bound.share * middle,
    }


def thirds(values: list[float]) -> tuple[list[float], list[float], list[float]]:
    """The samples of each third of the run; none is empty."""
    if len(values) < 3:
        msg = f"{len(values)} samples are too few to tell whether something grew"
        raise ValueError(msg)
    one, two = len(values) // 3, 2 * len(values) // 3
    return values[:one], values[one:two], values[two:]


def per_job(sizes: list[float], jobs: list[float]) -> list[float]:
    """How much was added for each job, from sample to sample: flat where a table grows only by what is written."""
    window = max(1, len(sizes) // 12)
    return [
        (sizes[n] - sizes[n - window]) / (jobs[n] - jobs[n - window])
        for n in range(window, len(sizes))
        if jobs[n] > jobs[n - window]
    ]
