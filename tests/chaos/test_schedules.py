"""Three schedulers fire the same schedules while they are killed and frozen in the middle of it: each time once."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from app import clock
from app.db import db
from app.schedules import changes
from app.schedules.changes import Wish
from tests.fleet import Fleet, Unit
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)

NAMES = ("scheduler-a", "scheduler-b", "scheduler-c")
# So many schedules make one wave, and each is so many times behind; the schedules' names say how many.
CROWD, BEHIND = 12, 40
ROUNDS, ONCE = 12, 40

# Backends of schedulers that are in the middle of a transaction; a tick without anything due is over much sooner.
_FIRING = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = 'callboard-scheduler' AND xact_start < clock_timestamp() - interval '15 ms'
      AND datname = current_database()"""
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'callboard-scheduler'"
_DUE = """
    SELECT count(*) FROM schedules WHERE enabled AND ended IS NULL
       AND next_fire_at < clock_timestamp() - interval '1 second'"""

WRONG = {
    "a time without its job, or with a job that is not its own": """
        SELECT f.schedule_id, f.slot_at FROM schedule_fires f LEFT JOIN jobs j USING (job_id)
        WHERE f.outcome = 'fired' AND j.schedule_id IS DISTINCT FROM f.schedule_id""",
    "a job without its time": """
        SELECT j.job_id FROM jobs j LEFT JOIN schedule_fires f USING (job_id)
        WHERE j.schedule_id IS NOT NULL AND f.job_id IS NULL""",
    "a job of two times": "SELECT job_id FROM schedule_fires WHERE job_id IS NOT NULL GROUP BY job_id HAVING count(*) > 1",
    "two jobs of one time": "SELECT correlation_id FROM jobs GROUP BY correlation_id HAVING count(*) > 1",
    "a time that did not fire": "SELECT schedule_id, slot_at, outcome, reason FROM schedule_fires WHERE outcome <> 'fired'",
    "a time that is missing, or none of its own": """
        SELECT wanted.schedule_id, slot, f.schedule_id, f.slot_at FROM (
            SELECT schedule_id, generate_series(date_trunc('minute', created_at) - name::int * interval '1 minute',
                                                last_slot_at, interval '1 minute') AS slot
            FROM schedules WHERE schedule_type = 'recurring') AS wanted
        FULL JOIN (SELECT f.* FROM schedule_fires f JOIN schedules s USING (schedule_id)
                   WHERE s.schedule_type = 'recurring') f ON f.schedule_id = wanted.schedule_id AND f.slot_at = slot
        WHERE wanted.schedule_id IS NULL OR f.schedule_id IS NULL""",
    "one that should have run once": """
        SELECT s.schedule_id, s.ended, count(f.job_id) FROM schedules s LEFT JOIN schedule_fires f USING (schedule_id)
        WHERE s.schedule_type = 'one_time' GROUP BY s.schedule_id
        HAVING s.ended IS DISTINCT FROM 'fired' OR count(f.job_id) <> 1 OR min(f.slot_at) <> s.execute_at""",
    "runs that may not overlap and did": """
        SELECT schedule_id FROM (
            SELECT s.schedule_id, j.started_at, lag(j.finished_at) OVER (PARTITION BY s.schedule_id ORDER BY f.slot_at)
                   AS before FROM schedules s JOIN schedule_fires f USING (schedule_id) JOIN jobs j USING (job_id)
            WHERE s.overlap = 'queue') AS step WHERE started_at < before""",
}


def _behind(count: int = CROWD, minutes: int = BEHIND, **wish: Any) -> None:
    """Schedules that nobody has fired for some minutes, each of which is to run."""
    told = {
        "submitted_by": "chaos",
        "agent_id": "test-noop",
        "cron_expression": "* * * * *",
        "misfire": "all",
    }
    with db.transaction():
        for _ in range(count):
            made = changes.create(Wish(name=str(minutes), **(told | wish)))
            db.run(
                """UPDATE schedules SET next_fire_at = date_trunc('minute', created_at) - name::int * interval '1 minute'
                   WHERE schedule_id = %(id)s""",
                id=made["schedule_id"],
            )


def _once(count: int, chance: random.Random, within: float) -> None:
    """One-time schedules that come in the next seconds."""
    with db.transaction():
        for _ in range(count):
            when = clock.now() + timedelta(seconds=chance.uniform(0.3, within))
            changes.create(Wish(submitted_by="chaos", agent_id="test-noop", execute_at=when))


def _pids(fleet: Fleet, statement: str) -> set[int]:
    return {row["pid"] for row in fleet.rows(statement)}


def _wrong(fleet: Fleet) -> dict[str, list[Any]]:
    found = {name: fleet.rows(statement) for name, statement in WRONG.items()}
    return {name: rows[:5] for name, rows in found.items() if rows}


def _all_fired(fleet: Fleet) -> bool:
    queued = "SELECT count(*) FROM schedule_fires WHERE outcome = 'queued'"
    once = "SELECT count(*) FROM schedules WHERE schedule_type = 'one_time' AND ended IS NULL"
    return not any(fleet.value(statement) for statement in (_DUE, queued, once))


def _victims(units: list[Unit], chance: random.Random) -> Iterator[Unit]:
    while True:
        yield from chance.sample(units, len(units))


def test_schedulers_that_are_killed_while_they_fire_fire_each_time_once(fleet: Fleet) -> None:
    chance = random.Random(4)
    units = [fleet.scheduler(name) for name in NAMES]
    fleet.worker(threads=8)
    fleet.until(lambda: len(_pids(fleet, _BACKENDS)) >= len(NAMES), 60)
    _behind(4, minutes=10, overlap="queue", priority="critical")
    firing: set[int] = set()
    hit = 0

    for _, victim in zip(range(ROUNDS), _victims(units, chance), strict=False):
        fleet.until(lambda: all(unit.alive for unit in units), 30)
        hit += len(firing - _pids(fleet, _BACKENDS))  # of the round before
        _behind()
        _once(ONCE, chance, within=4)
        firing = fleet.until(lambda: _pids(fleet, _FIRING), 30, every=0.005)
        victim.signal_group(signal.SIGKILL)
        until(lambda victim=victim: not victim.alive, 10)  # type: ignore[misc]

    fleet.until(lambda: _all_fired(fleet), 90)
    fleet.until(lambda: fleet.unfinished() == 0, 90)
    assert _wrong(fleet) == {}
    assert fleet.value("SELECT count(*) FROM schedule_fires") >= ROUNDS * (CROWD * BEHIND + ONCE)
    assert fleet.restarts >= ROUNDS - 1
    assert hit >= 3, f"only {hit} of {ROUNDS} died in the middle of a transaction"
    assert fleet.broken(at_rest=True) == {}


def test_a_scheduler_that_is_frozen_while_it_fires_delays_nobody_for_long(fleet: Fleet) -> None:
    chance = random.Random(5)
    units = [fleet.scheduler(name) for name in NAMES]
    fleet.until(lambda: len(_pids(fleet, _BACKENDS)) >= len(NAMES), 60)
    frozen_at: datetime | None = None

    for victim in units:
        _behind()
        _once(20, chance, within=2)
        fleet.until(lambda: _pids(fleet, _FIRING), 30, every=0.005)
        victim.signal_group(signal.SIGSTOP)
        frozen_at = clock.now()
        fleet.until(lambda: _all_fired(fleet), 30)
        assert clock.now() - frozen_at < timedelta(seconds=20)
        victim.signal_group(signal.SIGCONT)

    fleet.until(lambda: _all_fired(fleet), 30)
    assert _wrong(fleet) == {}
    assert fleet.restarts == 0
    assert [unit.surprises() for unit in units] == [[], [], []]
