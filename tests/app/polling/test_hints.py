"""When to come back: the server says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.states import FINAL, Status
from app.polling.hints import Pace, next_after_ms

PACE = Pace()
LIVING = [s for s in Status if s not in FINAL]


@pytest.mark.parametrize(
    ("status", "after"), [("running", 2000), ("queued", 3000), ("pending", 3000), ("retry", 5000)]
)
def test_a_job_that_just_changed_is_asked_for_at_its_own_pace(status: str, after: int) -> None:
    assert next_after_ms(status, 0, PACE) == after


@pytest.mark.parametrize("status", FINAL)
def test_a_final_job_is_not_asked_for_again(status: str) -> None:
    assert next_after_ms(status, 0, PACE) is None


@pytest.mark.parametrize(
    ("quiet", "after"), [(9.9, 2000), (10, 3000), (20, 4500), (30, 6750), (40, 10_000), (1e9, 10_000)]
)
def test_quiet_stretches_the_interval_by_half_up_to_the_longest(quiet: float, after: int) -> None:
    assert next_after_ms("running", quiet, PACE) == after


@pytest.mark.parametrize(("due", "after"), [(None, 3000), (-5, 3000), (1, 3000), (8, 4000), (240, 10_000)])
def test_a_job_that_is_due_later_is_asked_for_half_way(due: float | None, after: int) -> None:
    assert next_after_ms("pending", 0, PACE, due) == after


def test_no_hint_is_shorter_than_the_floor() -> None:
    assert next_after_ms("running", 0, Pace(running=100, shortest=1000)) == 1000


@given(st.sampled_from(LIVING), st.floats(0, 1e12), st.none() | st.floats(-1e9, 1e9))
def test_every_hint_of_a_living_job_is_between_floor_and_ceiling(
    status: str, quiet: float, due: float | None
) -> None:
    after = next_after_ms(status, quiet, PACE, due)
    assert after is not None
    assert PACE.shortest <= after <= PACE.longest


@given(st.sampled_from(LIVING), st.floats(0, 1e6), st.floats(0, 1e6))
def test_longer_quiet_is_never_asked_for_sooner(status: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert (next_after_ms(status, less, PACE) or 0) <= (next_after_ms(status, more, PACE) or 0)
