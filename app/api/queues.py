"""Queues: how much waits and how fast it goes; and pausing a pool."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from app import clock
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import Moment, When
from app.db import Row
from app.jobs import pools, stats
from app.settings import POOLS
from app.workers import fleet


class QueueLine(BaseModel):
    """One priority's queue."""

    depth: int = Field(description="Due jobs that wait.")
    processing_rate: str = Field(description="Like 5/minute: completions of the last five minutes.")
    per_minute: float
    avg_wait_time_seconds: float
    oldest_waiting_since: When | None


class WorkersLine(BaseModel):
    """The living workers."""

    total: int
    active: int
    idle: int
    draining: int = Field(description="Those that take nothing more; no other figure but total counts them.")
    threads: int
    busy: int
    utilization: float = Field(ge=0, description="Share of their threads that work, 0 to 1.")


class QueueStatsOut(BaseModel):
    """Figures by priority; at most ten seconds old."""

    queues: dict[str, QueueLine]
    paused: list[str] = Field(description="Pools from which nothing is taken; GET /api/v1/queues says why.")
    workers: WorkersLine
    timestamp: When


class PoolOut(BaseModel):
    """One pool: which workers may take its jobs."""

    pool: str
    paused: bool = Field(description="Nothing is taken from it; what runs goes on.")
    paused_until: When | None = Field(
        description="When it goes on by itself; null: not before it is resumed."
    )
    pause_reason: str | None
    paused_by: str | None = Field(description="Id of the user who paused it.")
    waiting: int
    running: int
    oldest_waiting_since: When | None
    workers: int
    draining: int
    threads: int
    busy: int
    utilization: float


class QueuesOut(BaseModel):
    """All pools."""

    queues: list[PoolOut]


class PauseIn(Input):
    """Why, and for how long: `until` or `for_seconds`; without either until somebody resumes it."""

    reason: str | None = Field(None, max_length=pools.LONGEST_REASON)
    until: Moment | None = None
    for_seconds: int | None = Field(None, ge=1, le=31_536_000)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.until is not None and self.for_seconds is not None:
            msg = "give until or for_seconds, not both"
            raise ValueError(msg)
        return self


@op("GET", "/api/v1/queues/stats", verb="view_queues", out=QueueStatsOut)
def get_queue_stats() -> dict[str, Any]:
    """Show depth, speed and waiting time by priority."""
    paused = [line["pool"] for line in stats.by_pool() if line["paused"]]
    return {"queues": stats.queues(), "paused": paused, "workers": fleet.capacity(), "timestamp": clock.now()}


@op("GET", "/api/v1/queues", verb="view_queues", out=QueuesOut)
def list_queues() -> dict[str, Any]:
    """List the pools with what waits and runs in each."""
    return {"queues": _with_workers(stats.by_pool())}


@op("POST", "/api/v1/queues/<pool>/pause", verb="manage_queues", out=PoolOut, errors=(404,))
def pause_queue(pool: str, body: PauseIn | None) -> dict[str, Any]:
    """Pause a pool: nothing more is taken from it; what runs goes on. Again replaces reason and end."""
    wish = body or PauseIn()
    until = clock.now() + timedelta(seconds=wish.for_seconds) if wish.for_seconds else wish.until
    line = pools.pause(pool, by=current_principal().user_id, reason=wish.reason, until=until)
    noted("queue.paused", pool, {"reason": line["pause_reason"], "until": line["paused_until"]})
    return _with_workers([line])[0]


@op("POST", "/api/v1/queues/<pool>/resume", verb="manage_queues", out=PoolOut, errors=(404,))
def resume_queue(pool: str) -> dict[str, Any]:
    """Let a paused pool go on at once."""
    line = pools.resume(pool)
    noted("queue.resumed", pool)
    return _with_workers([line])[0]


def _with_workers(lines: list[Row]) -> list[Row]:
    workers = {line["pool"]: line for line in fleet.by_pool(POOLS)}
    nobody = {"workers": 0, "draining": 0, "threads": 0, "busy": 0, "utilization": 0.0}
    return [nobody | workers.get(line["pool"], {}) | line for line in lines]
