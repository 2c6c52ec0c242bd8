"""What judges growth sees it, and does not see it where there is none; both benches still run."""

from __future__ import annotations

import random

import pytest

from tests.bench.test_smoke import run
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


def test_the_benchmark_of_growth_measures_every_operation_at_every_size() -> None:
    found = run("tests.bench.growth", "--sizes", "500", "1000", "--waiting", "1300", "--times", "8",
                "--drained", "40")  # fmt: skip

    assert [(size["jobs"], size["waiting"]) for size in found["sizes"]] == [
        (500, 1200),
        (1000, 1200),
        (1000, 1300),
    ]
    names = set(found["ratio"]["cpu"])
    assert {"submit", "claim", "settle", "status, 304", "explain", "run and settle, real workers"} <= names
    assert {"retention, a job", "retention, nothing to do", "sweep", "watch"} <= names
    assert all(values[0] == 1 for values in found["ratio"]["cpu"].values())
    assert all(line["cpu_us"] > 0 for size in found["sizes"] for line in size["cost"].values())
    assert all(plan["pages"] > 0 for plan in found["plans"].values())
    assert found["plans"]["claim"]["statements"][0]["nodes"] == ["Function Scan jobs_claim"]


def test_the_soak_ends_every_job_and_looks_at_every_figure() -> None:
    found = run("tests.bench.soak", "--jobs", "400", "--every", "0.1", "--keep", "4", "--too-short-to-judge")

    assert found["jobs"] >= 400
    assert found["wrong"] == {}
    assert found["polls"] > 0
    assert {
        "worker: memory",
        "web: files",
        "connections",
        "redis: keys",
        "jobs: size",
        "audit_log: size per job",
    } <= set(found["series"])
