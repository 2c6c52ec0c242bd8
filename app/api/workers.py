"""Workers: which processes there are, and what they are doing."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from app.accounts.permissions import Principal, may
from app.api.auth import current_principal
from app.api.glue import op
from app.api.queues import WorkersLine
from app.api.shapes import When
from app.db import Row
from app.workers import fleet


class CurrentJob(BaseModel):
    """What a worker is running."""

    job_id: str
    task_id: str
    agent_id: str
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
    state: Literal["active", "idle", "draining", "lost"]
    jobs: list[CurrentJob]


class WorkersOut(BaseModel):
    """All workers, newest first."""

    workers: list[WorkerOut]
    summary: WorkersLine


@op("GET", "/api/v1/workers", verb="view_workers", out=WorkersOut)
def list_workers() -> dict[str, Any]:
    """List workers and what they run."""
    who = current_principal()
    return {"workers": [_shown(row, who) for row in fleet.listing()], "summary": fleet.capacity()}


def _shown(row: Row, who: Principal) -> dict[str, Any]:
    return {**row, "jobs": [_job(job) for job in row["jobs"] if may(who, "view_task", job["submitted_by"])]}


def _job(job: Row) -> dict[str, Any]:
    # It comes out of a JSON aggregate, where Postgres has written the time in its own way.
    times = {"started_at": datetime.fromisoformat(job["started_at"])}
    return (
        {name: job[name] for name in ("job_id", "agent_id", "progress", "current_step")}
        | times
        | {"task_id": job["job_id"]}
    )
