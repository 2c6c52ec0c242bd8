"""When polling is well enough: four limits, as data, and what follows from figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["healthy", "degraded", "unhealthy"]

# Of fewer polls no rate is told: one that failed of two is no 50 %.
FEWEST = 20
# So bad that nobody is served: more polls fail than succeed.
LOST = 0.5


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a figure may be at most."""

    name: str
    title: str
    unit: Literal["share", "seconds"]
    most: float
    means: str
    """What it says of the pages."""
    do: str
    """What to do when it is over."""


LIMITS = (
    Limit(
        name="failure_rate",
        title="Failed polls",
        unit="share",
        most=0.05,
        means="Of all polls, how many were not answered, or with an error of the server.",
        do="Look at GET /api/health first: a database that is away, or a web process that restarts again and again, "
        "fails every poll. If only pages see failures and the server does not, they do not reach it: look at the proxy "
        "in front and at its time-outs.",
    ),
    Limit(
        name="response_seconds",
        title="Average response",
        unit="seconds",
        most=5.0,
        means="From the question to the answer, on average.",
        do="Slow on the server: more web processes or threads (WEB_CONCURRENCY, WEB_THREADS), or a busy database. "
        "Fast on the server and slow for pages: the network or the proxy between them.",
    ),
    Limit(
        name="recovery_seconds",
        title="Recovery after errors",
        unit="seconds",
        most=60.0,
        means="From a page's first failed poll to its next good one, on average.",
        do="Pages try again after 1, 2, 4, 8 and 15 s. When it takes them longer, the server was away for so long: look "
        "at what restarted, and how long that took.",
    ),
    Limit(
        name="query_seconds",
        title="Slowest query",
        unit="seconds",
        most=1.0,
        means="The longest question to Postgres while a poll was answered.",
        do="Look for what keeps Postgres busy (pg_stat_activity), for tables that were never analysed (ANALYZE), and for "
        "a disk that is full or slow.",
    ),
)
BY_NAME = {limit.name: limit for limit in LIMITS}


def judged(figures: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Each limit with its value: {name, title, unit, value, threshold, over}; a value of None is not known, and not over."""
    return [
        {
            "name": limit.name,
            "title": limit.title,
            "unit": limit.unit,
            "value": figures.get(limit.name),
            "threshold": limit.most,
            "over": is_over(figures.get(limit.name), limit.most),
        }
        for limit in LIMITS
    ]


def is_over(value: float | None, most: float) -> bool:
    """Whether it is known and more than it may be."""
    return value is not None and value > most


def state(figures: Mapping[str, float | None]) -> State:
    """healthy; degraded with one limit or more passed; unhealthy when more polls fail than succeed."""
    if is_over(figures.get("failure_rate"), LOST):
        return "unhealthy"
    over = any(is_over(figures.get(limit.name), limit.most) for limit in LIMITS)
    return "degraded" if over else "healthy"
