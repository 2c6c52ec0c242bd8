"""Days, months and rolling windows, over the ends of months and years, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.budgets.periods import period_end, period_start

BORN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def _start(period: str, now: datetime, rolling_days: int | None = None) -> datetime:
    return period_start(period, now, created_at=BORN, rolling_days=rolling_days)


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-31T23:59:59", "2026-01-01", "2026-02-01"),
        ("2026-02-01T00:00:00", "2026-02-01", "2026-03-01"),
        ("2026-02-28T23:59:59", "2026-02-01", "2026-03-01"),
        ("2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00:00", "2027-01-01", "2027-02-01"),
    ],
)
def test_a_month_is_the_calendars(now: str, start: str, end: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert _start("month", moment) == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert period_end("month", moment) == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_a_day_is_the_calendars_and_that_of_utc() -> None:
    # Half past midnight in Berlin is still the day before in UTC, and the month before.
    berlin = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert _start("day", berlin) == datetime(2026, 2, 28, tzinfo=UTC)
    assert period_end("day", berlin) == datetime(2026, 3, 1, tzinfo=UTC)
    assert _start("month", berlin) == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_rolling_period_moves_with_the_clock_and_a_total_never() -> None:
    now = datetime(2026, 3, 3, 12, 30, tzinfo=UTC)
    assert _start("rolling", now, 7) == datetime(2026, 2, 24, 12, 30, tzinfo=UTC)
    assert _start("total", now) == BORN
    assert period_end("rolling", now) is None
    assert period_end("total", now) is None


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["day", "month"]))
def test_every_moment_lies_in_its_period_and_periods_follow_each_other(now: datetime, period: str) -> None:
    assume(1000 < now.year < 9999)
    start, end = _start(period, now), period_end(period, now)
    assert end is not None
    assert start <= now < end
    assert _start(period, end) == end
    assert _start(period, end - timedelta(microseconds=1)) == start
