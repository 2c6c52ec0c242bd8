"""The suite itself on trial: what it is meant to notice is done on purpose, and it has to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2
import pytest

from actors import followups
from app.accounts.permissions import Principal
from app.db import db
from app.jobs import lifecycle
from app.jobs.claims import Claim, claim_next
from app.jobs.intake import Wish
from app.jobs.lifecycle import Success
from app.notify import deliveries
from app.notify.deliveries import Outcome
from app.quality import drafts
from app.schedules import changes
from app.sessions import changes as sessions
from app.sessions import delegating
from app.workflows import runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests import acting, invariants
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


WHO = Principal(user_id="chaos", email="chaos@example.com", role="user")
CALL = {"callback_url": "http://127.0.0.1:9/"}
FINISHED = "(SELECT job_id FROM jobs WHERE status = 'completed' ORDER BY job_id LIMIT 1)"
WAITING = (
    "(SELECT job_id FROM jobs WHERE status = 'queued' AND agent_id = 'test-noop' ORDER BY job_id LIMIT 1)"
)
RUNNING = (
    "(SELECT job_id FROM jobs WHERE status = 'running' AND agent_id = 'test-limited' ORDER BY job_id LIMIT 1)"
)
HISTORY = "INSERT INTO job_history (job_id, from_status, to_status, fence)"
DONE = "(SELECT workflow_id FROM workflows WHERE finished_at IS NOT NULL)"
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
    "a delegated job stands one below its parent, and works for the same owner and session":
        f"UPDATE jobs SET parent_job_id = {FINISHED}, depth = 2 WHERE job_id = {WAITING}",
    "a delegated job has its parent's correlation, was handed out by an attempt of it, and each key stands for one":
        f"UPDATE jobs SET parent_job_id = {FINISHED}, depth = 1, correlation_id = 'hidden' WHERE job_id = {WAITING}",
    "no job stands below itself": f"UPDATE jobs SET parent_job_id = job_id, depth = 1 WHERE job_id = {WAITING}",
    "nothing goes on below a job that was cancelled":
        f"""UPDATE jobs SET parent_job_id = {FINISHED}, depth = 1 WHERE job_id = {WAITING};
            UPDATE jobs SET cancel_requested_at = now() WHERE job_id = {FINISHED}""",
    "every submission became one job at most": "UPDATE jobs SET correlation_id = 'the same'",
    "nothing is stuck": "SELECT 1",
    "no slot is held": "SELECT 1",
    "no lease is left": "SELECT 1",
    "everything accepted is there": f"DELETE FROM jobs WHERE job_id = {WAITING}",
    "everything accepted ended once": "SELECT 1",
    "a step has one job in each round":
        f"""UPDATE jobs SET (workflow_id, step_id) = (SELECT workflow_id, step_id FROM workflow_steps
            WHERE step_id = 'first' AND workflow_id = {DONE}) WHERE job_id = {FINISHED}""",
    "an open job of a run is what a running step waits for":
        "UPDATE workflow_steps SET status = 'failed', finished_at = now() WHERE step_id = 'under_way'",
    "a step under way has what it waits for":
        "UPDATE workflow_steps SET approval_id = NULL WHERE status = 'awaiting_input'",
    "a finished run has no open step":
        f"UPDATE workflow_steps SET status = 'waiting', finished_at = NULL WHERE step_id = 'first' AND workflow_id = {DONE}",
    "a finished run has no open job": f"UPDATE jobs SET workflow_id = {DONE} WHERE job_id = {WAITING}",
    "a finished run has no open question": f"UPDATE approvals SET workflow_id = {DONE}",
    "a finished run has no open run inside":
        f"UPDATE workflows SET parent_workflow_id = {DONE} WHERE finished_at IS NULL",
    "a step starts when all it waits for is over, and what it is in":
        "UPDATE workflow_steps SET finished_at = clock_timestamp() WHERE step_id = 'before'",
    "a step ends as its job did":
        f"UPDATE workflow_steps SET status = 'running', finished_at = NULL WHERE step_id = 'first' AND workflow_id = {DONE}",
    "a step has the result of its job": "UPDATE workflow_steps SET output = '{}' WHERE step_id = 'first'",
    "a map has no more items under way than it may":
        "UPDATE workflow_steps SET status = 'running' WHERE parent_step_id = 'each'",
    "a run is told of once at most, as it ended, and not of those inside":
        f"""INSERT INTO notifications (notification_id, event, title, audience, subject_type, subject_id)
            SELECT gen_random_uuid(), 'workflow.completed', '', 'chaos', 'workflow', {DONE}""",
    "a time of a schedule fires once": "UPDATE schedule_fires SET job_id = gen_random_uuid()",
    "a time that fired has one job or run": "UPDATE schedule_fires SET job_id = NULL",
    "what was delivered was accepted": "UPDATE delivery_attempts SET status_code = 500",
    "tries of a delivery are numbered 1 to the last, one at a time": "UPDATE delivery_attempts SET number = 2",
    "nobody is called back twice, or before the end": f"UPDATE deliveries SET subject_id = {WAITING}::text",
    "a job waits for a person if and only if it has an open question":
        "UPDATE approvals SET status = 'expired', answered_at = now() WHERE job_id IS NOT NULL",
    "a question of a job is of an attempt that ended by asking, and of no other":
        "UPDATE approvals SET fence = 7 WHERE job_id IS NOT NULL",
    "a job that asked goes on with an answer only":
        f"{HISTORY} SELECT job_id, 'awaiting_input', 'queued', fence FROM approvals WHERE job_id IS NOT NULL",
    "a link was used for the answer of whom it was made for":
        """INSERT INTO approval_links (token_hash, approval_id, email, expires_at, used_at)
           SELECT 'x', approval_id, 'x@example.org', now(), now() FROM approvals WHERE job_id IS NOT NULL""",
    "drafts are numbered without holes": "UPDATE drafts SET number = 3 WHERE number = 2",
    "a draft is made once the one before was judged, and not by an attempt before that one's":
        "UPDATE drafts SET fence = 2 WHERE number = 1",
    "a result with a verdict was judged": "DELETE FROM drafts",
    "nothing that ended waits to be followed up":
        """INSERT INTO followups (subject_type, subject_id, at)
           VALUES ('job', gen_random_uuid(), now() - interval '1 minute')""",
    "no run is stuck": "SELECT 1",
    "a finished run was told of": "DELETE FROM notifications",
    "what happens in a session is numbered without holes": "DELETE FROM session_events WHERE seq = 1",
    "a session hears of the end of a job once, and as it ended": """
        INSERT INTO session_events (session_id, seq, type, data, by) SELECT session_id, seq + 100, type, data, by
        FROM session_events WHERE type = 'job.completed'""",
    "an address is sent each event of a session once":
        "UPDATE deliveries SET payload = '{\"data\": {\"seq\": 1}}' WHERE subject_type = 'session'",
    "a session heard of the end of every job of its": "DELETE FROM session_events WHERE type = 'job.completed'",
    "whoever asked to be called back is": "DELETE FROM deliveries",
}  # fmt: skip


@pytest.fixture(scope="module")
def healthy(servers: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, list[str]]]:
    """Jobs in each stage of life, made by the product's own verbs, and their ids; tests roll their damage back."""
    import random

    with (
        cloned(servers.postgres.url) as url,
        Fleet(servers, url, tmp_path_factory.mktemp("teeth"), MAX_LOST="3") as fleet,
    ):
        with at_the_door(fleet):
            chance = random.Random(1)
            ids = submit([wish(kind, chance) for kind in ("noop", "noop")])
            with db.quick():
                for claim in claim_next("teeth", ("general",), lease_seconds=600, limit=2):
                    judged_twice(claim)
                    lifecycle.complete_many([Success(claim, {"ok": True}, {}, "passed", 8.0)])
            ids += submit([wish("limited", chance), wish("limited", chance)])
            with db.quick():
                claim_next("teeth", ("general",), lease_seconds=600, limit=2)
            ids += submit([wish("noop", chance), wish("noop", chance), wish("noop", chance)])
            with db.transaction():
                acting.asks(claim_next("teeth", ("general",), lease_seconds=600)[0])
            runs_and_news()
        yield fleet, ids


def judged_twice(claim: Claim) -> None:
    """Two drafts of a job, of which the second passes."""
    mine = {"fence": claim.fence, "lease_id": claim.lease_id}
    for number, verdict, score in ((1, "revise", 3.0), (2, "passed", 8.0)):
        assert drafts.keep(claim.job_id, number, content={"text": "…"}, **mine)
        report = {"verdict": verdict, "score": score, "threshold": 7.0}
        assert drafts.judged(claim.job_id, number, report=report, **mine)


def runs_and_news() -> None:
    """A run that is over and told of, one in the middle of everything, a fired schedule, and a callback that arrived."""
    echo = {"agent_id": "test-echo"}
    each = {"step_id": "each", "type": "map", "over": [1, 2], "max_parallel": 1, "depends_on": []}
    with db.transaction():
        start({"step_id": "first", **echo})
        calls = Wish(
            agent_id="test-echo", parameters={}, submitted_by="chaos", notify=CALL, priority="critical"
        )
        submit([calls])
    work(2)
    with db.transaction():
        sessions.create("teeth", who=WHO, callback_url="https://hooks.example.com/teeth")
        delegating.delegate("teeth", agent_id="test-echo", parameters={}, priority="critical", who=WHO)
    work(1)
    with db.transaction():
        start(
            {"step_id": "before", **echo},
            {"step_id": "under_way", **echo},
            {"step_id": "ask", "type": "approval", "question": "Well?", "depends_on": []},
            each | {"step": {"step_id": "item", "agent_id": "test-echo", "priority": "low"}},
        )
    work(1)
    with db.transaction():
        made = changes.create(
            changes.Wish(submitted_by="chaos", agent_id="test-echo", cron_expression="0 9 * * 1")
        )
        changes.run_now(made["schedule_id"])
        for taken in deliveries.take(limit=1, lease_seconds=60, per_lane=1, busy={}):
            deliveries.settle(taken, Outcome(delivered=True, status_code=204, duration_ms=1))


def start(*steps: dict[str, object]) -> None:
    runs.start(
        RunWish(definition=read({"name": "teeth", "steps": steps}), submitted_by="chaos", priority="critical")
    )


def work(count: int) -> None:
    """Complete the most urgent jobs, with what follows."""
    with db.quick():
        for claim in claim_next("teeth", ("general",), lease_seconds=600, limit=count):
            lifecycle.complete(claim, {"ok": True})
    while followups.attend():
        pass


def test_healthy_jobs_break_no_invariant(healthy: tuple[Fleet, list[str]]) -> None:
    fleet, _ = healthy

    assert fleet.broken() == {}


@pytest.mark.parametrize("name", invariants.ALWAYS | invariants.AT_REST)
def test_each_invariant_notices_what_it_is_for(name: str, healthy: tuple[Fleet, list[str]]) -> None:
    fleet, ids = healthy
    connection = psycopg2.connect(libpq(fleet.database_url))
    with connection.cursor() as cursor:
        for table in ("jobs", "workflows"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for constraint in ("running_is_leased", "final_is_finished"):
            cursor.execute(f"ALTER TABLE jobs DROP CONSTRAINT ck_jobs_{constraint}")
        cursor.execute(DAMAGE[name])

        cursor.execute((invariants.ALWAYS | invariants.AT_REST)[name], {"promised": ids, "max_lost": 3})
        noticed = cursor.fetchall()

    connection.rollback()
    connection.close()
    assert noticed
