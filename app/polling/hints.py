"""When to poll again: pure arithmetic from a job's state and how long nothing changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The intervals of the settings, in milliseconds."""

    queued: int = 3000
    running: int = 2000
    retry: int = 5000
    longest: int = 10000
    shortest: int = 1000


GROWTH = 1.5
# After so many quiet intervals the next one is half as long again.
PATIENCE = 5


def next_after_ms(
    status: str, quiet_seconds: float, pace: Pace, until_due_seconds: float | None = None
) -> int | None:
    """Milliseconds until the next poll makes sense; None when nothing will ever change again.

    `quiet_seconds` since the last change stretch the interval ×1.5 for every five quiet intervals, up to the
    longest. A job that is due in 4 minutes is not asked for every 3 s: half of the remaining time, at most the longest.
    """
    base = {
        "running": pace.running,
        "retry": pace.retry,
        "awaiting_input": pace.retry,
        "queued": pace.queued,
        "pending": pace.queued,
    }.get(status)
    if base is None:
        return None
    steps = max(0, int(quiet_seconds * 1000 / (base * PATIENCE)))
    stretched = min(float(pace.longest), base * GROWTH ** min(steps, 20))
    if until_due_seconds is not None and until_due_seconds > 0:
        stretched = min(max(stretched, until_due_seconds * 500), pace.longest)
    return max(pace.shortest, int(stretched))
