"""Real workers that are drained, resumed, stopped, and killed while they drain: no job is lost, none runs twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from app.db import db
from app.jobs.intake import Wish
from app.workers import fleet as room
from tests.chaos.load import submit
from tests.fleet import Fleet, Unit

pytestmark = pytest.mark.timeout(180)

HEARD_SECONDS = 2.0


def sleepers(seconds: float, count: int = 1, agent_id: str = "test-sleeper") -> list[str]:
    wish = Wish(agent_id=agent_id, parameters={"seconds": seconds}, submitted_by="chaos")
    return list(submit([wish] * count))


def worker_of(fleet: Fleet, unit: Unit) -> str:
    """The id under which the one process of `unit` works."""

    def known() -> list[dict[str, Any]]:
        pids = [child.pid for child in unit.children()]
        return fleet.rows(
            "SELECT worker_id FROM workers WHERE process_id = ANY(%(pids)s) ORDER BY started_at DESC",
            {"pids": pids},
        )

    return str(fleet.until(known, 20)[0]["worker_id"])


def wanted(verb: Callable[..., object], worker_id: str) -> None:
    """Ask as a person would, and wait until the worker has heard."""
    with db.quick():
        verb(worker_id, by="ada")


def heard(fleet: Fleet, worker_id: str, *, draining: bool) -> float:
    """How long it took until the worker itself said that it does as it is wanted to."""
    began = time.monotonic()
    fleet.until(
        lambda: (
            fleet.value("SELECT draining FROM workers WHERE worker_id = %(id)s", id=worker_id) is draining
        ),
        10,
        every=0.02,
    )
    return time.monotonic() - began


def status(fleet: Fleet, *job_ids: str) -> list[str]:
    rows = fleet.rows(
        "SELECT status FROM jobs WHERE job_id = ANY(%(ids)s::uuid[]) ORDER BY job_id", {"ids": list(job_ids)}
    )
    return [row["status"] for row in rows]


def started_by(fleet: Fleet, worker_id: str, since: Any) -> int:
    return int(
        fleet.value(
            "SELECT count(*) FROM job_attempts WHERE worker_id = %(id)s AND started_at > %(since)s",
            id=worker_id,
            since=since,
        )
    )


def test_a_drained_worker_finishes_what_it_has_and_takes_nothing_until_it_is_resumed(fleet: Fleet) -> None:
    fleet.scheduler()
    worker_id = worker_of(fleet, fleet.worker("only"))
    running = sleepers(4, 2)
    fleet.until(lambda: status(fleet, *running) == ["running"] * 2, 15)

    wanted(room.drain, worker_id)
    assert heard(fleet, worker_id, draining=True) < HEARD_SECONDS
    since = fleet.value("SELECT clock_timestamp()")
    waiting = sleepers(0, 20)
    fleet.until(lambda: status(fleet, *running) == ["completed"] * 2, 15)
    # Meanwhile bells were rung, the sweep has rung again and its five idle threads have had four seconds.
    assert status(fleet, *waiting) == ["queued"] * 20
    assert started_by(fleet, worker_id, since) == 0

    wanted(room.resume, worker_id)
    began = time.monotonic()
    fleet.until(lambda: status(fleet, *waiting) == ["completed"] * 20, 15)
    assert time.monotonic() - began < 2 * HEARD_SECONDS
    assert started_by(fleet, worker_id, since) == 20
    assert fleet.outcomes() == {"completed": 22}
    assert fleet.broken(at_rest=True) == {}


def test_bells_that_a_drained_worker_might_have_answered_reach_the_others(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(SWEEP_INTERVAL_SECONDS="60")  # nobody rings a second time within this test
    drained = worker_of(fleet, fleet.worker("drained"))
    worker_of(fleet, fleet.worker("other"))
    wanted(room.drain, drained)
    heard(fleet, drained, draining=True)

    waits = []
    for _ in range(12):
        (job_id,) = sleepers(0)
        began = time.monotonic()
        fleet.until(lambda job_id=job_id: status(fleet, job_id) == ["completed"], 15, every=0.01)
        waits.append(time.monotonic() - began)
    assert max(waits) < 2, waits
    assert fleet.value("SELECT count(*) FROM job_attempts WHERE worker_id = %(id)s", id=drained) == 0


def test_a_stopped_worker_hands_back_what_does_not_end_in_time_and_exits_in_good_order(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(SHUTDOWN_GRACE_SECONDS="3")
    fleet.scheduler()
    unit = fleet.worker("stopped")
    worker_id = worker_of(fleet, unit)
    quick, slow, deaf = sleepers(2)[0], sleepers(25)[0], sleepers(25, agent_id="test-stubborn")[0]
    fleet.until(lambda: status(fleet, quick, slow, deaf) == ["running"] * 3, 15)
    unit.wanted = False

    wanted(room.stop, worker_id)
    fleet.until(lambda: not unit.alive, 30)

    assert unit.exit_code == 0
    assert fleet.rows("SELECT worker_id FROM workers") == []
    assert status(fleet, quick) == ["completed"]
    assert status(fleet, slow, deaf) == ["queued"] * 2
    assert fleet.outcomes() == {"completed": 1, "released": 2}
    counters = fleet.rows("SELECT retry_count, lost_count FROM jobs WHERE status = 'queued'")
    assert counters == [{"retry_count": 0, "lost_count": 0}] * 2
    assert unit.surprises() == []

    fleet.rows("UPDATE jobs SET parameters = '{\"seconds\": 0}' WHERE status = 'queued' RETURNING 1")
    unit.wanted = True  # what make run and platforms do
    assert worker_of(fleet, unit) != worker_id
    fleet.until(lambda: fleet.unfinished() == 0, 20)
    assert fleet.broken(at_rest=True) == {}


def test_a_worker_killed_while_it_drains_loses_nothing(fleet: Fleet) -> None:
    fleet.scheduler()
    victim = fleet.worker("victim")
    worker_id = worker_of(fleet, victim)
    (job_id,) = sleepers(4)
    fleet.until(lambda: status(fleet, job_id) == ["running"], 15)
    wanted(room.drain, worker_id)
    heard(fleet, worker_id, draining=True)
    fleet.worker("heir")

    victim.kill_children()

    fleet.until(lambda: status(fleet, job_id) == ["completed"], 40)
    attempts = fleet.rows(
        "SELECT worker_id, outcome FROM job_attempts WHERE job_id = %(id)s::uuid ORDER BY fence",
        {"id": job_id},
    )
    assert [row["outcome"] for row in attempts] == ["lost", "completed"]
    assert attempts[0]["worker_id"] == worker_id
    assert fleet.broken(at_rest=True) == {}
