"""Which of a schedule's times are due, and what is to become of each. Pure: no clock, no database.

A time is on time as long as it is at most `grace_seconds` old. What comes later was missed by the scheduler (it was
down, or the machine slept), and the schedule says what then:

    run_once   one run makes up for all that is due; the others are skipped
    skip       what is late is missed
    all        each of them runs, at most the last MOST; what is older is missed
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, Literal

from app.schedules import cron

Misfire = Literal["run_once", "skip", "all"]
Outcome = Literal["run", "skipped", "missed"]

MOST: Final = 100
ONCE_AT_MOST_LATE: Final = timedelta(hours=24)

# Looked back in steps: the last hundred times of any expression lie in one of these, and none has many more in it.
_SPANS = tuple(timedelta(hours=hours) for hours in (2, 8, 48, 14 * 24, 100 * 24, 800 * 24, 8000 * 24))


@dataclass(frozen=True)
class Slot:
    """One time of a schedule, and what is to become of it."""

    at: datetime
    outcome: Outcome
    reason: str | None = None


def once(at: datetime, now: datetime, *, misfire: Misfire, grace_seconds: int) -> Slot:
    """The only time of a one-time schedule: it runs up to 24 hours late, of `skip` only within its grace."""
    late = now - at
    most = timedelta(seconds=grace_seconds) if misfire == "skip" else ONCE_AT_MOST_LATE
    if late <= most:
        return Slot(at, "run")
    return Slot(at, "missed", f"nobody ran it in time: {_said(late)} late, at most {_said(most)} is allowed")


def due(
    expression: str,
    timezone: str,
    *,
    first: datetime,
    now: datetime,
    misfire: Misfire,
    grace_seconds: int,
) -> list[Slot]:
    """Every time from `first` to `now`, in order, at most MOST and one for all that are older."""
    moments, older = last(expression, timezone, first, now)
    told = _told(moments, now, misfire, timedelta(seconds=grace_seconds))
    if older is None:
        return told
    return [Slot(older, "missed", f"this and all before it: more than {MOST} times were due at once"), *told]


def last(
    expression: str, timezone: str, first: datetime, now: datetime
) -> tuple[list[datetime], datetime | None]:
    """The last MOST times from `first` to `now`, and the one before them if there are more."""
    before_first = first - timedelta(seconds=1)
    if _is_the_only_one(expression, timezone, first, now):
        return [first], None
    for span in _SPANS:
        moments = _between(expression, timezone, max(before_first, now - span), now)
        if len(moments) > MOST or now - span <= before_first:
            break
    kept = moments[-MOST:]
    return kept, (moments[-MOST - 1] if len(moments) > MOST else None)


def _is_the_only_one(expression: str, timezone: str, first: datetime, now: datetime) -> bool:
    """Nearly always so, and told by what cron remembers of other schedules with the same times."""
    if cron.following(expression, timezone, first - timedelta(seconds=1)) != first:
        return False
    second = cron.following(expression, timezone, first)
    return second is None or second > now


def _between(expression: str, timezone: str, after: datetime, now: datetime) -> list[datetime]:
    coming: Iterable[datetime] = cron.times(expression, timezone, after)
    return list(takewhile(lambda moment: moment <= now, coming))


def _told(moments: list[datetime], now: datetime, misfire: Misfire, grace: timedelta) -> list[Slot]:
    if misfire == "all":
        return [Slot(at, "run") for at in moments]
    if misfire == "skip":
        return [_on_time(at, now, grace) for at in moments]
    return [
        *(
            Slot(at, "skipped", "several times were due at once; one run makes up for them")
            for at in moments[:-1]
        ),
        *(Slot(at, "run") for at in moments[-1:]),
    ]


def _on_time(at: datetime, now: datetime, grace: timedelta) -> Slot:
    if now - at <= grace:
        return Slot(at, "run")
    return Slot(at, "missed", f"{_said(now - at)} late, at most {_said(grace)} is allowed")


def _said(how_long: timedelta) -> str:
    seconds = int(how_long.total_seconds())
    for unit, size in (("days", 172_800), ("hours", 7200), ("minutes", 120)):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'hours': 3600, 'minutes': 60}[unit]} {unit}"
    return f"{seconds} s"
