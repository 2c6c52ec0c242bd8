"""The suite itself on trial: what it is meant to notice is done on purpose, and it has to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2
import pytest

from tests import invariants
from tests.chaos.conftest import Storm
from tests.chaos.load import at_the_door, submit, wish
from tests.chaos.test_workers_die import storm_with_zombie
from tests.fleet import Fleet
from tests.services import Pair, cloned, libpq

pytestmark = pytest.mark.timeout(240)


def test_without_fence_and_lease_the_zombie_is_noticed(fleet: Fleet, storm: Callable[..., Storm]) -> None:
    under = storm_with_zombie(fleet, storm, module="tests.chaos.unfenced_worker", refused=False)
    under.load.stop()
    fleet.until(lambda: fleet.unfinished() == 0 or fleet.broken(), 60)

    assert fleet.contradictions() or fleet.broken()


FINISHED = "(SELECT job_id FROM jobs WHERE status = 'completed' ORDER BY job_id LIMIT 1)"
WAITING = (
    "(SELECT job_id FROM jobs WHERE status = 'queued' AND agent_id = 'test-noop' ORDER BY job_id LIMIT 1)"
)
RUNNING = (
    "(SELECT job_id FROM jobs WHERE status = 'running' AND agent_id = 'test-limited' ORDER BY job_id LIMIT 1)"
)
HISTORY = "INSERT INTO job_history (job_id, from_status, to_status, fence)"
# What each invariant must notice, done by hand with the triggers off.
DAMAGE: dict[str, str] = {
    "settled at most once": f"{HISTORY} SELECT {FINISHED}, 'completed', 'completed', 1",
    "nothing happens after the end": f"{HISTORY} SELECT {FINISHED}, 'completed', 'queued', 1",
    "a history is an unbroken chain": f"{HISTORY} SELECT {WAITING}, 'retry', 'queued', 0",
    "a history has legal moves only": f"{HISTORY} SELECT {WAITING}, 'queued', 'completed', 0",
    "a history ends in the present status": f"UPDATE jobs SET status = 'pending' WHERE job_id = {WAITING}",
    "a history has one start per attempt": f"UPDATE jobs SET fence = 7 WHERE job_id = {FINISHED}",
    "attempts are numbered 1 to the fence": f"DELETE FROM job_attempts WHERE job_id = {FINISHED}",
    "an attempt is open if and only if the job runs":
        f"UPDATE job_attempts SET ended_at = now(), outcome = 'lost' WHERE job_id = {RUNNING}",
    "attempts of a job do not overlap":
        f"""INSERT INTO job_attempts (job_id, fence, worker_id, started_at, ended_at, outcome)
            SELECT job_id, 2, 'x', started_at, ended_at, 'lost' FROM job_attempts WHERE job_id = {FINISHED}""",
    "completed means that the last attempt completed, and no other":
        f"UPDATE job_attempts SET outcome = 'released' WHERE job_id = {FINISHED}",
    "a completed job says so once": f"DELETE FROM job_events WHERE job_id = {FINISHED}",
    "counters equal the outcomes of the attempts": f"UPDATE jobs SET lost_count = 1 WHERE job_id = {WAITING}",
    "no more retries or lost workers than allowed": f"UPDATE jobs SET lost_count = 3 WHERE job_id = {WAITING}",
    "failed means exactly one dead letter":
        f"UPDATE jobs SET status = 'failed', error = '{{}}' WHERE job_id = {FINISHED}",
    "an end is counted once in the figures": f"DELETE FROM task_history WHERE job_id = {FINISHED}",
    "a slot is held by a running job of its agent only":
        f"UPDATE agent_slots SET job_id = {FINISHED} WHERE job_id = {RUNNING}",
    "a running job of a limited agent holds one slot":
        f"UPDATE agent_slots SET job_id = NULL WHERE job_id = {RUNNING}",
    "no agent runs more than it may": "UPDATE agents SET max_concurrent_tasks = 1 WHERE agent_id = 'test-limited'",
    "nothing starts after it was cancelled":
        f"UPDATE jobs SET cancel_requested_at = now() - interval '1 day' WHERE job_id = {FINISHED}",
    "cancelled only on demand":
        f"UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE job_id = {WAITING}",
    "every submission became one job at most": "UPDATE jobs SET correlation_id = 'the same'",
    "nothing is stuck": "SELECT 1",
    "no slot is held": "SELECT 1",
    "no lease is left": "SELECT 1",
    "everything accepted is there": f"DELETE FROM jobs WHERE job_id = {WAITING}",
    "everything accepted ended once": "SELECT 1",
}  # fmt: skip


@pytest.fixture(scope="module")
def healthy(servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, list[str]]]:
    """Jobs in each stage of life, made by the product's own verbs, and their ids; tests roll their damage back."""
    import random

    from app.db import db
    from app.jobs import lifecycle
    from app.jobs.claims import claim_next

    with (
        cloned(servers.postgres.url) as url,
        Fleet(servers, url, tmp_path_factory.mktemp("teeth"), MAX_LOST="3") as fleet,
    ):
        with at_the_door(fleet):
            chance = random.Random(1)
            ids = submit([wish(kind, chance) for kind in ("noop", "noop")])
            with db.quick():
                for claim in claim_next("teeth", ("general",), lease_seconds=600, limit=2):
                    lifecycle.complete(claim, {"ok": True})
            ids += submit([wish("limited", chance), wish("limited", chance)])
            with db.quick():
                claim_next("teeth", ("general",), lease_seconds=600, limit=2)
            ids += submit([wish("noop", chance), wish("noop", chance)])
        yield fleet, ids


def test_healthy_jobs_break_no_invariant(healthy: tuple[Fleet, list[str]]) -> None:
    fleet, _ = healthy

    assert fleet.broken() == {}


@pytest.mark.parametrize("name", invariants.ALWAYS | invariants.AT_REST)
def test_each_invariant_notices_what_it_is_for(name: str, healthy: tuple[Fleet, list[str]]) -> None:
    fleet, ids = healthy
    connection = psycopg2.connect(libpq(fleet.database_url))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
        for constraint in ("running_is_leased", "final_is_finished"):
            cursor.execute(f"ALTER TABLE jobs DROP CONSTRAINT ck_jobs_{constraint}")
        cursor.execute(DAMAGE[name])

        cursor.execute((invariants.ALWAYS | invariants.AT_REST)[name], {"promised": ids, "max_lost": 3})
        noticed = cursor.fetchall()

    connection.rollback()
    connection.close()
    assert noticed
