"""Queues: how much waits, how fast it goes, how many workers would be right."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from app import clock
from app.api.glue import op
from app.api.shapes import When
from app.jobs import stats
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
    threads: int
    busy: int
    utilization: float = Field(ge=0, description="Share of their threads that work, 0 to 1.")


class QueueStatsOut(BaseModel):
    """Figures by priority; at most ten seconds old."""

    queues: dict[str, QueueLine]
    workers: WorkersLine
    timestamp: When


class PoolOut(BaseModel):
    """One pool: which workers may take its jobs."""

    pool: str
    paused: bool
    paused_until: When | None
    pause_reason: str | None
    waiting: int
    running: int
    oldest_waiting_since: When | None
    threads: int
    busy: int
    utilization: float


class QueuesOut(BaseModel):
    """All pools."""

    queues: list[PoolOut]


class ScalingOut(BaseModel):
    """How many workers there are, and how many would be right."""

    current: int
    wanted: int
    waiting: int
    utilization: float
    smallest: int
    largest: int


@op("GET", "/api/v1/queues/stats", verb="view_queues", out=QueueStatsOut)
def get_queue_stats() -> dict[str, Any]:
    """Show depth, speed and waiting time by priority."""
    return {"queues": stats.queues(), "workers": fleet.capacity(), "timestamp": clock.now()}


@op("GET", "/api/v1/queues", verb="view_queues", out=QueuesOut)
def list_queues() -> dict[str, Any]:
    """List the pools with what waits and runs in each."""
    workers = {line["pool"]: line for line in fleet.by_pool(POOLS)}
    nobody = {"threads": 0, "busy": 0, "utilization": 0.0}
    return {"queues": [nobody | workers.get(line["pool"], {}) | line for line in stats.by_pool()]}


@op("GET", "/api/v1/scaling", verb="view_queues", out=ScalingOut)
def get_scaling() -> dict[str, Any]:
    """Say how many workers would be right; something outside starts and stops them."""
    living, waiting = fleet.capacity(), sum(line["depth"] for line in stats.queues().values())
    return {
        "current": living["total"],
        "wanted": fleet.wanted(living["total"], waiting, living["utilization"]),
        "waiting": waiting,
        "utilization": living["utilization"],
        "smallest": fleet.SMALLEST,
        "largest": fleet.LARGEST,
    }
