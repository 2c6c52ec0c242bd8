"""What charts are drawn from: the sums must always be those of the history, however far they have come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier, Thread

import pytest
import time_machine
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as some
from sqlalchemy import Engine, text

from actors import sweeps
from app.db import Row, db
from app.jobs import lifecycle, rollups
from app.settings import Settings
from app.workers import fleet
from tests import acting
from tests.app.jobs.ended import NOW, ended

NAMES = ("completed", "failed", "cancelled")


@pytest.fixture
def _noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def _rolled() -> int:
    """Roll up until nothing is left to do; answers in how many goes."""
    goes = 1
    while rollups.roll_up():
        goes += 1
    return goes


def _forget() -> None:
    rollups.forget()
    db.run("DELETE FROM task_history")
    db.run("DELETE FROM job_rollups")


def _lines() -> list[Row]:
    return db.rows("SELECT * FROM job_rollups ORDER BY step, at, agent_id, submitted_by")


def _counted(since: datetime, owner: str | None = None) -> dict[str, int]:
    """What the history itself says."""
    row = db.row(
        """SELECT count(*) FILTER (WHERE status = 'completed') AS completed,
                  count(*) FILTER (WHERE status = 'failed') AS failed,
                  count(*) FILTER (WHERE status = 'cancelled') AS cancelled
           FROM task_history
           WHERE completed_at >= %(since)s AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)""",
        since=since,
        owner=owner,
    )
    return dict(row or {})


def _summed(points: list[Row]) -> dict[str, int]:
    return {name: sum(point[name] for point in points) for name in NAMES}


def _agree(owner: str | None = None) -> None:
    rollups.forget()
    for window in rollups.WINDOWS:
        points = rollups.series(window, owner=owner)
        assert _summed(points) == _counted(points[0]["at"], owner), window
    for lasts in (timedelta(hours=1), timedelta(hours=24)):
        last, before = rollups.compared(lasts, owner=owner)
        since = NOW.replace(second=0) - lasts
        assert {name: last[name] for name in NAMES} == _counted(since, owner)
        assert {name: last[name] + before[name] for name in NAMES} == _counted(since - lasts, owner)


_ended = some.tuples(
    some.floats(0, 45 * 24, allow_nan=False) | some.floats(0, 2) | some.integers(0, 60).map(lambda n: n / 60),
    some.sampled_from(NAMES),
    some.sampled_from(("ada@example.com", "bob@example.com")),
    some.sampled_from(("writer", "tester")),
)


@pytest.mark.usefixtures("here", "_noon")
@given(jobs=some.lists(_ended, max_size=25), chunk=some.integers(1, 12), goes=some.integers(0, 6))
@rules(max_examples=25)
def test_series_are_those_of_the_history_however_far_the_sums_have_come(
    jobs: list[tuple[float, str, str, str]], chunk: int, goes: int
) -> None:
    _forget()
    for hours_ago, status, owner, agent_id in jobs:
        ended(hours_ago, status=status, owner=owner, agent_id=agent_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "CHUNK", chunk)
        for _ in range(goes):
            rollups.roll_up()
        _agree()
        _rolled()

    for owner in (None, "ada@example.com", "bob@example.com", "nobody"):
        _agree(owner)
    lines = _lines()
    _rolled()
    assert _lines() == lines


@pytest.mark.usefixtures("here", "_noon")
def test_the_sums_are_by_minute_and_hour_agent_and_owner() -> None:
    for seconds, wait in ((2.0, 1.0), (4.0, 3.0)):
        ended(1, seconds=seconds, wait=wait)
    ended(1, status="failed", seconds=9.0, wait=5.0)
    ended(1, status="cancelled", seconds=None, wait=None)
    ended(1, owner="bob@example.com")
    ended(9 * 24)

    _rolled()

    at = datetime(2026, 3, 10, 11, 30, tzinfo=UTC)
    minutes = [line for line in _lines() if line["step"] == 60]
    assert [(line["at"], line["submitted_by"]) for line in minutes] == [
        (at, acting.OWNER), (at, "bob@example.com"),
    ]  # fmt: skip
    mine = minutes[0]
    assert [mine[name] for name in NAMES] == [2, 1, 1]
    assert (mine["run_seconds"], mine["wait_seconds"], mine["started"]) == (6.0, 9.0, 3)
    hours = [line["at"] for line in _lines() if line["step"] == 3600]
    assert hours == [datetime(2026, 3, 1, 12, tzinfo=UTC), at.replace(minute=0), at.replace(minute=0)]


@pytest.mark.usefixtures("here", "_noon")
def test_what_is_under_way_is_not_summed_but_told() -> None:
    ended(1 / 60)
    ended(10 / 3600, status="failed")

    _rolled()

    assert _lines() == []
    assert _summed(rollups.series("1h")) == {"completed": 1, "failed": 1, "cancelled": 0}


@pytest.mark.usefixtures("here")
def test_after_an_outage_everything_is_caught_up_in_bounded_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "CHUNK", 10)
    with time_machine.travel(NOW - timedelta(hours=30), tick=False):
        ended(0.5)
        _rolled()
    with time_machine.travel(NOW, tick=False):
        for n in range(60):
            ended(0.1 + n / 2)

        assert _rolled() >= 6

        _agree()
        assert sum(line["completed"] for line in _lines() if line["step"] == 60) == 61


@pytest.mark.usefixtures("here", "_noon")
def test_while_an_old_history_is_summed_nothing_of_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "CHUNK", 1)
    for days_ago in (28, 25, 20, 3, 1):
        ended(24 * days_ago)

    for _ in range(6):
        _agree()
        rollups.roll_up()

    _agree()


@pytest.mark.usefixtures("here", "_noon")
def test_more_than_a_go_holds_in_one_minute_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "CHUNK", 3)
    for _ in range(20):
        ended(2)
    ended(1)

    _rolled()

    _agree()
    assert sum(line["completed"] for line in _lines() if line["step"] == 3600) == 21


@pytest.mark.usefixtures("here")
def test_what_was_written_late_is_counted_with_what_follows() -> None:
    with time_machine.travel(NOW, tick=False):
        ended(5 / 60)
        _rolled()
        ended(5 / 60)
        ended(3 / 60)
        _rolled()

        assert [line["completed"] for line in _lines() if line["step"] == 60] == [2, 1]


def test_two_processes_at_once_sum_once(settings: Settings, quick: Engine) -> None:
    with db.quick():
        for n in range(200):
            ended(random.Random(n).uniform(0.1, 40))
    start = Barrier(2)

    def process() -> None:
        start.wait(10)
        sweeps.roll_up(settings)

    both = [Thread(target=process) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(30)
    sweeps.roll_up(settings)

    with db.quick():
        for step in (60, 3600):
            newest = db.value("SELECT max(at) FROM job_rollups WHERE step = %(s)s", s=step)
            until = newest + timedelta(seconds=step)
            assert db.value("SELECT sum(completed) FROM job_rollups WHERE step = %(s)s", s=step) == db.value(
                "SELECT count(*) FROM task_history WHERE completed_at < %(until)s", until=until
            )
        rollups.forget()
        assert _summed(rollups.series("7d"))["completed"] == 200


def test_who_holds_the_lock_sums_alone(settings: Settings, quick: Engine) -> None:
    with db.quick():
        ended(5)
    with quick.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": sweeps.ROLLUPS_LOCK})
        sweeps.roll_up(settings)
        with db.quick():
            assert _lines() == []
    sweeps.roll_up(settings)
    with db.quick():
        assert len(_lines()) == 2


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("window", rollups.WINDOWS)
@pytest.mark.parametrize("second", [0, 59.999])
def test_without_jobs_there_are_all_parts_and_nothing_is_known(window: str, second: float) -> None:
    with time_machine.travel(datetime(2026, 3, 10, 0, 0, tzinfo=UTC) + timedelta(seconds=second), tick=False):
        points = rollups.series(window)

        assert len(points) == rollups.WINDOWS[window].parts
        assert all(before["until"] == after["at"] for before, after in pairwise(points))
        assert points[-1]["at"] == datetime(2026, 3, 10, tzinfo=UTC)
        assert points[-1]["until"] - points[0]["at"] == rollups.WINDOWS[window].lasts
        assert {(p["completed"], p["success_rate"], p["error_rate"], p["run_seconds"]) for p in points} == {
            (0, None, None, None)
        }


@pytest.mark.usefixtures("here")
def test_at_the_turn_of_the_clock_a_job_moves_from_the_last_part_to_the_one_before() -> None:
    with time_machine.travel(NOW.replace(minute=34, second=59), tick=False):
        ended(0)
        assert rollups.series("1h")[-1]["completed"] == 1
    rollups.forget()
    with time_machine.travel(NOW.replace(minute=35, second=0), tick=False):
        points = rollups.series("1h")

        assert [point["completed"] for point in points[-2:]] == [1, 0]


@pytest.mark.usefixtures("here", "_noon")
def test_a_part_tells_rates_and_means() -> None:
    for seconds in (2.0, 6.0):
        ended(0.1, seconds=seconds, wait=1.0)
    ended(0.1, status="failed", wait=4.0)
    ended(0.1, status="cancelled", seconds=None, wait=None)

    (part,) = [point for point in rollups.series("1h") if point["completed"]]

    assert (part["run_seconds"], part["wait_seconds"]) == (4.0, 2.0)
    assert part["success_rate"] == pytest.approx(2 / 3)
    assert part["error_rate"] == pytest.approx(1 / 3)


@pytest.mark.usefixtures("here", "_noon")
def test_series_of_one_agent() -> None:
    ended(3)
    ended(3, agent_id="tester")
    _rolled()

    assert _summed(rollups.series("24h", agent_id="tester"))["completed"] == 1


def test_what_jobs_really_leave_is_told_at_once(here: None) -> None:
    lifecycle.complete(acting.claimed(), {})

    assert rollups.series("1h")[-1]["completed"] + rollups.series("1h")[-2]["completed"] == 1


@pytest.mark.usefixtures("here", "_noon")
def test_a_purge_keeps_hours_as_long_as_the_history() -> None:
    for step, days in ((60, 7), (60, 9), (3600, 9), (3600, 89), (3600, 91)):
        db.run(
            "INSERT INTO job_rollups (step, at, agent_id, submitted_by) VALUES (%(step)s, %(at)s, 'a', 'b')",
            step=step,
            at=NOW - timedelta(days=days),
        )
    db.run("INSERT INTO pool_samples VALUES (%(at)s, 'general', 0, NULL, 0, 0)", at=NOW - timedelta(days=9))

    assert rollups.purge(90) == 3

    assert [(line["step"], (NOW - line["at"]).days) for line in _lines()] == [(60, 7), (3600, 89), (3600, 9)]


def _points(pool: str, window: str = "1h") -> list[Row]:
    rollups.forget()
    return rollups.pool_series(pool, window)


@pytest.mark.usefixtures("here")
def test_pools_are_looked_at_once_a_minute() -> None:
    pools = db.value("SELECT count(*) FROM queues")
    with time_machine.travel(datetime.now(UTC), tick=False):
        acting.claimed()
        acting.submitted()
        acting.submitted(due_in=3600)
        db.run("UPDATE jobs SET run_at = now() - interval '90 s' WHERE status = 'queued'")
        fleet.register("w1", hostname="h", process_id=1, pools=("general", "testing"), threads=4, release="x")

        assert rollups.sample_pools() == pools
        assert rollups.sample_pools() == 0

        point = _points("general")[-1]
        assert (point["waiting"], point["running"], point["threads"]) == (1, 1, 4)
        assert point["oldest_seconds"] == pytest.approx(90, abs=5)
        assert _points("testing")[-1]["threads"] == 4
        assert _points("engineering")[-1] | {"at": None} == {
            "at": None, "waiting": 0, "oldest_seconds": None, "running": 0, "threads": 0,
        }  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("window", rollups.SAMPLED)
def test_where_nobody_looked_nothing_is_known(window: str) -> None:
    points = _points("general", window)

    assert len(points) == rollups.SAMPLED[window].parts
    assert all(point["waiting"] is None for point in points)


@pytest.mark.usefixtures("here", "_noon")
def test_a_longer_part_tells_the_most_of_each() -> None:
    for minutes, waiting, running in ((1, 5, 1), (2, 2, 3)):
        db.run(
            "INSERT INTO pool_samples VALUES (%(at)s, 'general', %(w)s, NULL, %(r)s, 4)",
            at=NOW.replace(second=0) + timedelta(minutes=-30 + minutes),
            w=waiting,
            r=running,
        )

    (seen,) = [point for point in _points("general", "24h") if point["waiting"] is not None]

    assert (seen["at"], seen["waiting"], seen["running"], seen["threads"]) == (
        NOW.replace(minute=0, second=0),
        5,
        3,
        4,
    )
