"""Sums by day, week or month, and how the last period compares with the one before."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from actors.builtin.data.profile import Column

PERIODS = ("daily", "weekly", "monthly")
MOST_PERIODS = 520


@dataclass(frozen=True)
class Trend:
    """A measure by period: (first day, sum, number of rows), oldest first, gaps filled with zero."""

    measure: str
    period: str
    points: tuple[tuple[date, float, int], ...]
    until: date | None = None
    """The last day there are rows of."""

    @property
    def partial(self) -> bool:
        """The last period is not over yet, as far as the rows go."""
        if not self.points or self.until is None:
            return False
        return start_of(self.until + timedelta(days=1), self.period) == self.points[-1][0]

    @property
    def change(self) -> float | None:
        """The last period against the one before, in percent; None where there is nothing to compare."""
        if len(self.points) < 2 or not self.points[-2][1]:
            return None
        return round(100 * (self.points[-1][1] - self.points[-2][1]) / abs(self.points[-2][1]), 1)

    def document(self) -> dict[str, Any]:
        """The trend as JSON."""
        points = [{"start": day.isoformat(), "sum": value, "rows": rows} for day, value, rows in self.points]
        return {
            "measure": self.measure,
            "period": self.period,
            "change_percent": self.change,
            "last_is_partial": self.partial,
            "points": points,
        }


def trend(dates: Column, measure: Column | None, period: str) -> Trend:
    """Sum a numeric column by period of a date column; without a measure the rows are counted."""
    sums: dict[date, list[float]] = defaultdict(list)
    values = dict(measure.numbers) if measure else {}
    for row, day in dates.dates:
        sums[start_of(day, period)] += [values[row]] if row in values else [] if measure else [1.0]
    points = [
        (day, round(math.fsum(sums.get(day, [])), 6), len(sums.get(day, [])))
        for day in _periods(sums, period)
    ]
    return Trend(
        measure.name if measure else "rows",
        period,
        tuple(points[-MOST_PERIODS:]),
        max((day for _, day in dates.dates), default=None),
    )


def best_period(days: list[date]) -> str:
    """The period that gives a readable number of points for these days."""
    span = (max(days) - min(days)).days if days else 0
    return "daily" if span <= 45 else "weekly" if span <= 400 else "monthly"


def start_of(day: date, period: str) -> date:
    """The first day of the period a day lies in; weeks start on Monday."""
    if period == "monthly":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "weekly" else day


def _periods(found: Iterable[date], period: str) -> list[date]:
    """All periods from the first to the last; only those with rows where that would be too many."""
    known = sorted(found)
    if not known:
        return []
    days: list[date] = []
    day = known[0]
    while day <= known[-1]:
        days.append(day)
        if len(days) > 4_000:
            return known
        day = (
            start_of(day + timedelta(days=32), period)
            if period == "monthly"
            else day + timedelta(days=7 if period == "weekly" else 1)
        )
    return days
