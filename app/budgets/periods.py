"""When a budget's period begins and ends: pure, in UTC, so that a period rolls over by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

PERIODS = ("total", "day", "month", "rolling")


def period_start(period: str, now: datetime, *, created_at: datetime, rolling_days: int | None) -> datetime:
    """Since when spending counts: a total from the budget's creation on, a rolling one from `rolling_days` ago."""
    now = now.astimezone(UTC)
    if period == "rolling":
        return now - timedelta(days=rolling_days or 1)
    if period == "total":
        return created_at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period == "day" else midnight.replace(day=1)


def period_end(period: str, now: datetime) -> datetime | None:
    """When a day or a month is over; None where time alone brings no new period."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return midnight + timedelta(days=1)
    if period == "month":
        return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None
