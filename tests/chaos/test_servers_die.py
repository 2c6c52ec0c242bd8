"""The broker flushed, frozen and emptied, and Postgres crashed, while hundreds of jobs are under way."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import redis

from app.db import db
from tests import acting
from tests.chaos.conftest import Storm
from tests.chaos.pulse import pulse
from tests.fleet import LEASE_SECONDS, Fleet
from tests.services import Server
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)


def crew(fleet: Fleet) -> None:
    """A scheduler and two workers."""
    fleet.scheduler()
    fleet.worker("worker-a")
    fleet.worker("worker-b")


def restart_empty(broker: Server) -> None:
    """The broker killed, and started again without anything it knew."""
    broker.crash()
    for kept in broker.kind.folder.iterdir():
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    broker.start()


def nobody_died(fleet: Fleet) -> bool:
    """Whether every process of the fleet is the one that was started first."""
    return fleet.restarts == 0 and all(unit.alive for unit in fleet.units.values())


def test_flushing_the_broker_every_second_loses_no_job(fleet: Fleet, storm: Callable[..., Storm]) -> None:
    crew(fleet)
    under = storm(fleet)
    before = fleet.finished()

    with redis.Redis.from_url(fleet.pair.redis.url) as broker:
        for _ in pulse(fleet, 1.0, 10):
            broker.flushall()

    assert fleet.finished() > before + 100, "work went on meanwhile"
    under.calm()
    assert nobody_died(fleet)
    assert set(fleet.outcomes()) <= {"completed", "failed", "cancelled"}


def test_work_goes_on_by_looking_while_the_broker_is_frozen(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    crew(fleet)
    under = storm(fleet)
    fleet.pair.redis.freeze()
    try:
        fleet.until(lambda: fleet.value("SELECT bool_and(redis_away) FROM workers"), 15)
        before = fleet.finished()
        for _ in pulse(fleet, 2.0, 9):
            now = fleet.finished()
            fleet.until(lambda now=now: fleet.finished() > now, 10)
        assert fleet.finished() > before + 100, "work went on meanwhile"
    finally:
        fleet.pair.redis.thaw()

    fleet.until(lambda: not fleet.value("SELECT bool_or(redis_away) FROM workers"), 15)
    under.calm()
    assert nobody_died(fleet)
    assert fleet.outcomes().get("lost", 0) == 0


def test_a_broker_that_comes_back_empty_loses_no_job(fleet: Fleet, storm: Callable[..., Storm]) -> None:
    crew(fleet)
    under = storm(fleet)

    for _ in pulse(fleet, 3.0, 3):
        restart_empty(fleet.pair.redis)

    under.calm()
    assert nobody_died(fleet)
    assert set(fleet.outcomes()) <= {"completed", "failed", "cancelled"}


def test_a_crash_of_postgres_cuts_off_nobody_for_good(fleet: Fleet, storm: Callable[..., Storm]) -> None:
    crew(fleet)
    under = storm(fleet)

    for outage in (1, LEASE_SECONDS + 2):  # the second one outlasts every lease
        done = fleet.finished()
        fleet.pair.postgres.crash()
        for _ in pulse(fleet, outage, 1):
            missed = beats_missed(fleet)
        until(lambda missed=missed: beats_missed(fleet) > missed, 10)
        fleet.pair.postgres.start()
        fleet.until(lambda done=done: fleet.finished() > done + 50, 30)

    under.calm(90)
    assert nobody_died(fleet)
    assert under.load.refused > 0
    assert called_lost_though_alive(fleet) == []
    assert [said for unit in fleet.units.values() for said in unit.surprises()] == []


@pytest.mark.parametrize(
    "ours", [{"effects": ["publish"]}, {"runner": "llm", "python": None}], ids=["an effect", "a model"]
)
def test_what_was_claimed_stays_claimed_when_postgres_crashes_at_once(
    fleet: Fleet, ours: dict[str, object]
) -> None:
    """Else it would be claimed again, and run a second time, while the first attempt is still at work."""
    with db.quick():
        acting.agent("dear", **ours)
        job_id = acting.submitted("dear")
    with db.quick():
        taken = acting.claim()
    fleet.pair.postgres.crash()
    fleet.pair.postgres.start()

    assert taken is not None
    assert taken.job_id == job_id
    row = fleet.rows("SELECT status, fence, lease_id::text FROM jobs WHERE job_id = %(job)s", {"job": job_id})
    assert row == [{"status": "running", "fence": taken.fence, "lease_id": taken.lease_id}]


def beats_missed(fleet: Fleet) -> int:
    """How many heartbeats could not be written."""
    return sum(len(unit.log_lines("beat.missed")) for unit in fleet.units.values())


def called_lost_though_alive(fleet: Fleet) -> list[tuple[str, int]]:
    """Attempts that were called lost while their worker was seeing them through.

    What remains may be called lost: a claim that Postgres made and whose answer died with the connection.
    Nobody ever knew of it, so its lease runs out.
    """
    lost = {(row["job_id"], row["fence"]) for row in fleet.rows(
        "SELECT job_id::text, fence FROM job_attempts WHERE outcome = 'lost'")}  # fmt: skip
    known = {
        (line["job_id"], line["attempt"])
        for unit in fleet.units.values()
        for event in ("attempt.lost", "attempt.fenced", "attempt.ended")
        for line in unit.log_lines(event)
    }
    return sorted(lost & known)
