"""Cron expressions: checked, told in words, and counted out in a time zone. Pure; nothing here knows a database.

Five fields: minute, hour, day of month, month, day of week; names (`jan`, `mon`) are taken, and 0 and 7 both are
Sunday. cronsim counts in wall times, the zone is put to them here, as RFC 5545 does it: a wall time that is
skipped when clocks go forward comes at the shifted instant (02:30 at 03:30), one that comes twice when they go back
counts the first time. An expression that has every hour in it keeps running every hour, also in the repeated one.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.errors import Invalid

LONGEST: Final = 100
FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

# No zone changes its offset by more than that at once, or twice in that time.
_A_CHANGE = timedelta(hours=26)
_NOT_ZONES = frozenset({"localtime", "Factory", "posixrules"})
# Any moment: only whether the expression can come at all is asked.
_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 - wall time, without a zone on purpose


class Preset(NamedTuple):
    """An expression as a form asks for it: hourly, daily, weekly or monthly, and when."""

    kind: str
    minute: int = 0
    hour: int = 0
    weekdays: tuple[int, ...] = ()
    """0 is Sunday; of weekly only."""
    day: int = 1
    """Of the month; 0 is its last day; of monthly only."""


# -- checking


def normal(expression: str) -> str:
    """The expression as it is kept: five fields with single blanks; Invalid says which field is wrong and why."""
    text = " ".join(expression.split())
    text = MACROS.get(text.lower(), text)
    fields = text.split(" ") if text else []
    if len(text) > LONGEST:
        raise _wrong(f"is longer than {LONGEST} characters")
    if len(fields) == 6:
        raise _wrong(
            "has six fields; a field of seconds is not taken: minute, hour, day of month, month, day of week"
        )
    if len(fields) != 5:
        raise _wrong(f"has {len(fields)} fields; it needs five: {', '.join(FIELDS)}")
    _demand_steps(fields)
    _comes(text)
    return text


def _demand_steps(fields: list[str]) -> None:
    """Raise Invalid for a step that is longer than what it steps through: it would come once, and read as if rarer."""
    for place, (name, field, most) in enumerate(zip(FIELDS, fields, (60, 24, 31, 12, 7), strict=True)):
        if any(int(step) > most for step in re.findall(r"/([0-9]+)", field)):
            raise _wrong(f"the {name} {field!r} is wrong: {_ALLOWED[place]}")


def _comes(text: str) -> None:
    """Raise Invalid unless the expression has a next time."""
    try:
        next(CronSim(text, _SOME_DAY))
    except StopIteration:
        raise _wrong("never comes: there is no such day") from None
    except (CronSimError, ValueError, AssertionError):
        raise _wrong(_why(text.split(" "))) from None


def _why(fields: list[str]) -> str:
    """Which of five fields cronsim does not take."""
    for place, (name, field) in enumerate(zip(FIELDS, fields, strict=True)):
        alone = ["*"] * 5
        alone[place] = field
        try:
            CronSim(" ".join(alone), _SOME_DAY)
        except (CronSimError, ValueError, AssertionError):
            return f"the {name} {field!r} is wrong: {_ALLOWED[place]}"
    return "never comes: there is no such day"


_ALLOWED = (
    "0 to 59, *, lists (0,30), ranges (0-15) and steps (*/5)",
    "0 to 23, *, lists (9,17), ranges (9-17) and steps (*/2)",
    "1 to 31, * and L for the last day",
    "1 to 12, jan to dec and *",
    "0 to 7 or sun to sat (0 and 7 are Sunday), *, fri#2 for the second and 5L for the last Friday",
)


def _wrong(why: str) -> Invalid:
    return Invalid(f"the cron expression {why}", [("/cron_expression", why)])


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Every IANA zone that this machine or the package tzdata knows."""
    return frozenset(zoneinfo.available_timezones()) - _NOT_ZONES


def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; Invalid names the nearest ones."""
    if name in zones():
        return ZoneInfo(name)
    near = difflib.get_close_matches(name, zones(), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ", like Europe/Berlin or UTC"
    said = f"{name[:60]!r} is not an IANA time zone{hint}"
    raise Invalid(said, [("/timezone", said)])


# -- counting out


def following(expression: str, timezone: str, after: datetime) -> datetime | None:
    """The first time after `after`, in UTC; None if there is none within fifty years."""
    return _following(expression, timezone, after.astimezone(UTC).replace(microsecond=0))


@lru_cache(maxsize=4096)
def _following(expression: str, timezone: str, after: datetime) -> datetime | None:
    # Schedules with the same expression are due together; one of them counts for all.
    return next(times(expression, timezone, after), None)


def upcoming(expression: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` times after `after`, in UTC."""
    return list(islice(times(expression, timezone, after), count))


def times(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Every time after `after`, in order, in UTC."""
    where = zone(timezone)
    after = after.astimezone(UTC)
    twice = _every_hour(expression)
    waiting: list[datetime] = []
    for wall in _walls(expression, after, where):
        sure = _earliest(wall, where)  # nothing that this or a later wall time means can come before
        while waiting and waiting[0] < sure:
            yield (after := waiting.pop(0))
        meant = {_instant(wall, where, fold) for fold in ((0, 1) if twice else (0,))}
        waiting = sorted({*waiting, *(moment for moment in meant if moment > after)})
        if len(waiting) == 1 and waiting[0] == sure:  # an ordinary day
            yield (after := waiting.pop())
    yield from waiting


def _walls(expression: str, after: datetime, where: ZoneInfo) -> Iterator[datetime]:
    """The wall times from `after` on, and of a day on which clocks change a little before."""
    offsets = [_offset(after + change, where) for change in (-_A_CHANGE, timedelta(0), _A_CHANGE)]
    start = after.astimezone(where).replace(tzinfo=None) - (max(offsets) - min(offsets))
    # cronsim goes on from the moment it is given, without that moment itself.
    return CronSim(expression, start.replace(microsecond=0) - timedelta(seconds=1))


def _earliest(wall: datetime, where: ZoneInfo) -> datetime:
    near = wall.replace(tzinfo=UTC)
    offsets = [_offset(near + change, where) for change in (-_A_CHANGE, timedelta(0), _A_CHANGE)]
    return near - max(offsets)


def _offset(moment: datetime, where: ZoneInfo) -> timedelta:
    return moment.astimezone(where).utcoffset() or timedelta(0)


def _instant(wall: datetime, where: ZoneInfo, fold: int) -> datetime:
    """When it is `wall` there; of a skipped wall time (fold 0) as if clocks had not been changed."""
    moment = wall.replace(tzinfo=where, fold=fold).astimezone(UTC)
    if fold and moment.astimezone(where).replace(tzinfo=None) != wall:  # skipped: fold 0 has it
        return _instant(wall, where, 0)
    return moment


def _every_hour(expression: str) -> bool:
    return expression.split(" ")[1] in ("*", "*/1", "0-23", "0-23/1")


# -- in words


def explain(expression: str, timezone: str = "UTC") -> str:
    """The expression in words, with its zone: `At 09:00 on Monday (Europe/Berlin)`."""
    try:
        said = CronSim(expression, _SOME_DAY).explain()
    except (CronSimError, ValueError, AssertionError, IndexError, NotImplementedError):
        said = expression  # a rare form that cronsim runs and cannot tell
    return f"{said} ({timezone})"


def explain_once(moment: datetime, timezone: str = "UTC") -> str:
    """A one-time schedule in words: `Once, on Monday, 4 May 2026 at 09:00 (Europe/Berlin)`."""
    there = moment.astimezone(zone(timezone))
    weekday = DAYS[(there.weekday() + 1) % 7]
    time = f"{there:%H:%M:%S}" if there.second else f"{there:%H:%M}"
    return f"Once, on {weekday}, {there.day} {there:%B %Y} at {time} ({timezone})"


# -- as forms ask for them


def of_preset(wish: Preset) -> str:
    """The expression of a preset; Invalid says what is wrong with it."""
    time = f"{wish.minute} {wish.hour}"
    forms: dict[str, str] = {
        "hourly": f"{wish.minute} * * * *",
        "daily": f"{time} * * *",
        "weekly": f"{time} * * {','.join(str(day) for day in sorted(set(wish.weekdays)))}",
        "monthly": f"{time} {wish.day or 'L'} * *",
    }
    if wish.kind not in forms:
        raise _wrong(f"has no preset {wish.kind!r}: {', '.join(forms)}")
    if wish.kind == "weekly" and not wish.weekdays:
        raise _wrong("needs a day of the week")
    return normal(forms[wish.kind])


_PRESETS = (
    ("hourly", re.compile(r"(?P<minute>\d{1,2}) \* \* \* \*")),
    ("daily", re.compile(r"(?P<minute>\d{1,2}) (?P<hour>\d{1,2}) \* \* \*")),
    ("weekly", re.compile(r"(?P<minute>\d{1,2}) (?P<hour>\d{1,2}) \* \* (?P<weekdays>[0-7](,[0-7])*)")),
    ("monthly", re.compile(r"(?P<minute>\d{1,2}) (?P<hour>\d{1,2}) (?P<day>\d{1,2}|[Ll]) \* \*")),
)


def as_preset(expression: str) -> Preset | None:
    """The preset that an expression is, to fill in a form; None for all others."""
    for kind, form in _PRESETS:
        if found := form.fullmatch(expression):
            parts: dict[str, Any] = found.groupdict()
            day = parts.get("day", "1")
            weekdays = (int(n) % 7 for n in parts["weekdays"].split(",")) if parts.get("weekdays") else ()
            return Preset(
                kind,
                int(parts["minute"]),
                int(parts.get("hour", 0)),
                tuple(sorted(set(weekdays))),
                0 if day in ("L", "l") else int(day),
            )
    return None
