"""Workers: which processes there are, what they do and did, and letting one rest or end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.accounts.permissions import Principal, may, own_only
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.queues import WorkersLine
from app.api.shapes import When
from app.db import Row
from app.workers import fleet, history

State = Literal["active", "idle", "draining", "stopping", "lost"]


class CurrentJob(BaseModel):
    """What a worker is running."""

    job_id: str
    task_id: str
    agent_id: str
    task_name: str | None
    progress: int
    current_step: str | None
    started_at: When | None


class WorkerOut(BaseModel):
    """One worker process; of others' jobs it tells the number only."""

    worker_id: str
    hostname: str
    process_id: int
    pools: list[str]
    threads: int
    busy: int
    release: str
    started_at: When
    seen_at: When
    redis_away: bool
    memory_bytes: int | None = Field(description="Of the process and all below it, at its last heartbeat.")
    state: State = Field(
        description="draining takes nothing more; stopping ends; lost was silent for a minute."
    )
    wanted: Literal["drain", "stop"] | None = Field(
        description="What somebody wants of it; null: to work. It hears within about a second."
    )
    wanted_by: str | None = Field(description="Id of the user who wants it.")
    wanted_at: When | None
    draining: bool = Field(description="It says itself that it takes nothing more.")
    jobs: list[CurrentJob]


class WorkersOut(BaseModel):
    """All workers, newest first."""

    workers: list[WorkerOut]
    summary: WorkersLine


class WorkerAttempt(BaseModel):
    """One job that it ran."""

    job_id: str
    attempt: int
    agent_id: str
    task_name: str | None
    status: str = Field(description="Of the job, now.")
    outcome: str | None = Field(description="null: it runs.")
    started_at: When
    ended_at: When | None
    error_type: str | None = Field(description="Why it failed, in a word; the job says more.")


class WorkerTotals(BaseModel):
    """How its attempts ended, everybody's."""

    attempts: int
    running: int
    completed: int
    failed: int
    timeout: int
    cancelled: int
    lost: int
    released: int
    asked: int
    seconds: float
    since: When | None


class WorkerDetail(WorkerOut):
    """One worker, with what it did."""

    totals: WorkerTotals = Field(description=f"Of its newest {history.MOST_COUNTED:,} attempts.")
    attempts: list[WorkerAttempt] = Field(
        description=f"The newest {history.MOST_ATTEMPTS} of jobs that the caller may see."
    )


@op("GET", "/api/v1/workers", verb="view_workers", out=WorkersOut)
def list_workers() -> dict[str, Any]:
    """List workers and what they run."""
    who = current_principal()
    return {"workers": [_shown(row, who) for row in fleet.listing()], "summary": fleet.capacity()}


@op("GET", "/api/v1/workers/<worker_id>", verb="view_workers", out=WorkerDetail, errors=(404,))
def get_worker(worker_id: str) -> dict[str, Any]:
    """Show a worker, what it runs and what it ran."""
    who = current_principal()
    row = fleet.get(worker_id)
    attempts = history.attempts(worker_id, owner=own_only(who, "view_task"))
    return _shown(row, who) | {
        "totals": history.totals(worker_id),
        "attempts": [{name: each[name] for name in WorkerAttempt.model_fields} for each in attempts],
    }


@op("POST", "/api/v1/workers/<worker_id>/drain", verb="manage_workers", out=WorkerOut, errors=(404, 409))
def drain_worker(worker_id: str) -> dict[str, Any]:
    """Let a worker take nothing more; what it runs goes on to its end. Twice is no harm."""
    return _done("worker.drained", worker_id, fleet.drain)


@op("POST", "/api/v1/workers/<worker_id>/resume", verb="manage_workers", out=WorkerOut, errors=(404, 409))
def resume_worker(worker_id: str) -> dict[str, Any]:
    """Let a drained worker take work again."""
    return _done("worker.resumed", worker_id, fleet.resume)


@op("POST", "/api/v1/workers/<worker_id>/stop", verb="manage_workers", out=WorkerOut, errors=(404, 409))
def stop_worker(worker_id: str) -> dict[str, Any]:
    """Let a worker end, and hand back what does not end within its grace period.

    Whatever keeps it running starts it anew, so this is a restart wherever something does. Processes that one
    command started together (WORKER_PROCESSES) end together.
    """
    return _done("worker.stopped", worker_id, fleet.stop)


def _done(action: str, worker_id: str, verb: Callable[..., Row]) -> dict[str, Any]:
    who = current_principal()
    row = verb(worker_id, by=who.user_id)
    noted(action, worker_id, {"hostname": row["hostname"], "busy": row["busy"]})
    return _shown(row, who)


def _shown(row: Row, who: Principal) -> dict[str, Any]:
    return {**row, "jobs": [_job(job) for job in row["jobs"] if may(who, "view_task", job["submitted_by"])]}


def _job(job: Row) -> dict[str, Any]:
    # It comes out of a JSON aggregate, where Postgres has written the time in its own way.
    times = {"started_at": datetime.fromisoformat(job["started_at"])}
    told = {name: job[name] for name in ("job_id", "agent_id", "task_name", "progress", "current_step")}
    return told | times | {"task_id": job["job_id"]}
