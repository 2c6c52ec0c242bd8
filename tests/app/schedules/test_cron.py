"""Cron expressions: what is taken, what it means in words, and when it comes, also over changes of clocks."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid
from app.schedules import cron
from app.schedules.cron import Preset
from tests.app.schedules.planning import at

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def there(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next times as a clock on the wall there shows them, with the offset in hours."""
    moments = cron.upcoming(expression, zone, at(after), count)
    assert moments == sorted(set(moments))
    return [moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z") for moment in moments]


class TestTaken:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("0 2 * * *", "0 2 * * *"),
            ("  0   2 * *  mon-fri ", "0 2 * * mon-fri"),
            ("0 9 * JAN,feb MON", "0 9 * JAN,feb MON"),
            ("@daily", "0 0 * * *"),
            ("@Hourly", "0 * * * *"),
            ("0 9 * * 7", "0 9 * * 7"),
            ("0 9 L * *", "0 9 L * *"),
            ("0 9 * * fri#2", "0 9 * * fri#2"),
        ],
    )
    def test_five_fields_with_names(self, given: str, kept: str) -> None:
        assert cron.normal(given) == kept

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("0 0 2 * * *", "seconds"),
            ("60 * * * *", "the minute '60'"),
            ("0 24 * * *", "the hour '24'"),
            ("0 0 32 * *", "the day of month '32'"),
            ("0 0 0 * *", "the day of month '0'"),
            ("0 0 * 13 *", "the month '13'"),
            ("0 0 * * 8", "the day of week '8'"),
            ("0 0 * * fri-sun", "the day of week 'fri-sun'"),
            ("0 0 * * someday", "the day of week 'someday'"),
            ("*/0 * * * *", "the minute '*/0'"),
            ("0 0 31 2 *", "never comes"),
            ("0 0 30 feb *", "never comes"),
            ("x" * 101, "longer than 100"),
            ("\u00b2 * * * *", "the minute"),
        ],
    )
    def test_what_is_wrong_is_named(self, given: str, why: str) -> None:
        with pytest.raises(Invalid) as refused:
            cron.normal(given)
        assert why in refused.value.message
        assert [pointer for pointer, _ in refused.value.fields] == ["/cron_expression"]

    @pytest.mark.parametrize(
        "name", ["Europe/Berlinn", "Mars/Olympus", "../etc/passwd", "", "localtime", "a\x00b"]
    )
    def test_only_iana_zones(self, name: str) -> None:
        with pytest.raises(Invalid, match="is not an IANA time zone"):
            cron.zone(name)

    def test_a_slip_of_the_pen_gets_a_hint(self) -> None:
        with pytest.raises(Invalid, match="did you mean Europe/Berlin"):
            cron.zone("Europe/Belrin")


def test_zones_are_known_on_a_machine_without_any() -> None:
    asked = "from app.schedules import cron; print(len(cron.zones()), cron.zone('Europe/Berlin'))"
    bare = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", asked], env=bare, capture_output=True, text=True, check=True)
    count, name = done.stdout.split()
    assert (int(count) > 500, name) == (True, "Europe/Berlin")


class TestWeekdays:
    """0 and 7 are Sunday, 1 is Monday, as cron has it."""

    @pytest.mark.parametrize(
        ("day", "weekday"),
        [("0", 6), ("7", 6), ("sun", 6), ("1", 0), ("mon", 0), ("5", 4), ("fri", 4), ("6", 5)],
    )
    def test_each(self, day: str, weekday: int) -> None:
        for moment in cron.upcoming(f"0 9 * * {day}", "UTC", at("2026-05-01 00:00"), 3):
            assert moment.weekday() == weekday

    def test_monday_to_friday(self) -> None:
        moments = cron.upcoming("0 9 * * 1-5", "UTC", at("2026-05-02 00:00"), 5)
        assert [moment.weekday() for moment in moments] == [0, 1, 2, 3, 4]

    def test_day_of_month_or_day_of_week(self) -> None:
        assert there("0 0 13 * 5", "UTC", "2026-05-01 12:00", 3) == [
            "08 00:00 +0000", "13 00:00 +0000", "15 00:00 +0000",
        ]  # fmt: skip


class TestClocksGoForward:
    """A wall time that is left out comes once, at the shifted instant."""

    def test_berlin(self) -> None:
        assert there("30 2 * * *", BERLIN, "2026-03-28 00:00", 3) == [
            "28 02:30 +0100", "29 03:30 +0200", "30 02:30 +0200",
        ]  # fmt: skip

    def test_new_york(self) -> None:
        assert there("30 2 * * *", NEW_YORK, "2026-03-07 00:00", 3) == [
            "07 02:30 -0500", "08 03:30 -0400", "09 02:30 -0400",
        ]  # fmt: skip

    def test_half_an_hour_at_lord_howe(self) -> None:
        assert there("15 2 * * *", LORD_HOWE, "2026-10-02 16:00", 3) == [
            "04 02:45 +1100", "05 02:15 +1100", "06 02:15 +1100",
        ]  # fmt: skip

    def test_it_does_not_come_twice_where_two_wall_times_mean_one_instant(self) -> None:
        assert there("30 2,3 * * *", BERLIN, "2026-03-28 12:00", 3) == [
            "29 03:30 +0200", "30 02:30 +0200", "30 03:30 +0200",
        ]  # fmt: skip

    def test_shifted_times_stay_in_order(self) -> None:
        assert there("0,30 2,3 * * *", BERLIN, "2026-03-28 12:00", 3) == [
            "29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200",
        ]  # fmt: skip

    def test_every_hour_goes_on_every_hour(self) -> None:
        assert there("0 * * * *", BERLIN, "2026-03-28 23:30", 4) == [
            "29 01:00 +0100", "29 03:00 +0200", "29 04:00 +0200", "29 05:00 +0200",
        ]  # fmt: skip


class TestClocksGoBack:
    """A wall time that comes twice counts the first time; what runs every hour runs in both hours."""

    def test_berlin(self) -> None:
        assert there("30 2 * * *", BERLIN, "2026-10-24 12:00", 2) == ["25 02:30 +0200", "26 02:30 +0100"]

    def test_new_york(self) -> None:
        assert there("30 1 * * *", NEW_YORK, "2026-10-31 12:00", 2) == ["01 01:30 -0400", "02 01:30 -0500"]

    def test_half_an_hour_at_lord_howe(self) -> None:
        assert there("45 1 * * *", LORD_HOWE, "2026-04-04 00:00", 2) == ["05 01:45 +1100", "06 01:45 +1030"]

    @pytest.mark.parametrize("minutes_past", range(0, 150, 7))
    def test_asking_in_the_middle_of_the_repeated_hour_brings_nothing_back(self, minutes_past: int) -> None:
        first = at("2026-10-25 00:30")  # 02:30 in Berlin, for the first time
        asked = first + timedelta(minutes=minutes_past)
        assert cron.following("30 2 * * *", BERLIN, asked) == at("2026-10-26 01:30")

    def test_every_half_hour_runs_in_both(self) -> None:
        assert there("*/30 * * * *", BERLIN, "2026-10-24 23:59", 6) == [
            "25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100", "25 03:30 +0100",
        ]  # fmt: skip

    def test_every_quarter_of_an_hour_at_lord_howe(self) -> None:
        assert there("*/15 * * * *", LORD_HOWE, "2026-04-04 14:20", 6) == [
            "05 01:30 +1100", "05 01:45 +1100", "05 01:30 +1030", "05 01:45 +1030", "05 02:00 +1030", "05 02:15 +1030",
        ]  # fmt: skip


_FIELD = st.sampled_from(["*", "*/5", "0", "15", "0,30", "10-20/5"])
_HOUR = st.sampled_from(["*", "0", "1", "2", "1-3", "*/2", "0,2", "23"])
_ZONE = st.sampled_from(
    [BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns"]
)
_CHANGES = [
    "2026-03-08 07:00",
    "2026-03-29 01:00",
    "2026-04-04 15:00",
    "2026-10-03 15:30",
    "2026-10-25 01:00",
    "2026-11-01 06:00",
]


@settings(max_examples=150)
@given(_FIELD, _HOUR, _ZONE, st.sampled_from(_CHANGES), st.integers(-200, 200))
def test_every_minute_around_a_change_is_judged_as_rfc_5545_does(
    minute: str, hour: str, zone: str, change: str, off: int
) -> None:
    expression = f"{minute} {hour} * * *"
    start = at(change) + timedelta(minutes=off)
    end = start + timedelta(hours=5)
    where = ZoneInfo(zone)
    begin = start.replace(tzinfo=None) - timedelta(hours=16)
    walls = list(takewhile(lambda wall: wall < begin + timedelta(hours=40), CronSim(expression, begin)))
    folds = (0, 1) if hour == "*" else (0,)
    meant = {wall.replace(tzinfo=where, fold=fold).astimezone(UTC) for wall in walls for fold in folds}
    if hour == "*":  # the other reading of a time that is left out is no time at all
        meant = {moment for moment in meant if _is_read_right(moment, expression, where)}
    expected = sorted(moment for moment in meant if start < moment <= end)

    found = []
    moment = cron.following(expression, zone, start)
    while moment is not None and moment <= end:
        found.append(moment)
        moment = cron.following(expression, zone, moment)
    assert found == expected


def _is_read_right(moment: datetime, expression: str, where: ZoneInfo) -> bool:
    """Whether the clock there shows a time of the expression, or would if it had not just been put forward."""
    shown = moment.astimezone(where)
    before = shown.replace(tzinfo=None)
    jump = shown.utcoffset() - (moment - timedelta(hours=2)).astimezone(where).utcoffset()  # type: ignore[operator]
    readings = [before] + ([before - jump] if jump > timedelta(0) else [])
    return any(
        wall == next(CronSim(expression, wall - timedelta(seconds=1)))
        and (wall == before or wall.replace(tzinfo=where).astimezone(UTC) == moment)
        for wall in readings
    )


class TestWords:
    @pytest.mark.parametrize(
        ("expression", "zone", "said"),
        [
            ("0 2 * * *", "UTC", "At 02:00 every day (UTC)"),
            ("0 9 * * 1", BERLIN, "At 09:00 on Monday (Europe/Berlin)"),
            ("*/5 * * * *", "UTC", "Every fifth minute of every hour (UTC)"),
        ],
    )
    def test_cron(self, expression: str, zone: str, said: str) -> None:
        assert cron.explain(expression, zone) == said

    def test_once(self) -> None:
        said = cron.explain_once(at("2026-05-04 07:00"), BERLIN)
        assert said == "Once, on Monday, 4 May 2026 at 09:00 (Europe/Berlin)"

    @settings(max_examples=300)
    @given(st.lists(st.text("0123456789*/,-LWlw#monfrijan@ ", max_size=8), min_size=5, max_size=5))
    def test_whatever_is_taken_can_be_told_and_counted_out(self, fields: list[str]) -> None:
        try:
            kept = cron.normal(" ".join(fields))
        except Invalid:
            return
        assert cron.explain(kept)
        assert cron.following(kept, BERLIN, at("2026-05-01 00:00"))


class TestPresets:
    @pytest.mark.parametrize(
        ("preset", "expression"),
        [
            (Preset("hourly", minute=5), "5 * * * *"),
            (Preset("daily", minute=30, hour=2), "30 2 * * *"),
            (Preset("weekly", hour=9, weekdays=(1,)), "0 9 * * 1"),
            (Preset("weekly", hour=9, weekdays=(0, 5)), "0 9 * * 0,5"),
            (Preset("monthly", hour=6, day=15), "0 6 15 * *"),
            (Preset("monthly", hour=6, day=0), "0 6 L * *"),
        ],
    )
    def test_there_and_back(self, preset: Preset, expression: str) -> None:
        assert cron.of_preset(preset) == expression
        assert cron.as_preset(expression) == preset

    def test_sunday_has_two_numbers(self) -> None:
        assert cron.as_preset("0 9 * * 7") == Preset("weekly", hour=9, weekdays=(0,))

    @pytest.mark.parametrize("expression", ["*/5 * * * *", "0 9 * 1 *", "0 9-17 * * *", "0 9 1 * 1"])
    def test_all_others_are_none(self, expression: str) -> None:
        assert cron.as_preset(expression) is None

    @pytest.mark.parametrize(
        "preset",
        [
            Preset("yearly"),
            Preset("weekly"),
            Preset("daily", hour=24),
            Preset("monthly", day=32),
            Preset("hourly", 60),
        ],
    )
    def test_what_cannot_be_is_refused(self, preset: Preset) -> None:
        with pytest.raises(Invalid):
            cron.of_preset(preset)
