"""Figures for programs: JSON for our own pages and scripts, Prometheus' formats for scrapers.

What Postgres knows holds for all hosts, and every web process tells the same. What only processes know (how long
requests, statements and attempts took) is summed over those of this host (app/observe/metrics.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request
from pydantic import BaseModel, Field

from app import clock
from app.accounts.permissions import own_only
from app.alerts import queries as alerts
from app.api import health
from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.shapes import When
from app.budgets import ledger
from app.budgets import queries as budgets
from app.db import Row
from app.jobs import queries, sizing, stats, upkeep
from app.kept import Kept
from app.observe import metrics
from app.observe.metrics import Figure
from app.ops.backups import queries as backups
from app.providers import queries as providers
from app.workers import fleet

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_started = time.monotonic()

# Shorter than any scraper's interval: no scrape may tell less than the one before it, of whichever process.
_sums = Kept(seconds=5, most=2)
forget = _sums.forget

LONGEST_MONTH = 32
ENDS = ("completed", "failed", "cancelled")
"""Told from the start: what appears with its first count has no growth that could be seen."""

Line = tuple[tuple[str, ...], float]
"""The labels' values, and the figure."""


class MetricsOut(BaseModel):
    """What was done, and how fast."""

    processed: int = Field(description="Jobs that ended, since history is kept.")
    successful: int
    failed: int
    cancelled: int
    success_rate: float | None = Field(description="Of the last hour, 0 to 1; null without any work.")
    failure_rate: float | None
    trend: str | None = Field(description="Of the success rate: improving, stable or worsening.")
    running: int
    queue_size: int
    processing_speed_per_minute: float
    jobs: dict[str, int] = Field(
        description="How many are in each status, counted up to 10,000; your own for users."
    )
    uptime_seconds: float = Field(description="Of this web process.")
    timestamp: When


@op("GET", "/api/metrics", verb="view_metrics", out=MetricsOut)
def get_metrics() -> dict[str, Any]:
    """Show what was done and how fast."""
    owner = own_only(current_principal(), "view_task")
    totals, recent = stats.totals(), stats.overview(owner)
    rate = recent["success_rate"]
    return {
        "processed": sum(totals.values()),
        "successful": totals.get("completed", 0),
        "failed": totals.get("failed", 0),
        "cancelled": totals.get("cancelled", 0),
        "success_rate": rate,
        "failure_rate": None if rate is None else 1 - rate,
        "trend": recent["trend"],
        "running": recent["running"],
        "queue_size": recent["waiting"],
        "processing_speed_per_minute": sum(line["per_minute"] for line in stats.queues().values()),
        "jobs": queries.counts_by_status(owner),
        "uptime_seconds": round(time.monotonic() - _started, 1),
        "timestamp": clock.now(),
    }


@op("GET", "/metrics", verb="view_metrics", out="text/plain")
def get_prometheus_metrics() -> Response:
    """Show the figures in Prometheus' text format, or OpenMetrics if asked for.

    Scrape with METRICS_TOKEN or an API key that has the scope read, as a bearer token.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Figures())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


class _Figures:
    """Prometheus asks; Postgres and the files of this host's processes answer."""

    def describe(self) -> list[Metric]:
        """Nothing: whoever registers this need not ask Postgres for it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family per figure."""
        for figure, lines in (*_jobs(), *_queues(), *_fleet(), *_money(), *_backups(), *_health()):
            yield _family(figure, lines)
        yield from metrics.collected()


Family = tuple[Figure, Iterable[Line]]


def _family(figure: Figure, lines: Iterable[Line]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = kind(figure.name.removesuffix("_total"), figure.text, labels=figure.labels)
    for labels, value in lines:
        family.add_metric(labels, value)
    return family


def _by(values: dict[str, float]) -> list[Line]:
    return [((key,), value) for key, value in values.items()]


def _since() -> datetime:
    """Where totals begin: this month, or today where history is kept for less than a month.

    They must never become less because something old was removed: a scraper would take all that is left for news.
    Beginning at nothing is what it knows from restarts.
    """
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today if settings().history_retention_days < LONGEST_MONTH else today.replace(day=1)


def _jobs() -> Iterator[Family]:
    yield metrics.JOBS, _by({**queries.counts_by_status()})
    finished: dict[str, float] = dict.fromkeys(ENDS, 0) | _sums.answer(
        "finished", lambda: stats.totals(_since())
    )
    yield metrics.JOBS_FINISHED, _by(finished)


def _queues() -> Iterator[Family]:
    levels = stats.queues()
    yield metrics.QUEUE_DEPTH, _by({name: line["depth"] for name, line in levels.items()})
    yield metrics.QUEUE_WAIT, _by({name: line["avg_wait_time_seconds"] for name, line in levels.items()})
    oldest = {name: _age(line["oldest_waiting_since"]) for name, line in levels.items()}
    yield metrics.QUEUE_OLDEST, _by(oldest)
    pools = {line["pool"]: line for line in stats.by_pool()}
    yield metrics.POOL_WAITING, _by({pool: line["waiting"] for pool, line in pools.items()})
    yield metrics.POOL_RUNNING, _by({pool: line["running"] for pool, line in pools.items()})
    yield metrics.POOL_PAUSED, _by({pool: float(line["paused"]) for pool, line in pools.items()})


def _age(since: datetime | None) -> float:
    return max(0.0, (clock.now() - since).total_seconds()) if since else 0.0


def _fleet() -> Iterator[Family]:
    living = fleet.capacity()
    yield metrics.WORKERS, _by({state: living[state] for state in ("total", "active", "idle", "draining")})
    yield metrics.WORKER_THREADS, _by({state: living[state] for state in ("threads", "busy")})
    yield metrics.WORKER_MEMORY, [((), fleet.memory_bytes())]
    yield from _scaling()
    swept_at = upkeep.last_tick_at()
    yield metrics.SWEPT_AT, [((), swept_at.timestamp())] if swept_at else []


def _scaling() -> Iterator[Family]:
    chosen, lines = settings(), sizing.figures()
    wanted = sizing.decisions(chosen.worker_bounds, pace=chosen.scale_pace)
    yield metrics.WORKERS_WANTED, _by({name: each.wanted for name, each in wanted.items()})
    yield metrics.WORKERS_BUSY, _by({name: line["busy"] for name, line in lines.items()})
    yield metrics.CLAIMABLE, _by({name: line["waiting"] for name, line in lines.items()})


def _money() -> Iterator[Family]:
    used: list[Row] = _sums.answer("used", lambda: ledger.totals(_since()))
    yield (
        metrics.TOKENS,
        [
            ((row["provider"], row["model"], kind), float(row[f"{kind}_tokens"]))
            for row in used
            for kind in ("input", "output", "cache_read", "cache_write")
        ],
    )
    yield metrics.COST, [((row["provider"], row["model"]), float(row["usd"])) for row in used]
    yield (
        metrics.PROVIDER_OPEN,
        _by({row["provider_id"]: float(row["state"] == "open") for row in providers.every()}),
    )
    yield metrics.BUDGET_SPENT, [_spent(row) for row in budgets.listing() if row["enabled"]]


def _spent(row: Row) -> Line:
    """Names of budgets need not be different, their ids are."""
    return (f"{row['name']} ({row['budget_id'][-6:]})", row["scope"]), float(
        row["spent"] / row["limit_amount"]
    )


def _backups() -> Iterator[Family]:
    standing = backups.standing()
    last, proved = standing["last"], standing["last_verified"]
    yield metrics.BACKUP_AT, [((), last["finished_at"].timestamp())] if last else []
    yield metrics.BACKUP_BYTES, [((), float(last["bytes"] + (last["artifact_bytes"] or 0)))] if last else []
    yield metrics.BACKUP_SECONDS, [((), float(last["seconds"]))] if last else []
    yield metrics.BACKUP_VERIFIED_AT, [((), proved["verified_at"].timestamp())] if proved else []


def _health() -> Iterator[Family]:
    yield metrics.ALERTS, [((line["rule"], line["severity"]), line["active"]) for line in alerts.by_rule()]
    yield metrics.REDIS_UP, [((), float(health.redis_answers()))]
    yield metrics.BUILD, [((current_app.config["RELEASE"],), 1.0)]
