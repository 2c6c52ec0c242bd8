"""Charts of what ended: their ranges, and their parts in words; drawn by templates/macros/charts.html."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.dashboard.words import percent
from app.db import Row

RANGES = {"1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 days", "30d": "30 days"}
STEPS = {"1h": "5 minutes", "6h": "15 minutes", "24h": "an hour", "7d": "six hours", "30d": "a day"}


def chart(points: list[Row], window: str) -> dict[str, Any]:
    """A series (app/jobs/rollups.py) as charts draw it: {points, step, since} and what it comes to."""
    return _sum(points) | {
        "points": [_drawn(point, window) for point in points],
        "step": STEPS[window],
        "since": points[0]["at"].strftime("%-d %b, %H:%M UTC"),
    }


def _drawn(point: Row, window: str) -> dict[str, Any]:
    span = f"{moment(point['at'], window)} to {moment(point['until'], window)}"
    words = f"{span} UTC: {point['completed']:,} completed, {point['failed']:,} failed"
    if point["cancelled"]:
        words += f", {point['cancelled']:,} cancelled"
    return point | {
        "ok": point["completed"],
        "bad": point["failed"],
        "rate": point["error_rate"],
        "span": span,
        "words": words,
        "rate_words": f"{span} UTC: {percent(point['error_rate'])} failed",
    }


def moment(at: datetime, window: str) -> str:
    """A moment of a chart: the time of day where one day is shown, else with its date."""
    return at.strftime({"30d": "%-d %b", "7d": "%-d %b, %H:%M"}.get(window, "%H:%M"))


def _sum(points: list[Row]) -> dict[str, Any]:
    completed, failed, cancelled = (
        sum(point[name] for point in points) for name in ("completed", "failed", "cancelled")
    )
    rates = [point["error_rate"] for point in points if point["error_rate"] is not None]
    return {
        "ended": completed + failed + cancelled,
        "completed": completed,
        "failed": failed,
        "cancelled": cancelled,
        "error_rate": failed / (completed + failed) if completed + failed else None,
        "worst": max(rates, default=None),
    }
