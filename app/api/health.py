"""Health: may be asked without a token, tells only what is up, and answers while things are down.

`healthy` everything is there · `degraded` work goes on, slower · `unhealthy` (503) the database is away, or most polls fail
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from flask import current_app
from pydantic import BaseModel, Field
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import clock
from app.api.answers import Answer
from app.api.auth import settings
from app.api.glue import op
from app.api.shapes import When
from app.db import AWAY, db
from app.observe import metrics
from app.polling import queries as polling
from app.polling import thresholds
from app.secrets import known, sealing
from app.workers import fleet

REDIS_PATIENCE_SECONDS = 0.5
SLOW_QUERY_MS = 1000  # requirements 25.6

State = Literal["healthy", "degraded", "unhealthy"]


class Check(BaseModel):
    """How one part is."""

    status: State
    latency_ms: float | None = None
    reason: str | None = Field(None, description="Why, if it is not healthy.")


class HealthOut(Check):
    """How one part is, on its own."""

    timestamp: When


class SystemHealthOut(BaseModel):
    """How everything is: as bad as its worst hard part."""

    status: State
    checks: dict[str, Check]
    timestamp: When


class PollingViewOut(BaseModel):
    """Polls of the last minutes as one side saw them."""

    polls: int
    failures: int
    success_rate: float | None
    unchanged_rate: float | None = Field(description="Answered 304.")
    average_ms: float | None
    p95_ms: float | None
    recovery_seconds: float | None = Field(
        description="From the first failure to the next good answer, on average."
    )
    query_most_ms: float | None = Field(description="The slowest query to Postgres; of the server only.")


class PollingCheckOut(BaseModel):
    """One figure against what it may be at most."""

    name: str
    title: str
    unit: Literal["share", "seconds"]
    value: float | None = Field(description="Of the side that is worse off; null where too little is known.")
    threshold: float
    over: bool


class PollingHealthOut(HealthOut):
    """How polling goes."""

    minutes: int = Field(description="The figures are of so many minutes.")
    checks: list[PollingCheckOut]
    server: PollingViewOut | None = Field(description="As this server answered.")
    pages: PollingViewOut | None = Field(description="As open pages felt it.")


class AliveOut(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


@op("GET", "/healthz", public=True, out=AliveOut, bare=True)
def alive() -> AliveOut:
    """Say that this process answers; asks nothing of anybody."""
    return AliveOut()


@op("GET", "/api/health", public=True, out=SystemHealthOut, also={503: SystemHealthOut}, bare=True)
def get_health() -> Answer:
    """Say how everything is; 503 when the database is away."""
    checks = {"database": _database(), "redis": _redis(), "workers": _workers(), **_keys()}
    hard = checks["database"]["status"] == "unhealthy"
    soft = any(check["status"] != "healthy" for check in checks.values())
    status = "unhealthy" if hard else "degraded" if soft else "healthy"
    return _answer({"status": status, "checks": checks})


@op("GET", "/api/health/db", public=True, out=HealthOut, also={503: HealthOut}, bare=True)
def get_database_health() -> Answer:
    """Say whether Postgres answers, and how fast."""
    return _answer(_database())


@op("GET", "/api/health/redis", public=True, out=HealthOut, bare=True)
def get_redis_health() -> Answer:
    """Say whether Redis answers; without it work goes on, only slower."""
    return _answer(_redis())


@op("GET", "/api/health/workers", public=True, out=HealthOut, also={503: HealthOut}, bare=True)
def get_worker_health() -> Answer:
    """Say whether there are workers."""
    return _answer(_workers())


@op("GET", "/api/health/polling", public=True, out=PollingHealthOut, also={503: PollingHealthOut}, bare=True)
def get_polling_health() -> Answer:
    """Say whether what is polled is answered, and fast enough; 503 when most polls fail, or the database is away."""
    found: dict[str, dict[str, Any]] = {}
    health = _timed(lambda: found.update(polling.figures(polling.PRESENT_MINUTES)))
    worst = polling.worse(found)
    checks = thresholds.judged(worst)
    over = [check["title"].lower() for check in checks if check["over"]]
    if over and health["status"] != "unhealthy":
        health |= {"status": thresholds.state(worst), "reason": f"over the limit: {', '.join(over)}"}
    views = {
        view: polling.as_numbers(found[view], PollingViewOut.model_fields) if view in found else None
        for view in polling.VIEWS.values()
    }
    return _answer(health | views | {"minutes": polling.PRESENT_MINUTES, "checks": checks})


def _answer(health: dict[str, Any]) -> Answer:
    down = health["status"] == "unhealthy"
    return Answer(
        health | {"timestamp": clock.now()}, 503 if down else 200, {"Retry-After": "5"} if down else {}
    )


def _timed(ask: Callable[[], object]) -> dict[str, Any]:
    started = time.monotonic()
    try:
        with db.quick():
            ask()
    except AWAY:
        return {"status": "unhealthy", "reason": "the database does not answer"}
    milliseconds = round((time.monotonic() - started) * 1000, 2)
    if milliseconds > SLOW_QUERY_MS:
        return {"status": "degraded", "latency_ms": milliseconds, "reason": "slow"}
    return {"status": "healthy", "latency_ms": milliseconds}


def _database() -> dict[str, Any]:
    return _timed(lambda: db.value("SELECT 1"))


def _keys() -> dict[str, dict[str, Any]]:
    """Nothing, unless what is sealed in the database cannot all be opened here."""
    try:
        with db.quick():
            missing = known.missing(sealing.in_use())
    except AWAY:
        return {}
    said = "a key that sealed secrets is missing: `callboard secrets status` says which"
    return {"secrets": {"status": "degraded", "reason": said}} if missing else {}


def _workers() -> dict[str, Any]:
    try:
        with db.quick():
            living = fleet.capacity()["total"]
    except AWAY:
        return {"status": "unhealthy", "reason": "the database does not answer"}
    return {"status": "healthy"} if living else {"status": "degraded", "reason": "there is no worker"}


def _redis() -> dict[str, Any]:
    if not settings().redis_url:
        return {"status": "degraded", "reason": "there is none; workers look for work by themselves"}
    started = time.monotonic()
    try:
        with metrics.redis_operation("ping"):
            _client().ping()
    except RedisError:
        return {"status": "degraded", "reason": "it does not answer; workers look for work by themselves"}
    return {"status": "healthy", "latency_ms": round((time.monotonic() - started) * 1000, 2)}


def redis_answers() -> bool:
    """Whether there is a Redis, and it answers now."""
    return bool(_redis()["status"] == "healthy")


def _client() -> Redis:
    if "callboard-health-redis" not in current_app.extensions:
        current_app.extensions["callboard-health-redis"] = Redis.from_url(
            settings().redis_url,
            socket_timeout=REDIS_PATIENCE_SECONDS,
            socket_connect_timeout=REDIS_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    client: Redis = current_app.extensions["callboard-health-redis"]
    return client
