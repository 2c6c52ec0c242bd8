"""Short ways to start runs and to let their jobs end, for tests inside a transaction."""

from __future__ import annotations

from typing import Any

from app.db import Row, db
from app.errors import PermanentError
from app.jobs import claims, lifecycle
from app.jobs.claims import Claim
from app.jobs.states import Reason
from app.workflows import progress, queries, runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests import acting
from tests.acting import OWNER

JSON = dict[str, Any]


def step(step_id: str, **keys: Any) -> JSON:
    """A step with the agent of these tests, which takes anything and does nothing."""
    return {"step_id": step_id, "agent_id": "anything"} | keys


def parallel(step_id: str, *tasks: JSON, **keys: Any) -> JSON:
    return {"step_id": step_id, "type": "parallel", "tasks": list(tasks)} | keys


def sequence(step_id: str, *steps: JSON, **keys: Any) -> JSON:
    return {"step_id": step_id, "type": "sequence", "steps": list(steps)} | keys


def wish(*steps: JSON, inputs: JSON | None = None, told: JSON | None = None, **keys: Any) -> RunWish:
    """A wish for a run of these steps; `keys` are the definition's, `told` the wish's."""
    definition = read({"name": "Trial", "steps": list(steps)} | keys)
    return RunWish(definition=definition, **{"submitted_by": OWNER, "inputs": inputs or {}} | (told or {}))


def started(*steps: JSON, inputs: JSON | None = None, told: JSON | None = None, **keys: Any) -> str:
    """The id of a new run."""
    return str(runs.start(wish(*steps, inputs=inputs, told=told, **keys))["workflow_id"])


def statuses(workflow_id: str) -> dict[str, str]:
    """Where each step is."""
    return {row["step_id"]: row["status"] for row in queries.steps(workflow_id)}


def run(workflow_id: str) -> Row:
    """The whole row of a run."""
    return queries.get(workflow_id, full=True)


def row(workflow_id: str, step_id: str) -> Row:
    """The whole row of a step."""
    found = db.row(
        """SELECT *, job_id::text AS job_id, child_workflow_id::text AS child_workflow_id,
                  approval_id::text AS approval_id
           FROM workflow_steps WHERE workflow_id = %(id)s AND step_id = %(step)s""",
        id=workflow_id,
        step=step_id,
    )
    assert found is not None, f"there is no step {step_id}"
    return found


def jobs_of(workflow_id: str, step_id: str | None = None) -> list[Row]:
    """The jobs of a run, oldest first."""
    return db.rows(
        """SELECT job_id::text, step_id, status, parameters, priority_rank, tags, max_retries, options, submitted_by,
                  schedule_id::text, correlation_id
           FROM jobs WHERE workflow_id = %(id)s AND (%(step)s::text IS NULL OR step_id = %(step)s) ORDER BY jobs.job_id""",
        id=workflow_id,
        step=step_id,
    )


def claim_of(workflow_id: str, step_id: str) -> Claim:
    """The claim of a step's job, as a worker has it who took this very one."""
    job_id = row(workflow_id, step_id)["job_id"]
    assert job_id, f"{step_id} has no job"
    db.run(
        "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE job_id <> %(id)s AND status = 'queued'",
        id=job_id,
    )
    taken = claims.claim_next("w1", acting.POOLS, lease_seconds=60)
    db.run("UPDATE jobs SET run_at = now() WHERE status = 'queued'")
    assert [each.job_id for each in taken] == [job_id]
    return taken[0]


def ends(workflow_id: str, step_id: str, result: Any = None) -> str:
    """A step's job completes, and the run hears of it; answers the job's id."""
    claim = claim_of(workflow_id, step_id)
    lifecycle.complete(claim, {"ok": True} if result is None else result)
    progress.job_settled(claim.job_id)
    return claim.job_id


def breaks(workflow_id: str, step_id: str, message: str = "broken on purpose") -> str:
    """A step's job fails for good, and the run hears of it; answers the job's id."""
    claim = claim_of(workflow_id, step_id)
    lifecycle.fail(claim, PermanentError(message), Reason.PERMANENT)
    progress.job_settled(claim.job_id)
    return claim.job_id


def halts(workflow_id: str, step_id: str) -> str:
    """A worker hears that a step's running job is to stop, and the run hears of it; answers the job's id."""
    claim = CLAIMS.pop(row(workflow_id, step_id)["job_id"])
    lifecycle.stop(claim)
    progress.job_settled(claim.job_id)
    return claim.job_id


def taken(workflow_id: str, step_id: str) -> Claim:
    """A worker takes a step's job and is at it."""
    claim = claim_of(workflow_id, step_id)
    CLAIMS[claim.job_id] = claim
    return claim


CLAIMS: dict[str, Claim] = {}
