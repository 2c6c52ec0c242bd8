"""Workers that are killed, terminated, frozen, or murdered by their own jobs."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from app.jobs.intake import Wish
from tests.chaos.conftest import Storm
from tests.chaos.load import submit
from tests.chaos.pulse import pulse
from tests.fleet import LEASE_SECONDS, Fleet, Unit

pytestmark = pytest.mark.timeout(240)

HOW = ("its processes", "the whole group", "the master alone")


def shoot(unit: Unit, how: str) -> None:
    """kill -9, in one of the ways it happens."""
    if how == "its processes":
        unit.kill_children()
    elif how == "the whole group":
        unit.signal_group(signal.SIGKILL)
    else:
        psutil.Process(unit.pid).kill()


def wish(agent_id: str, **parameters: object) -> Wish:
    return Wish(agent_id=agent_id, parameters=dict(parameters), submitted_by="chaos", priority="critical")


def test_no_job_is_lost_or_doubled_by_workers_killed_mid_job(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    fleet.scheduler()
    workers = [fleet.worker("worker-a"), fleet.worker("worker-b")]
    chance = random.Random(1)
    under = storm(fleet)

    for number in range(10):
        victim = workers[number % 2]
        fleet.until(lambda victim=victim: len(fleet.running_on(victim)) >= 3, 30)
        shoot(victim, chance.choice(HOW))
    fleet.until(lambda: fleet.outcomes().get("lost", 0) > 0, 30)

    under.calm()
    assert fleet.restarts >= 5  # some shots hit a worker that was still coming back


def test_a_terminated_worker_hands_its_jobs_back_and_costs_them_nothing(
    make_fleet: Callable[..., Fleet], storm: Callable[..., Storm]
) -> None:
    fleet = make_fleet(SHUTDOWN_GRACE_SECONDS="2")
    fleet.scheduler()
    once, twice = fleet.worker("once", processes=2), fleet.worker("twice", processes=2)
    under = storm(fleet)
    # Some that stop when they are told to, and some that do not listen.
    long = [wish("test-sleeper", seconds=6), wish("test-stubborn", seconds=9)] * 5

    def offer() -> None:
        for each in long:  # one by one, for a worker takes what lies there together
            under.load.accepted |= dict.fromkeys(submit([each]), "noop")

    fleet.until(lambda: all(len(running_long(fleet, unit)) >= 2 for unit in (once, twice)) or offer(), 30, 1)
    held = {row["job_id"]: row for row in running_long(fleet, once) + running_long(fleet, twice)}
    for unit in (once, twice):
        unit.wanted = False
    began = time.monotonic()

    once.signal_group(signal.SIGTERM)
    psutil.Process(twice.pid).terminate()
    for _ in pulse(fleet, 0.3, 3):
        twice.signal_group(signal.SIGTERM)

    fleet.until(lambda: not once.alive and not twice.alive, 25)
    seconds = time.monotonic() - began
    left = fleet.rows("SELECT worker_id FROM workers")
    outcomes = {
        row["job_id"]: row["outcome"]
        for row in fleet.rows(
            "SELECT job_id::text, outcome FROM job_attempts WHERE fence = 1 AND job_id = ANY(%(ids)s::uuid[])",
            {"ids": list(held)},
        )
    }
    assert seconds < 25
    assert (once.exit_code, twice.exit_code) == (0, 0)
    assert left == [], "a worker that leaves says good-bye"
    assert set(outcomes.values()) == {"released"}
    assert fleet.outcomes().get("lost", 0) == 0
    assert fleet.outcomes().get("open", 0) == 0
    once.wanted = twice.wanted = True
    under.calm(90)
    assert fleet.outcomes().get("lost", 0) == 0
    counters = fleet.rows(
        "SELECT retry_count, lost_count, released_count FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])",
        {"ids": list(held)},
    )
    assert counters == [{"retry_count": 0, "lost_count": 0, "released_count": 1}] * len(held)


def running_long(fleet: Fleet, unit: Unit) -> list[dict[str, object]]:
    """The attempts of `unit` that take seconds, and will for some more."""
    pids = [child.pid for child in unit.children()]
    return fleet.rows(
        """SELECT j.job_id::text, j.agent_id FROM jobs j JOIN workers w USING (worker_id) WHERE j.status = 'running'
           AND w.process_id = ANY(%(pids)s) AND (j.parameters ->> 'seconds')::float > 5
           AND j.started_at > now() - interval '3 s'""",
        {"pids": pids},
    )


def test_a_job_that_kills_its_workers_ends_as_poison_and_the_others_survive(
    make_fleet: Callable[..., Fleet], storm: Callable[..., Storm]
) -> None:
    fleet = make_fleet(MAX_LOST="3")
    fleet.scheduler()
    fleet.worker("worker-a", threads=4)
    fleet.worker("worker-b", threads=4)
    under = storm(fleet)

    killers = submit([wish("test-killer")] * 2)
    fleet.until(lambda: fleet.count("failed") and len(letters(fleet, killers)) == 2, 60)

    under.load.accepted |= dict.fromkeys(killers, "doomed")
    under.calm()
    assert [(row["reason"], row["error_class"]) for row in letters(fleet, killers)] == [
        ("poison", "lost")
    ] * 2
    lost = fleet.rows("SELECT lost_count FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])", {"ids": killers})
    assert [row["lost_count"] for row in lost] == [3, 3]


def letters(fleet: Fleet, job_ids: list[str]) -> list[dict[str, object]]:
    """The dead letters of `job_ids`."""
    return fleet.rows(
        "SELECT reason, error_class FROM dead_letters WHERE job_id = ANY(%(ids)s::uuid[])", {"ids": job_ids}
    )


def test_a_worker_frozen_beyond_its_lease_is_refused_when_it_wakes(
    fleet: Fleet, storm: Callable[..., Storm]
) -> None:
    under = storm_with_zombie(fleet, storm)

    refused = said_lost(fleet.units["zombie"])
    under.calm()
    taken = {
        row["job_id"]
        for row in fleet.rows("SELECT job_id::text FROM jobs WHERE fence > 1 AND lost_count > 0")
    }
    assert refused <= taken


def storm_with_zombie(
    fleet: Fleet, storm: Callable[..., Storm], *, module: str = "actors.worker", refused: bool = True
) -> Storm:
    """Freeze a worker with jobs in hand, let others take them over, and wake it while they are at it."""
    fleet.scheduler()
    zombie, heir = fleet.worker("zombie", module=module), fleet.worker("heir", threads=8)
    under = storm(fleet)
    under.load.accepted |= dict.fromkeys(submit([wish("test-stubborn", seconds=3)] * 8), "noop")
    doomed = fleet.until(lambda: in_hand(fleet, zombie), 30)
    zombie.signal_group(signal.SIGSTOP)
    frozen = time.monotonic()
    fleet.until(lambda: taken_over(fleet, doomed), 4 * LEASE_SECONDS)
    assert time.monotonic() - frozen > LEASE_SECONDS - 1.5, "taken over before the lease ran out"
    zombie.signal_group(signal.SIGCONT)
    fleet.until(lambda: not taken_over(fleet, doomed), 30)
    if refused:
        fleet.until(lambda: said_lost(zombie) & set(doomed), 15)
    assert heir.alive
    return under


def said_lost(unit: Unit) -> set[str]:
    """The jobs that `unit` says it may not settle any more."""
    return {line["job_id"] for line in unit.log_lines("attempt.lost")}


def in_hand(fleet: Fleet, unit: Unit) -> list[str]:
    """The stubborn jobs that `unit` runs."""
    return [row["job_id"] for row in fleet.running_on(unit) if row["agent_id"] == "test-stubborn"]


def taken_over(fleet: Fleet, job_ids: list[str]) -> list[dict[str, object]]:
    """Those of `job_ids` that run for the second time."""
    return fleet.rows(
        "SELECT job_id::text FROM jobs WHERE status = 'running' AND fence > 1 AND job_id = ANY(%(ids)s::uuid[])",
        {"ids": job_ids},
    )
