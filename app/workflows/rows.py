"""The rows of runs and their steps, as the engine reads and writes them: few statements, however many steps.

Locks are taken in one order: a run, then runs inside of it, then questions, then jobs. A run inside another never
locks the other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.db import Row, as_json, db
from app.workflows.graph import Again, StepState
from app.workflows.plan import Planned

CANCELLING = "cancelling"
"""The `status_reason` of a run that somebody cancelled and of which something still runs."""

_RUN = """workflow_id::text, name, inputs, status, status_reason, definition, submitted_by, priority_rank, tags,
    correlation_id, traceparent, schedule_id::text, parent_workflow_id::text, parent_step_id, depth, round, submitted_at,
    cancel_requested_at, finished_at, completed_steps, total_steps"""
LOCK = f"SELECT {_RUN} FROM workflows WHERE workflow_id = %(id)s FOR UPDATE"
LOCK_FREE = f"SELECT {_RUN} FROM workflows WHERE workflow_id = %(id)s FOR UPDATE SKIP LOCKED"


def locked(workflow_id: str) -> Row | None:
    """A run, held until the end of the transaction; None if there is none."""
    return db.row(LOCK, id=workflow_id)


def locked_if_free(workflow_id: str) -> Row | None:
    """A run, held until the end of the transaction; None if there is none or somebody holds it."""
    return db.row(LOCK_FREE, id=workflow_id)


# -- what there is


_STATE = """step_id, kind, status, parent_step_id AS parent, position, case_index, item_index, depends_on,
    coalesce((definition ->> 'continue_on_failure')::boolean, false) AS may_fail,
    (definition ->> 'max_parallel')::integer AS max_parallel, (definition ->> 'min_success')::integer AS min_success,
    started_at IS NOT NULL AS started, coalesce(status_reason = 'stopping', false) AS stopping, finished_at,
    job_id::text, child_workflow_id::text, approval_id::text, coalesce(pg_column_size(output), 0) AS size"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept(StepState):
    """Where a step is, with what does its work and how much came out."""

    job_id: str | None = None
    child_workflow_id: str | None = None
    approval_id: str | None = None
    size: int = 0
    """Bytes of its output as the database keeps it, which is packed: never more than it is as text (`sizes`)."""


def states(workflow_id: str) -> dict[str, Kept]:
    """Where all steps of a run are, without their definitions and outputs."""
    rows = db.rows(f"SELECT {_STATE} FROM workflow_steps WHERE workflow_id = %(id)s", id=workflow_id)
    return {row["step_id"]: Kept(**row | {"depends_on": tuple(row["depends_on"])}) for row in rows}


def definitions(workflow_id: str, step_ids: Iterable[str]) -> dict[str, Row]:
    """What some steps say of themselves, and the items they are for: {step_id → {definition, item}}."""
    rows = db.rows(
        """SELECT step_id, definition, item FROM workflow_steps
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s)""",
        id=workflow_id,
        steps=sorted(set(step_ids)),
    )
    return {row["step_id"]: row for row in rows}


def is_of(table: str, its_id: str, submitted_by: str) -> bool:
    """Whether a job (`jobs`) or a run (`workflows`) was submitted by somebody."""
    column = {"jobs": "job_id", "workflows": "workflow_id"}.get(table)
    return column is not None and bool(
        db.value(
            f"SELECT EXISTS (SELECT 1 FROM {table} WHERE {column}::text = %(id)s AND submitted_by = %(by)s)",
            id=its_id,
            by=submitted_by,
        )
    )


def outputs(workflow_id: str, step_ids: Iterable[str]) -> dict[str, Any]:
    """What came out of some steps."""
    rows = db.rows(
        "SELECT step_id, output FROM workflow_steps WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s)",
        id=workflow_id,
        steps=sorted(set(step_ids)),
    )
    return {row["step_id"]: row["output"] for row in rows}


def sizes(workflow_id: str, step_ids: Iterable[str]) -> dict[str, int]:
    """How long the outputs of some steps are as text: the database packs them, some to a hundredth of that."""
    rows = db.rows(
        """SELECT step_id, octet_length(output::text) AS size FROM workflow_steps
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s) AND output IS NOT NULL""",
        id=workflow_id,
        steps=sorted(set(step_ids)),
    )
    return {row["step_id"]: row["size"] for row in rows}


def errors(workflow_id: str, step_ids: Iterable[str]) -> dict[str, Row]:
    """Why some steps failed: {step_id → error}."""
    rows = db.rows(
        """SELECT step_id, error FROM workflow_steps
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s) AND error IS NOT NULL""",
        id=workflow_id,
        steps=sorted(set(step_ids)),
    )
    return {row["step_id"]: row["error"] for row in rows}


# -- coming in


def insert_steps(
    workflow_id: str, planned: Sequence[Planned], items: dict[str, tuple[int, Any]] | None = None
) -> None:
    """Write steps that wait; `items` says of which item (number, item) a map's step is."""
    rows = [
        asdict(step)
        | dict(zip(("item_index", "item"), (items or {}).get(step.step_id, (None, None)), strict=True))
        for step in planned
    ]
    db.run(
        """INSERT INTO workflow_steps (workflow_id, step_id, position, kind, parent_step_id, case_index, depends_on,
                                       definition, item_index, item)
           SELECT %(id)s, n.step_id, n.position, n.kind, n.parent_step_id, n.case_index, n.depends_on, n.definition,
                  n.item_index, n.item
           FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(step_id text, position integer, kind text,
                parent_step_id text, case_index integer, depends_on text[], definition jsonb, item_index integer,
                item jsonb)""",
        id=workflow_id,
        rows=as_json(rows),
    )


def copy(old_id: str, new_id: str, plan: Again) -> None:
    """Write the steps of a run into another one, kept as they are but for what is to be done again."""
    db.run(
        """INSERT INTO workflow_steps (workflow_id, step_id, position, kind, parent_step_id, case_index, item_index, item,
                  depends_on, definition, status, status_reason, error, job_id, child_workflow_id, approval_id, output,
                  kept, started_at, finished_at)
           SELECT %(new)s, step_id, position, kind, parent_step_id, case_index, item_index, item, depends_on, definition,
                  status, status_reason, error, job_id, child_workflow_id, approval_id, output, true,
                  CASE WHEN NOT step_id = ANY(%(reopened)s) THEN started_at END, finished_at
           FROM workflow_steps WHERE workflow_id = %(old)s AND NOT step_id = ANY(%(forgotten)s)""",
        new=new_id,
        old=old_id,
        reopened=sorted(plan.reopen),
        forgotten=sorted(plan.forget),
    )
    do_again(new_id, plan, round_=1)


# -- moving on


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one step."""

    step_id: str
    status: str
    reason: str | None = None
    error: Row | None = None
    job_id: str | None = None
    child_workflow_id: str | None = None
    approval_id: str | None = None


def write(workflow_id: str, changes: Sequence[Change]) -> None:
    """Write several changes by one statement; the run is locked."""
    if changes:
        db.run(_WRITE, id=workflow_id, rows=as_json([asdict(change) for change in changes]))


_WRITE = """
    UPDATE workflow_steps s SET status = n.status, status_reason = n.reason, error = nullif(n.error, 'null'::jsonb),
           job_id = coalesce(n.job_id, s.job_id), child_workflow_id = coalesce(n.child_workflow_id, s.child_workflow_id),
           approval_id = coalesce(n.approval_id, s.approval_id),
           started_at = CASE WHEN n.status IN ('running','awaiting_input')
                             THEN coalesce(s.started_at, clock_timestamp()) ELSE s.started_at END,
           finished_at = CASE WHEN n.status IN ('completed','failed','skipped','cancelled') THEN clock_timestamp() END
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(step_id text, status text, reason text, error jsonb, job_id uuid,
         child_workflow_id uuid, approval_id uuid)
    WHERE s.workflow_id = %(id)s AND s.step_id = n.step_id"""


def take_jobs(workflow_id: str) -> list[Row]:
    """Settle the steps whose jobs have ended, with their results; a job of an earlier round belongs to no step."""
    return db.rows(
        """UPDATE workflow_steps s SET status = j.status, error = CASE WHEN j.status = 'failed' THEN j.error END,
                  output = CASE WHEN j.status = 'completed' THEN j.result END,
                  status_reason = CASE WHEN j.status = 'cancelled' THEN coalesce(s.status_reason, 'its job was cancelled')
                                       WHEN j.status = 'failed' THEN j.status_reason END,
                  started_at = coalesce(j.started_at, s.started_at), finished_at = j.finished_at
           FROM jobs j
           WHERE s.workflow_id = %(id)s AND s.status = 'running' AND s.kind = 'agent' AND j.job_id = s.job_id
             AND j.status || '' IN ('completed','failed','cancelled')
           RETURNING s.step_id, s.status, s.finished_at, coalesce(pg_column_size(s.output), 0) AS size""",
        id=workflow_id,
    )


def take_runs(workflow_id: str) -> list[Row]:
    """Settle the steps whose inner runs have ended."""
    return db.rows(
        """UPDATE workflow_steps s SET
                  status = CASE WHEN w.status = 'completed' THEN 'completed'
                                WHEN w.status = 'cancelled' AND s.status_reason = 'stopping' THEN 'cancelled'
                                ELSE 'failed' END,
                  output = w.output, finished_at = w.finished_at,
                  error = CASE WHEN w.status <> 'completed' THEN jsonb_build_object(
                      'type', coalesce(w.error ->> 'type', 'Cancelled'), 'class', 'permanent', 'code', 'inner_run',
                      'message', 'the run inside ' || CASE WHEN w.status = 'cancelled' THEN 'was cancelled' ELSE
                          'failed at step ' || coalesce(w.error ->> 'step_id', '?') || ': '
                          || coalesce(w.error ->> 'message', 'no reason was given') END) END
           FROM workflows w
           WHERE s.workflow_id = %(id)s AND s.status = 'running' AND s.kind = 'workflow'
             AND w.workflow_id = s.child_workflow_id AND w.finished_at IS NOT NULL
           RETURNING s.step_id, s.status, s.finished_at, coalesce(pg_column_size(s.output), 0) AS size""",
        id=workflow_id,
    )


def take_answers(workflow_id: str) -> list[Row]:
    """Settle the steps whose questions are answered, or too late to answer."""
    return db.rows(
        """UPDATE workflow_steps s SET
                  status = CASE WHEN a.status = 'cancelled' THEN 'cancelled'
                                WHEN a.approved OR s.definition ->> 'on_reject' = 'continue' THEN 'completed'
                                ELSE 'failed' END,
                  status_reason = CASE WHEN a.status = 'expired' THEN 'nobody answered in time' ELSE s.status_reason END,
                  output = CASE WHEN a.status <> 'cancelled' THEN jsonb_build_object(
                      'approved', a.approved, 'by', a.answered_by, 'at', a.answered_at, 'comment', a.comment,
                      'answer', a.answer) END,
                  error = CASE WHEN a.status <> 'cancelled' AND NOT a.approved
                                    AND s.definition ->> 'on_reject' IS DISTINCT FROM 'continue'
                               THEN jsonb_build_object('type', 'Rejected', 'class', 'permanent', 'code', 'rejected',
                                   'message', CASE WHEN a.status = 'expired' THEN 'nobody answered in time' ELSE
                                       'rejected by ' || coalesce(a.answered_by, 'nobody')
                                       || coalesce(': ' || a.comment, '') END) END,
                  finished_at = a.answered_at
           FROM (SELECT *, status = 'approved' OR (status = 'expired' AND on_timeout = 'approve') AS approved
                 FROM approvals) a
           WHERE s.workflow_id = %(id)s AND s.status = 'awaiting_input' AND a.approval_id = s.approval_id
             AND a.status <> 'open'
           RETURNING s.step_id, s.status, s.finished_at, coalesce(pg_column_size(s.output), 0) AS size""",
        id=workflow_id,
    )


def say_stopping(workflow_id: str, step_ids: Sequence[str]) -> None:
    """Note that the work of these steps was told to stop."""
    db.run(
        """UPDATE workflow_steps SET status_reason = 'stopping'
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s) AND status IN ('running','awaiting_input')""",
        id=workflow_id,
        steps=list(step_ids),
    )


def do_again(workflow_id: str, plan: Again, *, round_: int) -> None:
    """Let steps wait as if they had never run, and containers go on, in a new round."""
    db.run(
        "DELETE FROM workflow_steps WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s)",
        id=workflow_id,
        steps=sorted(plan.forget),
    )
    db.run(
        """UPDATE workflow_steps SET status = 'waiting', status_reason = NULL, error = NULL, output = NULL, job_id = NULL,
                  child_workflow_id = NULL, approval_id = NULL, kept = false, round = %(round)s, started_at = NULL,
                  finished_at = NULL
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s)""",
        id=workflow_id,
        steps=sorted(plan.redo),
        round=round_,
    )
    db.run(
        """UPDATE workflow_steps SET status = 'running', status_reason = NULL, error = NULL, kept = false, round = %(round)s,
                  started_at = coalesce(started_at, clock_timestamp()), finished_at = NULL
           WHERE workflow_id = %(id)s AND step_id = ANY(%(steps)s)""",
        id=workflow_id,
        steps=sorted(plan.reopen),
        round=round_,
    )
    db.run("UPDATE workflows SET round = %(round)s WHERE workflow_id = %(id)s", id=workflow_id, round=round_)


def go_on(workflow_id: str, *, completed: int, reason: str | None) -> None:
    """Note how far a run is; its version shows that something moved."""
    db.run(
        "UPDATE workflows SET completed_steps = %(completed)s, status_reason = %(reason)s WHERE workflow_id = %(id)s",
        id=workflow_id,
        completed=completed,
        reason=reason,
    )


def finish(
    workflow_id: str,
    status: str,
    *,
    completed: int,
    error: Row | None = None,
    output: Any = None,
    reason: str | None = None,
) -> None:
    """Close a run for good."""
    db.run(
        """UPDATE workflows SET status = %(status)s, status_reason = %(reason)s, completed_steps = %(completed)s,
                  error = %(error)s, output = %(output)s, finished_at = clock_timestamp()
           WHERE workflow_id = %(id)s""",
        id=workflow_id,
        status=status,
        reason=reason,
        completed=completed,
        error=None if error is None else as_json(error),
        output=None if output is None else as_json(output),
    )
