"""Scaling: how many workers are wanted, of each pool and in all, why, and what was decided before."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from pydantic import BaseModel, Field

from app import clock
from app.api import conditional
from app.api.answers import Answer
from app.api.auth import settings
from app.api.glue import op
from app.api.shapes import When
from app.db import Row
from app.jobs import sizing
from app.workers import fleet


class ScaledLine(BaseModel):
    """How much is asked of a pool, or of all workers."""

    waiting: int = Field(description="Jobs that could be claimed now: none that is held, paused or not due.")
    oldest_seconds: float = Field(description="For how long the oldest of them has been due.")
    running: int
    workers: int = Field(description="Processes that take its work.")
    capacity: int = Field(description="Their seats: so many jobs run at once.")
    busy: float = Field(description="Share of the seats that work, 0 to 1.")
    drained_per_minute: float = Field(description="Jobs that ended, of the last five minutes.")
    mean_seconds: float | None = Field(description="How long one took of late; null: none ended.")
    wanted_workers: int
    why: str = Field(description="Why so many, in words.")


class ScaledPool(ScaledLine):
    """One pool."""

    pool: str


class ScalingDecision(BaseModel):
    """Another number of workers was wanted."""

    decision_id: int
    at: When
    wanted: int
    before: int | None = Field(description="null: it was the first.")
    why: str


class ScalingOut(ScaledLine):
    """How many workers there are, and how many are wanted."""

    current: int = Field(description="The same as workers.")
    wanted: int = Field(description="The same as wanted_workers.")
    utilization: float = Field(description="The same as busy.")
    reason: str = Field(description="The same as why.")
    min: int
    max: int
    smallest: int = Field(description="The same as min.")
    largest: int = Field(description="The same as max.")
    decided_at: When | None = Field(description="When the number last changed; null: never yet.")
    pools: list[ScaledPool] = Field(
        description="For workers that serve one pool alone; those of several count in each."
    )
    history: list[ScalingDecision] = Field(description="The last decisions, the newest first.")
    timestamp: When


@op("GET", "/api/v1/scaling", verb="view_queues", out=ScalingOut, conditional=True)
def get_scaling() -> Answer:
    """Say how many workers are wanted, and why; something outside, or `callboard up`, starts and stops them."""
    document = _document()
    tag = hashlib.sha256(orjson.dumps(document, default=str)).hexdigest()[:20]
    return conditional.answer(f'"{tag}"', lambda: document | {"timestamp": clock.now()})


def _document() -> dict[str, Any]:
    chosen = settings()
    lines, wanted = sizing.figures(), sizing.decisions(chosen.worker_bounds, pace=chosen.scale_pace)
    told = {
        name: _line(line, wanted[name].wanted, wanted[name].why)
        for name, line in lines.items()
        if name in wanted
    }
    whole, history = told.pop(sizing.ALL), sizing.history()
    bounds = chosen.worker_bounds
    return whole | {
        "current": whole["workers"],
        "wanted": whole["wanted_workers"],
        "utilization": fleet.capacity()["utilization"],
        "reason": whole["why"],
        "min": bounds.smallest,
        "max": bounds.largest,
        "smallest": bounds.smallest,
        "largest": bounds.largest,
        "decided_at": history[0]["at"] if history else None,
        "pools": [{"pool": name} | line for name, line in told.items()],
        "history": history,
    }


def _line(line: Row, wanted: int, why: str) -> Row:
    names = ("waiting", "oldest_seconds", "running", "workers", "capacity", "busy", "mean_seconds")
    return {name: line[name] for name in names} | {
        "drained_per_minute": line["per_minute"],
        "wanted_workers": wanted,
        "why": why,
    }
