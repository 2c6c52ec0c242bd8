"""When a wrong figure is an alert and when it is over, played second by second without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.alerts.hysteresis import SILENCE, Patience, Seen, Step, calm_since, step, wrong_since

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERY = timedelta(seconds=15)
PATIENT = Patience(hold=timedelta(minutes=1), calm=timedelta(minutes=2))


def played(seen: str, patience: Patience = PATIENT, every: timedelta = EVERY) -> list[str]:
    """What follows from looks, `!` wrong and `.` right, as the table would remember it in between."""
    before: Seen | None = None
    steps = []
    for number, sign in enumerate(seen):
        at = START + number * every
        what = step(before, wrong=sign == "!", at=at, patience=patience)
        steps.append(what.value)
        match what:
            case Step.SUSPECT:
                before = Seen(wrong_since=wrong_since(before, at), seen_at=at)
            case Step.RAISE:
                before = Seen(wrong_since=wrong_since(before, at), seen_at=at, raised_at=at)
            case Step.WORRY:
                assert before is not None
                before = Seen(wrong_since=before.wrong_since, seen_at=at, raised_at=before.raised_at)
            case Step.CALM:
                assert before is not None
                before = Seen(
                    wrong_since=before.wrong_since,
                    seen_at=at,
                    raised_at=before.raised_at,
                    calm_since=calm_since(before, at),
                )
            case Step.DROP | Step.RESOLVE:
                before = None
    return steps


def times(steps: list[str]) -> tuple[int, int]:
    return steps.count("raise"), steps.count("resolve")


def test_what_is_right_is_nothing() -> None:
    assert played("....") == ["nothing"] * 4


def test_it_is_raised_when_it_was_wrong_for_long_enough_and_not_before() -> None:
    assert played("!!!!!!") == ["suspect"] * 4 + ["raise", "worry"]


def test_a_moment_is_forgotten() -> None:
    assert played("!!!!.!!!!.") == (["suspect"] * 4 + ["drop"]) * 2


def test_it_is_over_when_it_was_right_for_long_enough_and_not_before() -> None:
    assert played("!!!!!" + "." * 10)[5:] == ["calm"] * 8 + ["resolve", "nothing"]


def test_at_the_edge_it_is_raised_once_and_not_resolved() -> None:
    steps = played("!!!!!" + "..!" * 20 + ".......!" * 5)
    assert times(steps) == (1, 0)


def test_without_patience_it_is_said_at_once_and_over_at_the_next_look() -> None:
    impatient = Patience(hold=timedelta(0), calm=timedelta(0))
    assert played("!.!!.", impatient) == ["raise", "resolve", "raise", "worry", "resolve"]


@pytest.mark.parametrize("every", [timedelta(seconds=1), timedelta(seconds=15), timedelta(seconds=60)])
def test_time_decides_and_not_how_often_somebody_looks(every: timedelta) -> None:
    looks = int(timedelta(minutes=10) / every)
    steps = played("!" * looks + "." * looks, every=every)
    assert times(steps) == (1, 1)
    assert steps.index("raise") * every == PATIENT.hold
    assert (steps.index("resolve") - looks) * every == PATIENT.calm


def test_while_nobody_looked_nothing_was_wrong_for_long() -> None:
    before = Seen(wrong_since=START, seen_at=START)
    later = START + SILENCE + timedelta(seconds=1)
    assert step(before, wrong=True, at=later, patience=PATIENT) is Step.SUSPECT
    assert wrong_since(before, later) == later
    assert step(before, wrong=True, at=START + SILENCE, patience=PATIENT) is Step.RAISE


def test_while_nobody_looked_nothing_was_right_for_long() -> None:
    before = Seen(wrong_since=START, seen_at=START, raised_at=START, calm_since=START)
    later = START + timedelta(hours=1)
    assert step(before, wrong=False, at=later, patience=PATIENT) is Step.CALM
    assert calm_since(before, later) == later
    assert step(before, wrong=True, at=later, patience=PATIENT) is Step.WORRY
