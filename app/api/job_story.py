"""What a job did and said: log, events, changes of status, attempts, and why it is not running."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import FARTHEST_SEQ, Level, LogLine, Status
from app.api.ownership import demand_job
from app.api.reading import Input
from app.api.shapes import JSON, When
from app.jobs import explain, timeline


class AfterQuery(Input):
    """From where on."""

    after: int = Field(0, ge=0, le=FARTHEST_SEQ, description="The last `seq` you have.")
    limit: int = Field(200, ge=1, le=1000)


class LogQuery(AfterQuery):
    """From where on, and how bad at least."""

    level: Level | None = Field(None, description="This level and worse.")


class LogsOut(BaseModel):
    """Log lines, oldest first."""

    job_id: str
    task_id: str
    logs: list[LogLine]
    log_cursor: int = Field(description="Send it as `after` the next time; nothing is lost or sent twice.")
    more: bool = Field(description="There are further lines right now.")


class EventsOut(BaseModel):
    """Everything the job said, oldest first."""

    job_id: str
    task_id: str
    events: list[LogLine]
    cursor: int
    more: bool


class Step(BaseModel):
    """One change of status."""

    at: When
    from_status: Status | None
    to_status: Status
    reason: str | None
    attempt: int
    worker_id: str | None


class HistoryOut(BaseModel):
    """Every change of status, oldest first."""

    job_id: str
    task_id: str
    history: list[Step]


class AttemptOut(BaseModel):
    """One execution."""

    attempt: int
    worker_id: str
    agent_version: str | None
    started_at: When
    ended_at: When | None
    outcome: str | None = Field(description="null while it runs.")
    error: JSON | None
    delay_seconds: float | None = Field(description="The wait for the next attempt.")
    duration_seconds: float
    usage: JSON | None = Field(description="What it used, as far as it said.")
    pins: JSON | None = Field(description="What it ran with: provider, model, cli_version, session_id.")


class AttemptsOut(BaseModel):
    """Every execution, oldest first."""

    job_id: str
    task_id: str
    attempts: list[AttemptOut]


class Holder(BaseModel):
    """A running job that has what another one waits for."""

    job_id: str
    agent_id: str
    task_name: str | None
    since: When
    worker_id: str | None


class Blocker(BaseModel):
    """One thing that keeps a job from running."""

    code: Literal[
        "backoff", "scheduled", "budget", "provider_open", "agent_disabled", "paused", "no_worker", "agent_limit",
        "rate_limit", "busy", "queue", "approval", "delegated",
    ]  # fmt: skip
    message: str
    short: str = Field(description="The same in a few words, as lists show it.")
    until: When | None = Field(None, description="When it ends by itself; null: not by itself, or unknown.")
    subject: str | None = Field(
        None,
        description="The budget or the provider that holds the agent; or the question that waits for an answer.",
    )
    holders: list[Holder] | None = Field(
        None, description="`agent_limit` and `busy`: up to ten of the jobs in the way, of those you may see."
    )
    holder_count: int | None = Field(None, description="How many there are in all.")


class ExplainOut(BaseModel):
    """Why a job is not running; the first blocker is what to do something about."""

    job_id: str
    task_id: str
    status: Status
    runnable: bool
    blockers: list[Blocker]
    queue_position: int | None
    estimated_wait_time_seconds: int | None


@op("GET", "/api/v1/jobs/<job_id>/logs", verb="view_task_content", out=LogsOut, errors=(404,))
def get_job_logs(job_id: UUID, query: LogQuery) -> dict[str, Any]:
    """Read a job's log from a cursor on."""
    lines = timeline.log(
        demand_job(job_id, "view_task_content"), after=query.after, limit=query.limit, level=query.level
    )
    cursor = lines[-1]["seq"] if lines else query.after
    return _named(job_id) | {"logs": lines, "log_cursor": cursor, "more": len(lines) == query.limit}


@op("GET", "/api/v1/jobs/<job_id>/events", verb="view_task_content", out=EventsOut, errors=(404,))
def get_job_events(job_id: UUID, query: AfterQuery) -> dict[str, Any]:
    """Read everything a job said (log lines, progress, stages, completion) from a cursor on."""
    events = timeline.events(demand_job(job_id, "view_task_content"), after=query.after, limit=query.limit)
    cursor = events[-1]["seq"] if events else query.after
    return _named(job_id) | {"events": events, "cursor": cursor, "more": len(events) == query.limit}


@op("GET", "/api/v1/jobs/<job_id>/history", verb="view_task", out=HistoryOut, errors=(404,))
def get_job_history(job_id: UUID) -> dict[str, Any]:
    """Show every change of a job's status, with its reason."""
    return _named(job_id) | {"history": timeline.history(demand_job(job_id, "view_task"))}


@op("GET", "/api/v1/jobs/<job_id>/attempts", verb="view_task_content", out=AttemptsOut, errors=(404,))
def get_job_attempts(job_id: UUID) -> dict[str, Any]:
    """Show every execution of a job: where, how long, how it ended."""
    return _named(job_id) | {"attempts": timeline.attempts(demand_job(job_id, "view_task_content"))}


@op("GET", "/api/v1/jobs/<job_id>/explain", verb="view_task", out=ExplainOut, errors=(404,))
def explain_job(job_id: UUID) -> dict[str, Any]:
    """Say why a job is not running: what holds it, until when, and which jobs are in its way."""
    found = explain.explain(demand_job(job_id, "view_task"), who=current_principal())
    return _named(job_id) | found


def _named(job_id: UUID) -> dict[str, Any]:
    return {"job_id": str(job_id), "task_id": str(job_id)}
