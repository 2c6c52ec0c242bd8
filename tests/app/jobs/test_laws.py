"""Belt and braces: what the schema refuses, whoever writes the SQL."""

from __future__ import annotations

import psycopg2
import pytest

from app.db import db
from app.errors import PermanentError
from app.jobs import lifecycle
from app.jobs.states import FINAL, Reason, Status
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def _refused(statement: str, **values: object) -> None:
    with pytest.raises(psycopg2.IntegrityError):
        db.run(statement, **values)


@pytest.mark.parametrize("born", [s for s in Status if s not in (Status.PENDING, Status.QUEUED)])
def test_a_job_is_born_waiting_only(born: Status) -> None:
    acting.submitted()
    _refused(
        """INSERT INTO jobs (job_id, agent_id, pool, status, parameters, submitted_by, finished_at, result, error, fence,
                             lease_id, lease_expires_at, worker_id)
           SELECT gen_random_uuid(), agent_id, pool, %(born)s, parameters, submitted_by,
                  CASE WHEN %(final)s THEN now() END, '{}', '{}', 1,
                  CASE WHEN %(born)s = 'running' THEN gen_random_uuid() END,
                  CASE WHEN %(born)s = 'running' THEN now() END, CASE WHEN %(born)s = 'running' THEN 'w' END FROM jobs""",
        born=born,
        final=born in FINAL,
    )


def test_a_fence_never_goes_back() -> None:
    claim = acting.claimed()
    _refused("UPDATE jobs SET fence = 0 WHERE job_id = %(id)s", id=claim.job_id)


def test_a_claim_must_raise_the_fence() -> None:
    job_id = acting.submitted()
    _refused(
        """UPDATE jobs SET status = 'running', lease_id = gen_random_uuid(), lease_expires_at = now(), worker_id = 'w'
           WHERE job_id = %(id)s""",
        id=job_id,
    )


@pytest.mark.parametrize("final", FINAL)
def test_a_finished_job_does_not_change(final: Status) -> None:
    job_id, _ = acting.brought_to(final)
    for change in (
        "priority_rank = 0",
        "result = '{}'",
        "progress = 7",
        "version = version + 1",
        "finished_at = now()",
    ):
        _refused(f"UPDATE jobs SET {change} WHERE job_id = %(id)s", id=job_id)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        (Status.QUEUED, "lease_id = gen_random_uuid(), lease_expires_at = now(), worker_id = 'w'"),
        (Status.QUEUED, "finished_at = now()"),
        (Status.QUEUED, "status = 'cancelled'"),
        (Status.QUEUED, "priority_rank = 4"),
        (Status.QUEUED, "progress = 101"),
        (Status.QUEUED, "status = 'asleep'"),
        (Status.RUNNING, "lease_id = NULL"),
        (Status.RUNNING, "lease_expires_at = NULL"),
        (Status.RUNNING, "worker_id = NULL"),
        (Status.RUNNING, "status = 'completed', finished_at = now(), lease_id = NULL"),
        (Status.RUNNING, "status = 'failed', finished_at = now(), lease_id = NULL"),
        (Status.RUNNING, "status = 'queued'"),
    ],
)
def test_status_lease_result_and_finish_belong_together(where: Status, change: str) -> None:
    job_id, _ = acting.brought_to(where)
    _refused(f"UPDATE jobs SET {change} WHERE job_id = %(id)s", id=job_id)


def test_a_job_has_one_open_attempt_at_most() -> None:
    claim = acting.claimed()
    _refused("INSERT INTO job_attempts (job_id, fence, worker_id) VALUES (%(id)s, 2, 'w2')", id=claim.job_id)


def test_an_attempt_ends_with_an_outcome() -> None:
    claim = acting.claimed()
    _refused("UPDATE job_attempts SET ended_at = now() WHERE job_id = %(id)s", id=claim.job_id)
    _refused(
        "UPDATE job_attempts SET ended_at = now(), outcome = 'tired' WHERE job_id = %(id)s", id=claim.job_id
    )


def test_a_job_has_one_dead_letter_at_most() -> None:
    claim = acting.claimed()
    lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
    _refused(
        """INSERT INTO dead_letters SELECT gen_random_uuid(), job_id, agent_id, task_name, parameters, options,
               priority_rank, submitted_by, submitted_at, failed_at, reason, error_type, error_class, error_message,
               stack_trace, retry_count, group_key FROM dead_letters"""
    )


def test_a_slot_holds_one_job_and_a_job_one_slot() -> None:
    claim = acting.claimed("test-limited")
    _refused(
        "UPDATE agent_slots SET job_id = %(id)s WHERE agent_id = 'test-limited' AND job_id IS NULL",
        id=claim.job_id,
    )


def test_the_audit_log_cannot_be_rewritten() -> None:
    db.run("INSERT INTO audit_log (actor, action) VALUES ('ada', 'signed.in')")
    _refused("UPDATE audit_log SET actor = 'eve'")
    _refused("DELETE FROM audit_log")
