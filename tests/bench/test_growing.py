"""What judges growth sees it, and does not see it where there is none."""

from __future__ import annotations

import random

import pytest

from tests.bench.trend import BOUNDS, Series, per_job, verdict

MEGABYTE = 1e6


def _noisy(level: float, leak: float, samples: int = 60) -> list[float]:
    """So much, with a tenth of noise, and `leak` more at each sample, after a steep beginning."""
    chance = random.Random(9)
    warming = [level * min(1, 0.2 + n / 10) for n in range(samples)]
    return [warm * chance.uniform(0.98, 1.02) + leak * n for n, warm in enumerate(warming)]


@pytest.mark.parametrize("kind", sorted(BOUNDS))
def test_what_stays_as_it_is_did_not_grow_and_what_doubles_did(kind: str) -> None:
    level = 20 * max(BOUNDS[kind].slack, 1)
    assert not verdict(Series(kind, _noisy(level, 0)))["grew"]
    assert verdict(Series(kind, _noisy(level, level / 5)))["grew"]


def test_a_few_bytes_more_of_something_small_are_not_called_growth() -> None:
    assert not verdict(Series("memory", _noisy(MEGABYTE, 0.03 * MEGABYTE)))["grew"]


def test_a_single_high_sample_is_not_growth() -> None:
    values = _noisy(200 * MEGABYTE, 0)
    values[-2] *= 5
    assert not verdict(Series("memory", values))["grew"]
    assert verdict(Series("memory", values))["most"] > 900 * MEGABYTE


def test_a_table_that_only_grows_with_what_is_written_is_flat_per_job() -> None:
    jobs = [100.0 * n for n in range(60)]
    even, worse = [500 * n for n in jobs], [500 * n + n * n / 10 for n in jobs]
    assert not verdict(Series("per job", per_job(even, jobs)))["grew"]
    assert verdict(Series("per job", per_job(worse, jobs)))["grew"]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        verdict(Series("memory", [1, 2]))
