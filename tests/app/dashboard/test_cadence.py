"""Fields of a form, and the cron expression or the moment they mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dashboard import cadence
from app.dashboard.cadence import Typed
from app.errors import Invalid

EMPTY = dict.fromkeys(cadence.FIELDS, "") | {"timezone": "UTC"}
TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda clock: f"{clock[0]:02}:{clock[1]:02}")
WEEKDAYS = st.sets(st.sampled_from("0123456"), min_size=1).map(lambda days: ",".join(sorted(days)))
FORMS = st.one_of(
    st.fixed_dictionaries({"repeat": st.just("hourly"), "minute": st.integers(0, 59).map(str)}),
    st.fixed_dictionaries({"repeat": st.just("daily"), "time": TIMES}),
    st.fixed_dictionaries({"repeat": st.just("weekly"), "time": TIMES, "weekdays": WEEKDAYS}),
    st.fixed_dictionaries({"repeat": st.just("monthly"), "time": TIMES, "day": st.integers(0, 31).map(str)}),
)


@given(FORMS)
def test_what_a_preset_wrote_is_recognised_again(typed: Typed) -> None:
    written = cadence.expression(EMPTY | typed)

    again = cadence.typed_of(written, None, "UTC")

    assert {name: again[name] for name in typed} == typed


def test_what_no_preset_would_write_stays_an_expression() -> None:
    for written in ("*/5 * * * *", "0 9 * * mon-fri", "0 9 1 1 *", "0 9 1 * 1", "0,30 9 * * *"):
        assert cadence.typed_of(written, None, "UTC")["repeat"] == "cron"
        assert cadence.expression(cadence.typed_of(written, None, "UTC")) == written


@pytest.mark.parametrize(
    ("date", "time", "zone", "instant"),
    [
        ("2026-12-24", "18:00", "Europe/Berlin", datetime(2026, 12, 24, 17, 0, tzinfo=UTC)),
        ("2026-07-01", "9:05", "America/New_York", datetime(2026, 7, 1, 13, 5, tzinfo=UTC)),
        (
            "2026-10-25",
            "02:30",
            "Europe/Berlin",
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        ),  # the first of two
    ],
)
def test_a_moment_is_meant_in_its_zone_and_read_back_so(
    date: str, time: str, zone: str, instant: datetime
) -> None:
    found = cadence.moment(EMPTY | {"date": date, "time": time, "timezone": zone})

    assert found == instant
    again = cadence.typed_of(None, instant, zone)
    assert (again["repeat"], again["date"], int(again["time"][:2])) == (
        "once",
        date,
        int(time.partition(":")[0]),
    )


@pytest.mark.parametrize("zone", ["Europe/Berln", "../etc/passwd", "", "UTC\x00"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid) as wrong:
        cadence.moment(EMPTY | {"date": "2026-12-24", "time": "18:00", "timezone": zone})

    assert wrong.value.fields[0][0] == "/timezone"


def test_the_list_of_zones_has_what_people_know() -> None:
    assert cadence.zones()[0] == "UTC"
    assert {"Europe/Berlin", "America/New_York", "Asia/Kolkata"} <= set(cadence.zones())
    assert not [zone for zone in cadence.zones() if zone.startswith(("Etc/", "SystemV/", "posix"))]
