"""When a schedule runs, as fields that people fill in, and the cron expression or the moment they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache

from app.errors import Invalid
from app.schedules import cron
from app.schedules.cron import Preset

Typed = dict[str, str]

REPEATS = {
    "once": "Once",
    "hourly": "Every hour",
    "daily": "Every day",
    "weekly": "Every week",
    "monthly": "Every month",
    "cron": "Cron expression",
}
# As cron counts them; weeks begin on Monday here.
WEEKDAYS = {"1": "Mon", "2": "Tue", "3": "Wed", "4": "Thu", "5": "Fri", "6": "Sat", "0": "Sun"}
DAYS = {**{str(day): str(day) for day in range(1, 32)}, "0": "the last"}
FIELDS = ("repeat", "date", "time", "minute", "weekdays", "day", "cron", "timezone")
BLANK = {"repeat": "daily", "time": "09:00", "minute": "0", "day": "1", "timezone": "UTC"}

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?")


@cache
def zones() -> tuple[str, ...]:
    """The names of time zones that a list offers: `Europe/Berlin`, UTC first; the others are taken, too."""
    return (
        "UTC",
        *sorted(name for name in cron.zones() if "/" in name and not name.startswith(("Etc/", "System"))),
    )


def expression(typed: Typed) -> str:
    """The cron expression of what is typed; Invalid points at fields that cannot be read."""
    repeat = typed["repeat"]
    if repeat == "cron":
        return cron.normal(typed["cron"])
    if repeat not in REPEATS or repeat == "once":
        raise Invalid("Choose when it shall run.", [("/repeat", "choose one of these")])
    return cron.of_preset(_preset(repeat, typed))


def _preset(repeat: str, typed: Typed) -> Preset:
    if repeat == "hourly":
        return Preset(repeat, minute=_within(typed, "minute", 0, 59))
    hour, minute = _hour(typed)
    weekdays = tuple(int(day) for day in typed["weekdays"].split(",") if day in WEEKDAYS)
    if repeat == "weekly" and not weekdays:
        raise Invalid("No day is chosen.", [("/weekdays", "choose at least one day")])
    return Preset(repeat, minute, hour, weekdays, _within(typed, "day", 0, 31) if repeat == "monthly" else 1)


def moment(typed: Typed) -> datetime:
    """The instant that a date and a time mean in their zone, the first of two; Invalid if clocks skip it there."""
    zone, (hour, minute) = cron.zone(typed["timezone"]), _hour(typed)
    try:
        day = datetime.strptime(typed["date"], "%Y-%m-%d")  # noqa: DTZ007 - the zone is put to it below
    except ValueError:
        raise Invalid("The date cannot be read.", [("/date", "must be a date, like 2026-12-31")]) from None
    aware = day.replace(hour=hour, minute=minute, tzinfo=zone)
    instant = aware.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != aware.replace(tzinfo=None):
        raise Invalid("There is no such time.", [("/time", "is skipped that day: clocks go forward there")])
    return instant


def typed_of(expression: str | None, execute_at: datetime | None, timezone: str) -> Typed:
    """The fields of a schedule as somebody would have typed them."""
    blank = dict.fromkeys(FIELDS, "") | BLANK | {"timezone": timezone}
    if execute_at is not None:
        local = execute_at.astimezone(cron.zone(timezone))
        return blank | {"repeat": "once", "date": f"{local:%Y-%m-%d}", "time": f"{local:%H:%M}"}
    return blank | {"cron": expression or ""} | _recognised(cron.as_preset(expression or ""))


def _recognised(preset: Preset | None) -> Typed:
    if preset is None:
        return {"repeat": "cron"}
    return {
        "repeat": preset.kind,
        "minute": str(preset.minute),
        "time": f"{preset.hour:02}:{preset.minute:02}",
        "weekdays": ",".join(map(str, preset.weekdays)),
        "day": str(preset.day),
    }


def _hour(typed: Typed) -> tuple[int, int]:
    found = _CLOCK.fullmatch(typed["time"])
    if not found:
        raise Invalid("The time cannot be read.", [("/time", "must be a time of day, like 09:00")])
    return int(found[1]), int(found[2])


def _within(typed: Typed, name: str, least: int, most: int) -> int:
    text = typed[name]
    if not (text.isdecimal() and len(text) <= 2 and least <= int(text) <= most):
        raise Invalid("A number is wrong.", [(f"/{name}", f"must be a number from {least} to {most}")])
    return int(text)
