"""How polls went, minute by minute: sums that processes and pages add to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.db import db

# Answers within so many milliseconds, each; one more place for those that took longer.
SPREAD_MS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
KEPT_DAYS = 8


@dataclass(kw_only=True)
class Tally:
    """Polls of one minute, summed."""

    polls: int = 0
    unchanged: int = 0
    failures: int = 0
    timeouts: int = 0
    """Of the failures."""
    ms_sum: float = 0.0
    ms_most: float = 0.0
    ms_spread: list[int] = field(default_factory=lambda: [0] * (len(SPREAD_MS) + 1))
    recoveries: int = 0
    recovery_seconds_sum: float = 0.0
    recovery_seconds_most: float = 0.0
    queries: int = 0
    query_ms_sum: float = 0.0
    query_ms_most: float = 0.0
    pages: int = 0

    def poll(self, ms: float, *, unchanged: bool, failed: bool) -> None:
        """One more poll, which took so long."""
        self.polls += 1
        self.unchanged += unchanged
        self.failures += failed
        self.ms_sum += ms
        self.ms_most = max(self.ms_most, ms)
        self.ms_spread[bisect_left(SPREAD_MS, ms)] += 1

    def asked(self, queries: int, ms: float, most_ms: float) -> None:
        """What the database was asked meanwhile, and how long that took."""
        self.queries += queries
        self.query_ms_sum += ms
        self.query_ms_most = max(self.query_ms_most, most_ms)

    def add(self, other: Tally) -> None:
        """Take in what another one counted."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _MOSTS:
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.ms_spread = [a + b for a, b in zip(self.ms_spread, other.ms_spread, strict=True)]


_SUMS = (
    "polls", "unchanged", "failures", "timeouts", "ms_sum", "recoveries", "recovery_seconds_sum", "queries",
    "query_ms_sum", "pages",
)  # fmt: skip
_MOSTS = ("ms_most", "recovery_seconds_most", "query_ms_most")

_KEEP = f"""
    INSERT INTO polling_minutes (at, seen_by, ms_spread, {", ".join((*_SUMS, *_MOSTS))}) VALUES %s
    ON CONFLICT (at, seen_by) DO UPDATE SET
        {", ".join(f"{name} = polling_minutes.{name} + excluded.{name}" for name in _SUMS)},
        {", ".join(f"{name} = greatest(polling_minutes.{name}, excluded.{name})" for name in _MOSTS)},
        ms_spread = ARRAY(SELECT a + b
                          FROM unnest(polling_minutes.ms_spread, excluded.ms_spread) WITH ORDINALITY AS pair(a, b, place)
                          ORDER BY place)"""


def keep(seen_by: str, tallies: Mapping[int, Tally]) -> None:
    """Add what was counted to the table, by minutes since 1970, in one statement; `seen_by` is server or client."""
    if not tallies:
        return
    db.insert_many(
        _KEEP,
        [
            (
                datetime.fromtimestamp(60 * minute, UTC),
                seen_by,
                tally.ms_spread,
                *(getattr(tally, name) for name in (*_SUMS, *_MOSTS)),
            )
            for minute, tally in sorted(tallies.items())
        ],
    )


def forget(days: int = KEPT_DAYS) -> int:
    """Remove minutes that are older; answers how many rows."""
    return db.run("DELETE FROM polling_minutes WHERE at < now() - %(days)s * interval '1 day'", days=days)
