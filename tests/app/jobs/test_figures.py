"""Figures of finished jobs, over a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from app import clock
from app.db import db
from app.errors import PermanentError
from app.jobs import figures, lifecycle
from app.jobs.states import Reason
from tests import acting
from tests.app.jobs.ended import NOW, ended


@pytest.fixture(autouse=True)
def _quickly(quick: Engine) -> Iterator[None]:
    with db.quick():
        figures.forget()
        yield
    figures.forget()


@pytest.fixture
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.parametrize("window", figures.WINDOWS)
def test_without_jobs_nothing_is_known(window: str) -> None:
    acting.submitted()

    found = figures.figures(window)

    assert (found["jobs"], found["success_rate"], found["failure_rate"], found["jobs_per_hour"]) == (
        0, None, None, 0,
    )  # fmt: skip
    assert found["duration"] == found["wait"] == {"mean": None, "p50": None, "p95": None}
    assert found["outcomes"] == {"completed": 0, "failed": 0, "cancelled": 0}
    assert (found["agents"], found["peak_hours"]) == ([], [])
    assert [line["hour"] for line in found["hours"]] == list(range(24))
    assert len(found["speed"]) == figures.WINDOWS[window].parts


def test_what_jobs_really_leave_is_counted() -> None:
    lifecycle.complete(acting.claimed(), {"ok": True})
    lifecycle.fail(acting.claimed(), PermanentError("no"), Reason.PERMANENT)
    lifecycle.cancel(acting.submitted())

    found = figures.figures("24h")

    assert found["outcomes"] == {"completed": 1, "failed": 1, "cancelled": 1}
    assert (found["success_rate"], found["failure_rate"]) == (0.5, 0.5)
    assert found["speed"][-1]["completed"] == found["speed"][-1]["failed"] == 1


def test_durations_are_of_completed_jobs_and_waits_of_all_that_started() -> None:
    for seconds in range(1, 22):
        ended(seconds=seconds, wait=seconds / 10)
    ended(status="failed", seconds=1000, wait=10)
    ended(status="cancelled", seconds=None, wait=None)

    found = figures.figures("24h")

    assert found["jobs"] == 23
    assert found["success_rate"] == pytest.approx(21 / 22)
    assert found["duration"] == {"mean": 11, "p50": 11, "p95": 20}
    assert found["wait"]["mean"] == pytest.approx((23.1 + 10) / 22)
    assert found["wait"]["p50"] == pytest.approx(1.15)


@pytest.mark.parametrize(
    ("window", "hours", "known"), [("24h", 25, 0), ("7d", 25, 1), ("7d", 169, 0), ("30d", 169, 1)]
)
def test_only_the_time_that_is_asked_for_counts(window: str, hours: float, known: int) -> None:
    ended(hours)

    assert figures.figures(window)["jobs"] == known


@pytest.mark.usefixtures("_noon")
def test_speed_is_told_part_by_part_without_cancelled_jobs() -> None:
    ended(167.5)
    ended(0.5, status="failed")
    ended(1)
    ended(1, status="cancelled")

    speed = figures.figures("7d")["speed"]

    assert speed[0]["at"] == datetime(2026, 3, 3, 12, 30, tzinfo=UTC)
    assert speed[-1]["until"] == datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
    assert all(before["until"] == after["at"] for before, after in pairwise(speed))
    assert [(part["completed"], part["failed"]) for part in (speed[0], speed[1], speed[-1])] == [
        (1, 0), (0, 0), (1, 1),
    ]  # fmt: skip
    assert speed[-1]["jobs_per_hour"] == pytest.approx(2 / 6)


def test_jobs_per_hour_are_those_of_the_whole_time() -> None:
    for _ in range(48):
        ended()
    ended(status="cancelled")

    assert figures.figures("24h")["jobs_per_hour"] == pytest.approx(2, rel=0.01)


@pytest.mark.usefixtures("_noon")
def test_hours_of_the_day_put_days_together() -> None:
    db.run("SET TIME ZONE 'Asia/Tokyo'")
    for hours, wait in ((1, 2.0), (25, 4.0), (49, 6.0), (10, 1.0), (34, 1.0), (3, 1.0), (5, 1.0)):
        ended(hours, wait=wait)
    ended(1, status="failed", wait=None)

    found = figures.figures("7d")
    db.run("SET TIME ZONE 'UTC'")

    assert found["hours"][11] == {"hour": 11, "jobs": 4, "completed": 3, "failed": 1, "wait_seconds": 4.0}
    assert found["hours"][12] == {"hour": 12, "jobs": 0, "completed": 0, "failed": 0, "wait_seconds": None}
    assert found["peak_hours"] == [11, 2, 7]


def test_by_agent() -> None:
    for seconds in (2, 4, 6):
        ended(seconds=seconds)
    ended(status="failed", wait=9)
    ended(status="cancelled", wait=None)
    ended(agent_id="tester", status="cancelled", seconds=None, wait=None)

    unknown = {"quality_score": None, "cost_usd_per_run": None, "tokens_per_run": None}
    assert figures.figures("24h")["agents"] == [
        {"agent_id": "writer", "jobs": 5, "completed": 3, "failed": 1, "cancelled": 1, "success_rate": 0.75,
         "mean_seconds": 4, "p50_seconds": 4, "p95_seconds": pytest.approx(5.8), "wait_seconds": 3} | unknown,
        {"agent_id": "tester", "jobs": 1, "completed": 0, "failed": 0, "cancelled": 1, "success_rate": None,
         "mean_seconds": None, "p50_seconds": None, "p95_seconds": None, "wait_seconds": None} | unknown,
    ]  # fmt: skip


def test_of_one_owner_or_one_agent() -> None:
    ended()
    ended(owner="bob@example.com")
    ended(agent_id="tester")

    assert figures.figures("24h")["jobs"] == 3
    assert figures.figures("24h", owner="bob@example.com")["jobs"] == 1
    assert figures.figures("24h", agent_id="tester")["jobs"] == 1
    assert figures.figures("24h", owner="bob@example.com", agent_id="tester")["jobs"] == 0


def test_only_the_newest_jobs_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_JOBS", 4)
    ended(20, status="failed")
    for _ in range(4):
        ended(2)

    found = figures.figures("24h")

    assert (found["jobs"], found["most_jobs"], found["outcomes"]["failed"]) == (4, 4, 0)
    assert found["jobs_per_hour"] == pytest.approx(2, rel=0.01)


def test_an_answer_is_kept_for_some_seconds() -> None:
    first = figures.figures("24h")
    ended()

    assert figures.figures("24h") == first
    figures.forget()
    assert figures.figures("24h")["jobs"] == 1
