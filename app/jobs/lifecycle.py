"""What may happen to a job. Every write of `jobs.status` is in this file, in the order of a job's life.

    submit → (claims.claim_next) → complete | retry_later | fail | stop | release | hold | wait_for_answer
                                   rescue (its worker is gone) · cancel (somebody asked) · promote (it is due)

Each verb is one guarded statement: it names the statuses it may leave and, for an attempt, the fence and the
lease that alone may settle it (two of them, because a crash of Postgres may forget an unflushed claim and give
its fence out again). They say `status || ''` to keep the planner on the primary key: with statistics of a quiet
moment it takes the partial indexes of waiting jobs for empty, and reads all of them. What is done to whole batches has
its statement in SQL, with plans that are kept: `jobs_claim` and `jobs_complete` (migrations/sql/0010_turns.sql). No row back means "not yours, or not now"; the verb says so and nothing was written.
History and figures are written by the trigger `jobs_guard` in the same transaction, so they cannot be
forgotten. None of these verbs commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import uuid_utils.compat

from app.audit import origin
from app.db import Row, as_json, db, dumps, storable
from app.errors import Conflict, JobError, LostLease, NotFound, Stalled
from app.jobs import dispatch
from app.jobs.claims import Claim
from app.jobs.dead_letters import fingerprint
from app.jobs.states import Priority, Reason, Status
from app.observe import correlation
from app.secrets import sealing

LONGEST_HEADLINE = 2_000


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody wants done; already checked against the agent's schema."""

    agent_id: str
    agent_version: str
    pool: str
    gated: bool
    parameters: dict[str, Any]
    submitted_by: str
    priority: Priority = Priority.NORMAL
    run_at: datetime | None = None
    """None: now."""
    max_retries: int = 3
    task_name: str | None = None
    tags: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    notify: dict[str, Any] | None = None
    correlation_id: str | None = None
    """None: that of whoever submits it."""
    traceparent: str | None = None
    """The span it belongs to; None: the one at work."""
    retry_of_job_id: str | None = None
    replay_of_job_id: str | None = None
    pinned: bool = False
    """Run `agent_version` and no newer one."""
    schedule_id: str | None = None
    workflow_id: str | None = None
    step_id: str | None = None
    session_id: str | None = None
    parent_job_id: str | None = None
    depth: int = 0
    """How many jobs are above it; 0 without a parent."""
    child_key: str | None = None
    """What tells it from other jobs of its parent; None: nothing needs to."""
    checkpoint: dict[str, Any] | None = None
    """Where an earlier job got to; the new one goes on from there."""
    secret: frozenset[str] = frozenset()
    """JSON pointers of what is sealed in the parameters before they are written."""


def new_id() -> str:
    """A fresh id: UUIDv7, so that ids sort by time and indexes grow at one end."""
    return str(uuid_utils.compat.uuid7())


def owner_of(job_id: str) -> str:
    """To whom the sealed values of a job belong (app/secrets/sealing.py), also in its dead letter."""
    return f"jobs/{job_id}"


# -- coming in


def submit(order: Order) -> Row:
    """Accept a job: one durable row, and after the commit a bell in its pool.

    Answers {job_id, status, submitted_at}. Due at once means `queued`, later means `pending`.
    """
    return submit_many([order])[0]


def submit_many(orders: list[Order]) -> list[Row]:
    """Accept several jobs by one statement, all or none; rows come back in the given order."""
    ids = [new_id() for _ in orders]
    here = origin.current()
    rows = db.rows(
        _SUBMIT,
        jobs=as_json([_born(job_id, order) for job_id, order in zip(ids, orders, strict=True)]),
        words=[priority.word for priority in sorted(Priority)],
        correlation_id=here.correlation_id,
        ip=here.ip,
        user_agent=here.user_agent,
    )
    by_id = {row["job_id"]: row for row in rows}
    for pool in {row["pool"] for row in rows if row["status"] == Status.QUEUED}:
        wanted = sum(row["pool"] == pool and row["status"] == Status.QUEUED for row in rows)
        dispatch.ring_after_commit(pool, wanted)
    return [by_id[job_id] for job_id in ids]


def _born(job_id: str, order: Order) -> dict[str, Any]:
    now = correlation.current()
    return {
        "job_id": job_id,
        "agent_id": order.agent_id,
        "agent_version": order.agent_version,
        "pool": order.pool,
        "lane": order.agent_id if order.gated else None,
        "priority_rank": int(order.priority),
        "run_at": order.run_at,
        "task_name": order.task_name,
        "parameters": sealing.seal(order.parameters, order.secret, owner_of(job_id), "/parameters"),
        "options": order.options,
        "tags": list(order.tags),
        "notify": order.notify,
        "submitted_by": order.submitted_by,
        "correlation_id": order.correlation_id or now["correlation_id"],
        "traceparent": order.traceparent or now["traceparent"],
        "retry_of_job_id": order.retry_of_job_id,
        "replay_of_job_id": order.replay_of_job_id,
        "pinned": order.pinned,
        "schedule_id": order.schedule_id,
        "workflow_id": order.workflow_id,
        "step_id": order.step_id,
        "session_id": order.session_id,
        "parent_job_id": order.parent_job_id,
        "depth": order.depth,
        "child_key": order.child_key,
        "checkpoint": order.checkpoint,
        "max_retries": order.max_retries,
    }


# With its entry in the audit log: who, what, how urgent, and the names of the parameters, never their values.
_SUBMIT = """
  WITH born AS (
    INSERT INTO jobs (job_id, agent_id, agent_version, pool, lane, status, status_reason, priority_rank, run_at,
                      queued_at, task_name, parameters, options, tags, notify, submitted_by, correlation_id, traceparent,
                      retry_of_job_id, replay_of_job_id, pinned, schedule_id, workflow_id, step_id, session_id,
                      parent_job_id, depth, child_key, checkpoint, max_retries)
    SELECT n.job_id, n.agent_id, n.agent_version, n.pool, n.lane,
           CASE WHEN coalesce(n.run_at, now()) <= now() THEN 'queued' ELSE 'pending' END,
           CASE WHEN coalesce(n.run_at, now()) <= now() THEN NULL ELSE 'scheduled' END,
           n.priority_rank, coalesce(n.run_at, now()),
           CASE WHEN coalesce(n.run_at, now()) <= now() THEN now() END,
           n.task_name, n.parameters, n.options, n.tags, nullif(n.notify, 'null'::jsonb), n.submitted_by,
           n.correlation_id, n.traceparent, n.retry_of_job_id, n.replay_of_job_id, n.pinned, n.schedule_id, n.workflow_id,
           n.step_id, n.session_id, n.parent_job_id, n.depth, n.child_key,
           nullif(n.checkpoint, 'null'::jsonb), n.max_retries
    FROM jsonb_to_recordset(%(jobs)s::jsonb) AS n(job_id uuid, agent_id text, agent_version text, pool text,
         lane text, priority_rank smallint, run_at timestamptz, task_name text, parameters jsonb, options jsonb,
         tags text[], notify jsonb, submitted_by text, correlation_id text, traceparent text, retry_of_job_id uuid, replay_of_job_id uuid, pinned boolean,
         schedule_id uuid, workflow_id uuid, step_id text, session_id text, parent_job_id uuid, depth smallint, child_key text,
         checkpoint jsonb, max_retries integer)
    RETURNING job_id::text, pool, status, priority_rank, submitted_at, run_at, version, agent_id, submitted_by,
              correlation_id, parameters, schedule_id, workflow_id, step_id, session_id, parent_job_id),
  noted AS (
    INSERT INTO audit_log (actor, action, subject, correlation_id, ip, user_agent, details)
    SELECT submitted_by, 'job.submitted', job_id, coalesce(correlation_id, %(correlation_id)s), %(ip)s, %(user_agent)s,
           jsonb_strip_nulls(jsonb_build_object(
               'agent_id', agent_id, 'priority', (%(words)s::text[])[priority_rank + 1],
               'parameters', (SELECT jsonb_agg(name) FROM (SELECT left(name, 100) AS name
                              FROM jsonb_object_keys(parameters) AS name ORDER BY 1 LIMIT 50) AS names),
               'schedule_id', schedule_id, 'workflow_id', workflow_id, 'step_id', step_id,
               'session_id', session_id, 'parent_job_id', parent_job_id))
    FROM born)
  SELECT job_id, pool, status, priority_rank, submitted_at, run_at, version FROM born"""


def promote(limit: int = 500) -> int:
    """Call waiting jobs whose time has come `queued` and ring for them; answers how many.

    Claims do not wait for this: a due job is eligible in any waiting status. It is for the eye and the bell.
    """
    rows = db.rows(
        """WITH due AS MATERIALIZED (
               SELECT job_id FROM jobs WHERE status IN ('pending','retry') AND run_at <= now()
               ORDER BY run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
           UPDATE jobs j SET status = 'queued', status_reason = NULL, queued_at = now()
           FROM due WHERE j.job_id = due.job_id AND j.status IN ('pending','retry') RETURNING j.pool""",
        limit=limit,
    )
    for pool in {r["pool"] for r in rows}:
        dispatch.ring_after_commit(pool, sum(r["pool"] == pool for r in rows))
    return len(rows)


# -- what a worker says of its attempt; each refuses with LostLease when the claim is not its own any more


@dataclass(frozen=True)
class Success:
    """An attempt that succeeded, with what came out."""

    claim: Claim
    result: dict[str, Any]
    usage: dict[str, float] | None = None
    verdict: str | None = None
    """What its quality gate said: passed, needs_review or rejected; None without a gate."""
    score: float | None = None
    """0-10, of the draft that the result holds."""


def complete(claim: Claim, result: dict[str, Any], usage: dict[str, float] | None = None) -> None:
    """The attempt succeeded: the job is `completed` with `result`. A cancel request that came too late loses."""
    if not complete_many([Success(claim, result, usage)])[0]:
        raise LostLease(f"attempt {claim.fence} of job {claim.job_id} belongs to another worker now")


def complete_many(done: list[Success]) -> list[bool]:
    """Complete several attempts by one statement; answers for each whether it was (still) its own."""
    rows = db.rows(
        _COMPLETE,
        jobs=[d.claim.job_id for d in done],
        fences=[d.claim.fence for d in done],
        leases=[d.claim.lease_id for d in done],
        results=[dumps(d.result) for d in done],
        usages=[dumps(d.usage) if d.usage else None for d in done],
        verdicts=[d.verdict for d in done],
        scores=[d.score for d in done],
        headlines=[_headline(d.result) for d in done],
    )
    settled = {row["job_id"] for row in rows}
    return [d.claim.job_id in settled or _settled_before(d.claim, "completed") for d in done]


def _headline(result: dict[str, Any]) -> str | None:
    """What lists show of a result: its `headline`, {text, url?}, if it has one that a line can hold."""
    said = result.get("headline")
    if not isinstance(said, dict) or not isinstance(said.get("text"), str):
        return None
    line = {name: said[name] for name in ("text", "url") if isinstance(said.get(name), str)}
    return written if len(written := dumps(line)) <= LONGEST_HEADLINE else None


_COMPLETE = """
    SELECT job_id::text FROM jobs_complete(
        %(jobs)s::uuid[], %(fences)s::bigint[], %(leases)s::uuid[], %(results)s::text[], %(usages)s::text[],
        %(verdicts)s::text[], %(scores)s::float[], %(headlines)s::text[]) AS job_id"""


def retry_later(claim: Claim, error: JobError, delay_seconds: float, stack_trace: str | None = None) -> None:
    """The attempt failed and another one will follow after `delay_seconds`; counts as a retry.

    If somebody asked to cancel meanwhile, the job is cancelled instead.
    """
    _settle(
        claim,
        _RETRY,
        outcome="timeout" if error.error_class == "timeout" else "failed",
        error=as_json(describe(error)),
        delay=delay_seconds,
        reason=_why_again(error),
        trace=storable(stack_trace) if stack_trace else None,
        usage=None,
    )


def _why_again(error: JobError) -> Reason:
    if isinstance(error, Stalled):
        return Reason.STALLED
    return Reason.RATE_LIMIT if error.error_class == "rate_limit" else Reason.BACKOFF


_SETTLED_ATTEMPT = """
    , attempt AS (
        UPDATE job_attempts a SET ended_at = clock_timestamp(), outcome = %(outcome)s, error = %(error)s,
               delay_seconds = %(delay)s, usage = coalesce(%(usage)s, a.usage)
        FROM settled WHERE a.job_id = settled.job_id AND a.fence = %(fence)s)"""
_RETRY = (
    """WITH settled AS (
        UPDATE jobs SET status = CASE WHEN cancel_requested_at IS NULL THEN 'retry' ELSE 'cancelled' END,
               status_reason = CASE WHEN cancel_requested_at IS NULL THEN %(reason)s ELSE 'by_user' END,
               retry_count = retry_count + 1, error = %(error)s, stack_trace = %(trace)s,
               run_at = clock_timestamp() + %(delay)s * interval '1 s',
               finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running' RETURNING job_id)"""
    + _SETTLED_ATTEMPT
    + " SELECT job_id FROM settled"
)


def fail(
    claim: Claim,
    error: JobError,
    reason: Reason,
    stack_trace: str | None = None,
    *,
    partial: dict[str, Any] | None = None,
) -> None:
    """The attempt failed for good: `failed`, and its dead letter in the same transaction.

    `reason`: exhausted, stalled, permanent or stopped_budget; `partial` is a result as far as it got. If somebody
    asked to cancel meanwhile, the job is cancelled instead, without a dead letter.
    """
    shown = describe(error)
    _settle(
        claim,
        _FAIL,
        outcome="timeout" if error.error_class == "timeout" else "failed",
        error=as_json(shown),
        delay=None,
        reason=reason,
        trace=storable(stack_trace) if stack_trace else None,
        usage=None,
        dlq=new_id(),
        error_type=shown["type"],
        error_class=shown["class"],
        message=shown["message"],
        group=fingerprint(claim.agent_id, shown["type"], shown["message"]),
        user_error=error.user_error,
        letter_reason="exhausted" if reason in (Reason.EXHAUSTED, Reason.STALLED) else "permanent",
        partial=as_json(partial) if partial is not None else None,
    )


_DEAD_LETTER = """
    , letter AS (
        INSERT INTO dead_letters (dlq_id, job_id, agent_id, task_name, parameters, options, priority_rank,
               submitted_by, submitted_at, failed_at, reason, error_type, error_class, error_message, stack_trace,
               retry_count, group_key, user_error)
        SELECT {dlq_id}, job_id, agent_id, task_name, parameters, options, priority_rank, submitted_by,
               submitted_at, finished_at, {reason}, {error_type}, {error_class}, {message}, stack_trace,
               retry_count, {group}, {user_error}
        FROM settled WHERE status = 'failed')"""
_FAIL = (
    """WITH settled AS (
        UPDATE jobs SET status = CASE WHEN cancel_requested_at IS NULL THEN 'failed' ELSE 'cancelled' END,
               status_reason = CASE WHEN cancel_requested_at IS NULL THEN %(reason)s ELSE 'by_user' END,
               error = %(error)s, stack_trace = %(trace)s, finished_at = clock_timestamp(), result = %(partial)s,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running'
        RETURNING *)"""
    + _DEAD_LETTER.format(
        dlq_id="%(dlq)s::uuid",
        reason="%(letter_reason)s",
        error_type="%(error_type)s",
        error_class="%(error_class)s",
        message="%(message)s",
        group="%(group)s",
        user_error="%(user_error)s",
    )
    + _SETTLED_ATTEMPT
    + " SELECT job_id FROM settled"
)


def stop(claim: Claim) -> None:
    """The attempt stopped because somebody cancelled the job."""
    _settle(claim, _STOP, outcome="cancelled", error=None, delay=None, usage=None)


_STOP = (
    """WITH settled AS (
        UPDATE jobs SET status = 'cancelled', status_reason = 'by_user', finished_at = clock_timestamp(),
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running' RETURNING job_id)"""
    + _SETTLED_ATTEMPT
    + " SELECT job_id FROM settled"
)


def release(claim: Claim) -> None:
    """Hand the attempt back at once because the worker is shutting down; costs the job no retry."""
    _settle(claim, _RELEASE, outcome="released", error=None, delay=None, usage=None)
    dispatch.ring_after_commit(claim.pool)


_RELEASE = (
    """WITH settled AS (
        UPDATE jobs SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
               status_reason = CASE WHEN cancel_requested_at IS NULL THEN 'released' ELSE 'by_user' END,
               released_count = released_count + 1, queued_at = clock_timestamp(),
               finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running' RETURNING job_id)"""
    + _SETTLED_ATTEMPT
    + " SELECT job_id FROM settled"
)


def hold(claim: Claim, reason: Reason, until: datetime | None, message: str = "") -> None:
    """Hand the attempt back because what it needs is spent or away; costs the job no retry.

    It is not due before `until`; None means far from now: whoever lifts the hold calls `lift`. `message` says to
    people what it waits for; it is kept with the attempt.
    """
    held = {"type": "Held", "class": "held", "code": reason.value, "message": storable(message[:2000])}
    _settle(
        claim,
        _HOLD,
        outcome="released",
        error=as_json(held | {"until": until}),
        delay=None,
        usage=None,
        reason=reason,
        until=until,
    )


_HOLD = (
    """WITH settled AS (
        UPDATE jobs SET status = CASE WHEN cancel_requested_at IS NULL THEN 'retry' ELSE 'cancelled' END,
               status_reason = CASE WHEN cancel_requested_at IS NULL THEN %(reason)s ELSE 'by_user' END,
               run_at = coalesce(%(until)s, clock_timestamp() + interval '30 days'),
               released_count = released_count + 1,
               finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running' RETURNING job_id)"""
    + _SETTLED_ATTEMPT
    + " SELECT job_id FROM settled"
)


def wait_for_answer(claim: Claim) -> bool:
    """Hand the attempt back because it asks a person; costs the job no retry, and nobody claims it before `answered`.

    Whoever calls this puts the question in the same transaction. Answers whether the job waits now: not if somebody
    asked to cancel it meanwhile (it is cancelled), or if this was said before.
    """
    done = db.row(
        _WAIT_FOR_ANSWER,
        job=claim.job_id,
        fence=claim.fence,
        lease=claim.lease_id,
        outcome="asked",
        error=None,
        delay=None,
        usage=None,
    )
    if done is None and not _settled_before(claim, "asked"):
        raise LostLease(f"attempt {claim.fence} of job {claim.job_id} belongs to another worker now")
    return bool(done and done["status"] == Status.AWAITING_INPUT)


_WAIT_FOR_ANSWER = (
    """WITH settled AS (
        UPDATE jobs SET status = CASE WHEN cancel_requested_at IS NULL THEN 'awaiting_input' ELSE 'cancelled' END,
               status_reason = CASE WHEN cancel_requested_at IS NULL THEN 'approval' ELSE 'by_user' END,
               finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running'
        RETURNING job_id, status)"""
    + _SETTLED_ATTEMPT
    + " SELECT job_id, status FROM settled"
)


def answered(job_id: str) -> bool:
    """What the job asked is settled: it may run again at once. False if it waits for no answer (any more).

    The question is to be closed before, in the same transaction: leaving `awaiting_input` withdraws open ones.
    """
    row = db.row(
        """UPDATE jobs SET status = 'queued', status_reason = NULL, run_at = clock_timestamp(),
               queued_at = clock_timestamp()
           WHERE job_id = %(job)s AND status || '' = 'awaiting_input' RETURNING pool""",
        job=job_id,
    )
    if row:
        dispatch.ring_after_commit(row["pool"])
    return row is not None


def lift(agent_ids: list[str], reason: Reason) -> int:
    """Let jobs of these agents that are held for `reason` run now; answers how many."""
    rows = db.rows(
        """UPDATE jobs SET run_at = now(), status = 'queued', status_reason = NULL, queued_at = now(),
               version = version + 1
           WHERE job_id IN (SELECT job_id FROM jobs WHERE agent_id = ANY(%(agents)s) AND status = 'retry'
                              AND status_reason = %(reason)s ORDER BY job_id FOR UPDATE) RETURNING pool""",
        agents=agent_ids,
        reason=reason,
    )
    for pool in {row["pool"] for row in rows}:
        dispatch.ring_after_commit(pool, sum(row["pool"] == pool for row in rows))
    return len(rows)


def _settle(claim: Claim, statement: str, **values: object) -> None:
    done = db.row(statement, job=claim.job_id, fence=claim.fence, lease=claim.lease_id, **values)
    if done is None and not _settled_before(claim, str(values["outcome"])):
        raise LostLease(f"attempt {claim.fence} of job {claim.job_id} belongs to another worker now")


def _settled_before(claim: Claim, outcome: str) -> bool:
    """A settle whose answer was lost on the way did happen; saying it again is no error.

    Only the same outcome again: what comes after the job was handed back over its runner's head is too late.
    """
    return bool(
        db.value(
            """SELECT 1 FROM job_attempts WHERE job_id = %(job)s AND fence = %(fence)s AND worker_id = %(worker)s
               AND outcome = %(outcome)s""",
            job=claim.job_id,
            fence=claim.fence,
            worker=claim.worker_id,
            outcome=outcome,
        )
    )


# -- what others do to it


def cancel(job_id: str) -> Row:
    """Cancel a job: a waiting one at once, a running one as soon as its worker hears of it (within 2 s).

    The jobs it delegated, and theirs, are cancelled with it. Answers {status, cancel_requested_at, finished_at}.
    Asking twice is no error; a finished job is a Conflict.
    """
    row = db.row(
        """UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
               status = CASE WHEN status = 'running' THEN status ELSE 'cancelled' END,
               status_reason = 'by_user',
               finished_at = CASE WHEN status = 'running' THEN NULL ELSE clock_timestamp() END,
               version = version + 1, updated_at = clock_timestamp()
           WHERE job_id = %(job)s AND status || '' IN ('pending','queued','retry','running','awaiting_input')
           RETURNING job_id::text, status, cancel_requested_at, finished_at""",
        job=job_id,
    )
    if row is None:
        return _refuse(job_id, "cancel")
    cancel_below([job_id])
    return row


def cancel_many(job_ids: list[str]) -> list[Row]:
    """Cancel several jobs as `cancel` does, by one statement; finished ones, and those asked already, stay as they are.

    Answers {job_id, status} of those it reached, without the jobs that were delegated by them.
    """
    reached = _cancel_each(job_ids)
    cancel_below([row["job_id"] for row in reached])
    return reached


def cancel_below(job_ids: list[str]) -> int:
    """Cancel what lives of all that these jobs delegated, and those in turn; answers how many there were.

    Whoever delegates holds its own job's row meanwhile and reads there whether it was cancelled, so after one look
    finds nothing more there is nothing more.
    """
    cancelled = 0
    while job_ids and (living := db.rows(_LIVING_BELOW, jobs=job_ids)):
        cancelled += len(_cancel_each([row["job_id"] for row in living]))
    return cancelled


_LIVING_BELOW = """
    WITH RECURSIVE below AS (
        SELECT job_id, status, cancel_requested_at FROM jobs WHERE parent_job_id = ANY(%(jobs)s::uuid[])
        UNION ALL
        SELECT j.job_id, j.status, j.cancel_requested_at FROM below b JOIN jobs j ON j.parent_job_id = b.job_id)
    SELECT job_id::text FROM below WHERE cancel_requested_at IS NULL
      AND status IN ('pending','queued','retry','running','awaiting_input')"""


def _cancel_each(job_ids: list[str]) -> list[Row]:
    return db.rows(
        """WITH open AS MATERIALIZED (
               SELECT job_id FROM jobs WHERE job_id = ANY(%(jobs)s::uuid[]) AND cancel_requested_at IS NULL
                 AND status || '' IN ('pending','queued','retry','running','awaiting_input') ORDER BY job_id FOR UPDATE)
           UPDATE jobs j SET cancel_requested_at = clock_timestamp(),
               status = CASE WHEN j.status = 'running' THEN j.status ELSE 'cancelled' END, status_reason = 'by_user',
               finished_at = CASE WHEN j.status = 'running' THEN NULL ELSE clock_timestamp() END,
               version = j.version + 1, updated_at = clock_timestamp()
           FROM open WHERE j.job_id = open.job_id RETURNING j.job_id::text, j.status""",
        jobs=job_ids,
    )


def change_priority(job_id: str, priority: Priority) -> Row:
    """Make a waiting job more or less urgent; a running or finished one is a Conflict."""
    row = db.row(
        """UPDATE jobs SET priority_rank = %(rank)s, version = version + 1, updated_at = clock_timestamp()
           WHERE job_id = %(job)s AND status || '' IN ('pending','queued','retry')
           RETURNING job_id::text, status, priority_rank""",
        job=job_id,
        rank=int(priority),
    )
    return row or _refuse(job_id, "change the priority of")


def change_priorities(job_ids: list[str], priority: Priority) -> list[str]:
    """Make several waiting jobs more or less urgent, by one statement; answers the ids of those it reached."""
    rows = db.rows(
        """WITH waiting AS MATERIALIZED (
               SELECT job_id FROM jobs WHERE job_id = ANY(%(jobs)s::uuid[])
                 AND status || '' IN ('pending','queued','retry') ORDER BY job_id FOR UPDATE)
           UPDATE jobs j SET priority_rank = %(rank)s, version = j.version + 1, updated_at = clock_timestamp()
           FROM waiting WHERE j.job_id = waiting.job_id RETURNING j.job_id::text""",
        jobs=job_ids,
        rank=int(priority),
    )
    return [row["job_id"] for row in rows]


def run_now(job_id: str) -> Row:
    """Do not let a waiting job wait for its time any longer."""
    row = db.row(
        """UPDATE jobs SET run_at = now(), status = 'queued', status_reason = NULL, queued_at = now(),
               version = version + 1
           WHERE job_id = %(job)s AND status || '' IN ('pending','retry') RETURNING job_id::text, status, pool""",
        job=job_id,
    )
    if row:
        dispatch.ring_after_commit(row["pool"])
    return row or _refuse(job_id, "hurry")


def _refuse(job_id: str, verb: str) -> Row:
    status = db.value("SELECT status FROM jobs WHERE job_id = %(job)s", job=job_id)
    if status is None:
        raise NotFound(f"there is no job {job_id}")
    allowed = {
        "failed": ["retry"],
        "cancelled": ["retry"],
        "completed": ["replay"],
        "running": ["cancel"],
        "awaiting_input": ["cancel"],
    }
    raise Conflict(f"cannot {verb} a job that is {status}", allowed=allowed.get(status, []))


def rescue(limit: int, *, max_lost: int, backoff_seconds: float) -> list[Row]:
    """Take back attempts whose lease ran out: their worker is gone.

    The job goes back to the queue after a growing pause, is cancelled if somebody asked for that, or after
    `max_lost` lost workers ends as poison in the dead letters. Answers the rows {job_id, status, pool}.
    The caller has made sure that the sweeps themselves did not sleep (upkeep.rescue_silent).
    """
    rows = db.rows(
        _RESCUE,
        limit=limit,
        max_lost=max_lost,
        backoff=backoff_seconds,
        error=as_json(_LOST),
        message=_LOST["message"],
    )
    for pool in {r["pool"] for r in rows if r["status"] == Status.QUEUED}:
        dispatch.ring_after_commit(pool)
    return rows


_LOST = {
    "type": "WorkerLost",
    "class": "lost",
    "code": "worker_lost",
    "message": "the worker process that ran this job died or was cut off",
}
_RESCUE = (
    """WITH silent AS MATERIALIZED (
        SELECT job_id, fence FROM jobs WHERE status = 'running' AND lease_expires_at < clock_timestamp()
        ORDER BY lease_expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    , settled AS (
        UPDATE jobs j SET lost_count = lost_count + 1,
               status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                             WHEN lost_count + 1 >= %(max_lost)s THEN 'failed' ELSE 'queued' END,
               status_reason = CASE WHEN cancel_requested_at IS NOT NULL THEN 'by_user'
                                    WHEN lost_count + 1 >= %(max_lost)s THEN 'poison' ELSE 'lost_worker' END,
               error = %(error)s,
               run_at = clock_timestamp() + least(300, %(backoff)s * power(4, lost_count)) * interval '1 s',
               queued_at = clock_timestamp(),
               finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR lost_count + 1 >= %(max_lost)s
                                  THEN clock_timestamp() END,
               lease_id = NULL, lease_expires_at = NULL, worker_id = NULL, process_id = NULL
        FROM silent WHERE j.job_id = silent.job_id AND j.fence = silent.fence AND j.status = 'running'
        RETURNING j.*)
    , attempt AS (
        UPDATE job_attempts a SET ended_at = clock_timestamp(), outcome = 'lost', error = %(error)s
        FROM silent WHERE a.job_id = silent.job_id AND a.fence = silent.fence)"""
    + _DEAD_LETTER.format(
        dlq_id="gen_random_uuid()",
        reason="'poison'",
        error_type="'WorkerLost'",
        error_class="'lost'",
        message="%(message)s",
        group="agent_id || ':WorkerLost'",
        user_error="false",
    )
    + " SELECT job_id::text, status, pool FROM settled"
)


def describe(error: JobError) -> dict[str, Any]:
    """An error as the status document shows it: {type, class, code, message, details?}."""
    shown: dict[str, Any] = {
        "type": storable(str(error.details.get("type") or type(error).__name__)),
        "class": error.error_class,
        "code": error.code,
        "message": storable(error.message[:2000]),
    }
    if details := {k: v for k, v in error.details.items() if k not in {"type", "traceback"}}:
        shown["details"] = details
    return shown
