"""How many workers are right: the triggers, the bounds, and that the number does not go up and down."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workers import scaling
from app.workers.scaling import Before, Bounds, Seen, bounds_of, decide

LONG_AGO = 1e6
USUAL = Bounds()
CALM = Seen(workers=9, capacity=72, calm_seconds=900)


def settled(wanted: int) -> Before:
    return Before(wanted=wanted, changed_seconds=LONG_AGO, grew_seconds=LONG_AGO)


def busy(**more: float) -> Seen:
    return replace(Seen(workers=5, capacity=40, running=20), **more)


@pytest.mark.parametrize(
    ("seen", "before", "wanted", "why"),
    [
        (busy(waiting=999), 5, 5, "999 jobs wait"),
        (busy(waiting=1000), 5, 10, "1,000 jobs wait, and a full thousand asks for 5 more"),
        (busy(waiting=3500), 10, 25, "3,500 jobs wait"),
        (busy(waiting=99_999), 20, 50, "99,999 jobs wait"),
        (busy(waiting=99_999), 50, 50, "it is the most that is allowed"),
        (busy(waiting=10, oldest_seconds=31), 5, 6, "the oldest of 10 jobs waits for 31 s"),
        (busy(waiting=10, oldest_seconds=29), 5, 5, "10 jobs wait"),
        (busy(waiting=400, mean_seconds=30), 5, 28, "of 30 s each of late: so many do them in a minute"),
        (busy(running=40, hot_seconds=300), 5, 6, "more than 70% of the seats were busy for 5 minutes"),
        (busy(running=40, hot_seconds=240), 5, 5, "nothing waits"),
        (CALM, 9, 8, "less than 30% of the seats were busy for 15 minutes, so one can go"),
        (replace(CALM, calm_seconds=840), 9, 9, "nothing waits, and 0% of the seats are busy"),
        (replace(CALM, waiting=1), 9, 9, "1 jobs wait"),
        (replace(CALM, workers=5, capacity=40), 5, 5, "it is the least, and nothing waits"),
        (busy(running=90), 5, 12, "90 jobs run and need so many"),
    ],
)  # fmt: skip
def test_each_trigger_and_its_reason(seen: Seen, before: int, wanted: int, why: str) -> None:
    found = decide(seen, USUAL, settled(before))

    assert (wanted, True) == (found.wanted, why in found.why), found


def test_without_an_earlier_decision_what_is_there_counts() -> None:
    assert decide(Seen(workers=7, capacity=56), USUAL).wanted == 7
    assert decide(Seen(), USUAL).wanted == 5


def test_within_the_cooldown_only_running_work_changes_the_number() -> None:
    just = Before(wanted=5, changed_seconds=59, grew_seconds=59)

    assert decide(busy(waiting=5000), USUAL, just).wanted == 5
    assert decide(busy(waiting=5000), USUAL, replace(just, changed_seconds=60)).wanted == 30
    assert decide(busy(running=80), USUAL, just).wanted == 10


def test_who_grew_of_late_does_not_shrink() -> None:
    grown = Before(wanted=9, changed_seconds=LONG_AGO, grew_seconds=899)
    assert decide(CALM, USUAL, grown).wanted == 9


SEEN = st.builds(
    Seen,
    workers=st.integers(0, 60),
    capacity=st.integers(0, 500),
    running=st.integers(0, 500),
    waiting=st.integers(0, 200_000),
    oldest_seconds=st.floats(0, 1e5),
    mean_seconds=st.none() | st.floats(0, 1e4),
    hot_seconds=st.floats(0, 2000),
    calm_seconds=st.floats(0, 2000),
)
BEFORE = st.none() | st.builds(
    Before, wanted=st.integers(0, 200), changed_seconds=st.floats(0, 5000), grew_seconds=st.floats(0, 5000)
)
BOUNDS = st.tuples(st.integers(1, 100), st.integers(0, 100)).map(lambda two: Bounds(two[0], two[0] + two[1]))


@given(SEEN, BOUNDS, BEFORE)
def test_it_is_never_outside_the_bounds_nor_below_what_runs(
    seen: Seen, bounds: Bounds, before: Before | None
) -> None:
    wanted = decide(seen, bounds, before).wanted

    assert bounds.smallest <= wanted <= bounds.largest
    assert wanted >= min(bounds.largest, math.ceil(seen.running / seen.seats))


@given(SEEN, BOUNDS, BEFORE, st.integers(0, 50_000))
def test_more_that_waits_never_wants_fewer(
    seen: Seen, bounds: Bounds, before: Before | None, more: int
) -> None:
    longer = replace(seen, waiting=seen.waiting + more)
    assert decide(longer, bounds, before).wanted >= decide(seen, bounds, before).wanted


@given(SEEN, BOUNDS, BEFORE)
def test_at_most_one_goes_at_a_time(seen: Seen, bounds: Bounds, before: Before | None) -> None:
    base = bounds.within(before.wanted if before else max(seen.workers, 1))
    assert decide(seen, bounds, before).wanted >= base - 1


def test_over_a_day_with_a_noisy_afternoon_it_follows_and_does_not_flap() -> None:
    day = [wanted for _, wanted in _simulated(seed=9)]
    turns = sum(a < b > c or a > b < c for a, b, c in _corners(day))

    assert min(day) == 5
    assert max(day) > 10
    assert day[-1] == 5
    assert turns <= 6, day


def _simulated(seed: int) -> list[tuple[int, int]]:
    """Each minute of a day: jobs of 20 s come in, the workers that were wanted a minute ago work them off."""
    chance = random.Random(seed)
    wanted, waiting, hot, calm, changed, grew = 5, 0.0, 0, 0, 10_000, 10_000
    past = []
    for minute in range(24 * 60):
        share = 0.05 if minute < 8 * 60 or minute > 18 * 60 else 1.0
        waiting += share * chance.uniform(150, 450)
        seats = wanted * 8
        done = min(waiting, seats * 3)
        waiting, running = waiting - done, int(min(seats, done / 3))
        hot = hot + 60 if running > 0.7 * seats else 0
        calm = calm + 60 if not waiting and running < 0.3 * seats else 0
        seen = Seen(
            workers=wanted, capacity=seats, running=running, waiting=int(waiting), oldest_seconds=60.0 if waiting else 0,
            mean_seconds=20, hot_seconds=hot, calm_seconds=calm,
        )  # fmt: skip
        found = decide(seen, USUAL, Before(wanted=wanted, changed_seconds=changed, grew_seconds=grew)).wanted
        changed, grew = changed + 60, grew + 60
        if found != wanted:
            changed, grew = 0, 0 if found > wanted else grew
        wanted = found
        past.append((minute, wanted))
    return past


def _corners(day: list[int]) -> list[tuple[int, int, int]]:
    steps = [day[0]] + [b for a, b in pairwise(day) if a != b]
    return list(zip(steps, steps[1:], steps[2:], strict=False))


@pytest.mark.parametrize(("text", "bounds"), [("4", (4, 4)), ("1..8", (1, 8)), (" 2..2 ", (2, 2))])
def test_a_number_or_a_range_is_understood(text: str, bounds: tuple[int, int]) -> None:
    assert bounds_of(text) == Bounds(*bounds)
    assert bounds_of(text).is_fixed == (bounds[0] == bounds[1])


@pytest.mark.parametrize("text", ["", "many", "8..1", "0", "0..3", "1..9999", "-1", "1..", "1...3", "1.5"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=".." if not text else text.replace(".", r"\.")):
        scaling.bounds_of(text)
