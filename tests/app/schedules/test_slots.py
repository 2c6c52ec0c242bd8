"""Which times are due and what is to become of each, by misfire policy."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.schedules import slots
from app.schedules.slots import MOST, Misfire, Slot
from tests.app.schedules.planning import at

NOON = at("2026-05-04 12:00")
JUST_NOW = NOON + timedelta(milliseconds=300)


def due(
    misfire: Misfire, first: str, *, cron: str = "* * * * *", grace: int = 60, now: str = "2026-05-04 12:00"
) -> list[Slot]:
    return slots.due(cron, "UTC", first=at(first), now=at(now), misfire=misfire, grace_seconds=grace)


@pytest.mark.parametrize("misfire", ["run_once", "skip", "all"])
def test_one_that_is_on_time_runs_whatever_the_policy(misfire: Misfire) -> None:
    assert due(misfire, "2026-05-04 12:00") == [Slot(NOON, "run")]


@pytest.mark.parametrize("misfire", ["run_once", "skip", "all"])
def test_nothing_is_due_between_times(misfire: Misfire) -> None:
    assert due(misfire, "2026-05-04 11:00", cron="0 3 * * *") == []


def test_run_once_makes_up_for_all_by_the_last() -> None:
    found = due("run_once", "2026-05-04 11:57")
    assert [slot.outcome for slot in found] == ["skipped", "skipped", "skipped", "run"]
    assert found[-1].at == NOON
    assert "one run makes up" in (found[0].reason or "")


def test_run_once_runs_however_late_it_is() -> None:
    found = due("run_once", "2026-02-01 03:00", cron="0 3 1 * *")
    assert [slot.outcome for slot in found] == ["skipped", "skipped", "skipped", "run"]


def test_skip_runs_what_is_within_its_grace_and_misses_the_rest() -> None:
    found = due("skip", "2026-05-04 11:55", grace=120)
    assert [slot.outcome for slot in found] == ["missed"] * 3 + ["run"] * 3
    assert found[0].reason == "5 minutes late, at most 2 minutes is allowed"


def test_all_runs_each() -> None:
    found = due("all", "2026-05-04 11:00")
    assert [slot.outcome for slot in found] == ["run"] * 61


@pytest.mark.parametrize("misfire", ["run_once", "skip", "all"])
def test_more_than_a_hundred_are_the_last_hundred_and_one_for_the_rest(misfire: Misfire) -> None:
    found = due(misfire, "2026-05-04 01:00")
    assert len(found) == MOST + 1
    assert (found[0].outcome, found[-1]) == ("missed", Slot(NOON, "run"))
    assert [slot.at for slot in found] == [NOON - timedelta(minutes=n) for n in range(MOST, -1, -1)]
    assert "more than 100" in (found[0].reason or "")


def test_years_of_silence_cost_no_time() -> None:
    began = time.thread_time()
    assert len(due("all", "2016-01-01 00:00")) == MOST + 1
    assert time.thread_time() - began < 1


@settings(max_examples=60)
@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * 1", "0 0 1 * *"]),
    st.integers(0, 500_000),
)
def test_the_last_hundred_are_the_last_of_all(cron: str, minutes: int) -> None:
    if cron in ("* * * * *", "*/7 * * * *"):
        minutes %= 20_000  # two days hold more than a hundred of them: `last` looks no further back
    first = NOON - timedelta(minutes=minutes)
    every = slots._between(cron, "Europe/Berlin", first - timedelta(seconds=1), NOON)
    kept, older = slots.last(cron, "Europe/Berlin", first, NOON)
    assert kept == every[-MOST:]
    assert older == (every[-MOST - 1] if len(every) > MOST else None)


class TestOnce:
    @pytest.mark.parametrize(
        ("misfire", "late", "outcome"),
        [
            ("run_once", timedelta(0), "run"),
            ("run_once", timedelta(hours=23, minutes=59), "run"),
            ("run_once", timedelta(hours=24, seconds=1), "missed"),
            ("all", timedelta(hours=23), "run"),
            ("skip", timedelta(seconds=59), "run"),
            ("skip", timedelta(seconds=61), "missed"),
        ],
    )
    def test_how_late_it_may_be(self, misfire: Misfire, late: timedelta, outcome: str) -> None:
        slot = slots.once(NOON, NOON + late, misfire=misfire, grace_seconds=60)
        assert (slot.at, slot.outcome) == (NOON, outcome)
        assert (slot.reason is None) == (outcome == "run")
