"""Figures of polling, from rows whose figures are known."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.db import db
from app.polling import minutes, queries
from app.polling.minutes import Tally


def tally(times: list[float], *, failed: int = 0, unchanged: int = 0, **more: float) -> Tally:
    made = Tally(**more)  # type: ignore[arg-type]
    for number, ms in enumerate(times):
        made.poll(ms, failed=number < failed, unchanged=failed <= number < failed + unchanged)
    return made


def keep(seen_by: str, ago: dict[int, Tally]) -> None:
    now = int(db.value("SELECT extract(epoch FROM date_trunc('minute', now())) / 60"))
    minutes.keep(seen_by, {now - minutes_ago: each for minutes_ago, each in ago.items()})


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> None:
    """Nothing of other tests."""


def test_figures_are_sums_over_the_time_and_no_average_of_averages() -> None:
    with db.quick():
        keep(
            "server",
            {
                0: tally([10.0] * 90, unchanged=60, queries=180, query_ms_sum=90.0, query_ms_most=4.0),
                2: tally([1010.0] * 10, failed=5, queries=20, query_ms_sum=10.0, query_ms_most=900.0),
                40: tally([9000.0] * 100, failed=100),
            },
        )
        found = queries.figures(5)["server"]
    assert (found["polls"], found["failures"]) == (100, 5)
    assert (found["success_rate"], found["failure_rate"], found["unchanged_rate"]) == (0.95, 0.05, 0.6)
    assert found["average_ms"] == pytest.approx(110)
    assert (found["queries_per_poll"], found["query_ms"], found["query_most_ms"]) == (2.0, 0.5, 900.0)
    assert found["p95_ms"] == pytest.approx(1010)  # between 1000 and 2500, but none was slower than 1010


def test_nothing_is_known_of_nothing() -> None:
    with db.quick():
        found = queries.figures(5)
        health = queries.health()
    assert found["server"] == found["pages"]
    assert {
        value
        for name, value in found["pages"].items()
        if name not in ("polls", "failures", "timeouts", "recoveries")
    } == {None}
    assert (health["status"], health["open_pages"]) == ("healthy", 0)


def test_the_worse_view_counts_and_few_polls_say_nothing() -> None:
    with db.quick():
        keep("server", {0: tally([10.0] * 100, query_ms_most=20.0, queries=5)})
        keep(
            "client",
            {
                0: tally(
                    [50.0] * 19,
                    failed=19,
                    recoveries=2,
                    recovery_seconds_sum=80.0,
                    recovery_seconds_most=70.0,
                )
            },
        )
        few = queries.worse(queries.figures(5))
        keep("client", {0: tally([50.0], failed=1)})
        enough = queries.worse(queries.figures(5))
    assert few == {
        "failure_rate": 0.0,
        "response_seconds": 0.01,
        "recovery_seconds": 40.0,
        "query_seconds": 0.02,
    }
    assert (enough["failure_rate"], enough["response_seconds"]) == (1.0, 0.05)


@pytest.mark.parametrize(
    ("spread", "most", "expected"),
    [
        ([0] * 10, 0, None),
        ([100] + [0] * 9, 10, 9.5),
        ([100] + [0] * 9, 4, 4),
        ([90, 0, 0, 10] + [0] * 6, 100, 75),
        ([0] * 9 + [10], 8000, 7850),
        ([94, 6] + [0] * 8, 25, 10 + 15 / 6),
    ],
)
def test_the_95th_percentile_is_read_between_the_bounds(
    spread: list[int], most: float, expected: float | None
) -> None:
    assert queries.percentile(spread, most, 0.95) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("window", "parts"), [("1h", 60), ("24h", 96)])
def test_the_course_has_every_part_and_loses_nothing(window: str, parts: int) -> None:
    with db.quick():
        keep("server", {0: tally([10.0] * 3), 1: tally([20.0] * 2, failed=1), 44: tally([30.0])})
        keep("client", {0: tally([10.0])})
        course = queries.series(window)
    assert [len(course[view]) for view in ("server", "pages")] == [parts, parts]
    assert course["server"][0]["at"] < course["server"][-1]["at"]
    assert sum(part["polls"] for part in course["server"]) == 6
    assert sum(part["failures"] for part in course["server"]) == 1
    assert course["pages"][-1]["polls"] == 1
    assert course["pages"][0]["ms"] is None
    if window == "1h":
        assert [part["ms"] for part in course["server"][-2:]] == [20.0, 10.0]


def test_open_pages_are_those_that_reported_in_the_last_minute() -> None:
    with db.quick():
        keep("client", {0: Tally(pages=1), 1: Tally(pages=7), 2: Tally(pages=90)})
        assert queries.open_pages() == 7
