"""The arithmetic of retries."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import AttemptTimeout, JobError, PermanentError, RateLimitError, TemporaryError
from app.jobs.retries import LONGEST_SECONDS, LONGEST_WISH, Policy, delay_seconds


@pytest.mark.parametrize(
    ("strategy", "base", "delays"),
    [
        ("exponential", None, [1, 4, 16]),
        ("exponential", 2.0, [2, 8, 32]),
        ("linear", None, [1, 2, 3]),
        ("linear", 10.0, [10, 20, 30]),
        ("fixed", None, [60, 60, 60]),
        ("fixed", 5.0, [5, 5, 5]),
    ],
)
def test_each_strategy_waits_as_documented_and_gives_up_after_three(
    strategy: str, base: float | None, delays: list[int]
) -> None:
    policy = Policy(strategy=strategy, base_seconds=base)
    assert [delay_seconds(policy, n, TemporaryError()) for n in (1, 2, 3)] == delays
    assert delay_seconds(policy, 4, TemporaryError()) is None


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 3.6), (0.5, 4.0), (1.0, 4.4)])
def test_a_tenth_of_jitter_spreads_a_crowd(chance: float, delay: float) -> None:
    assert delay_seconds(Policy(), 2, TemporaryError(), chance) == pytest.approx(delay)


@pytest.mark.parametrize(("retry_after", "delay"), [(30.5, 30.5), (0.5, 4.0), (None, 4.0), (7200.0, 7200.0)])
def test_a_longer_retry_after_wins_and_a_shorter_does_not(retry_after: float | None, delay: float) -> None:
    assert delay_seconds(Policy(), 2, RateLimitError(retry_after=retry_after)) == delay


@pytest.mark.parametrize("error", [TemporaryError(), RateLimitError(), AttemptTimeout(), JobError()])
def test_what_may_pass_by_itself_is_tried_again(error: JobError) -> None:
    assert delay_seconds(Policy(), 1, error) == 1


def test_a_permanent_error_is_never_tried_again() -> None:
    assert delay_seconds(Policy(max_retries=10), 1, PermanentError(retry_after=5)) is None


def test_no_retries_means_none() -> None:
    assert delay_seconds(Policy(max_retries=0), 1, TemporaryError()) is None


def test_no_backoff_is_longer_than_an_hour() -> None:
    assert delay_seconds(Policy(max_retries=10, base_seconds=3600), 9, TemporaryError()) == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("wish", "delay"),
    [
        (float("inf"), LONGEST_WISH),
        (1e300, LONGEST_WISH),
        (float("nan"), 1),
        (-5, 1),
        ("soon", 1),
        ([], 1),
        ("90", 90),
    ],
)
def test_a_wish_that_makes_no_sense_costs_no_settle(wish: Any, delay: float) -> None:
    assert delay_seconds(Policy(), 1, TemporaryError(retry_after=wish)) == delay
