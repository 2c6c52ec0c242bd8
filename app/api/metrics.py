"""Figures for programs: JSON for our own pages and scripts, Prometheus text for scrapers.

All of them come from Postgres, so every web process tells the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import BaseModel, Field

from app import clock
from app.accounts.permissions import own_only
from app.alerts import queries as alerts
from app.api.auth import current_principal
from app.api.glue import op
from app.api.shapes import When
from app.jobs import queries, stats
from app.workers import fleet

_started = time.monotonic()


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
    """Show the figures in Prometheus' text format; scrape with an API key that has the scope read."""
    registry = CollectorRegistry()
    registry.register(_Figures())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures:
    """Prometheus asks, Postgres answers."""

    def collect(self) -> Iterator[Metric]:
        """One family per figure."""
        yield _gauge(
            "callboard_jobs", "Jobs by status, counted up to 10,000.", "status", queries.counts_by_status()
        )
        yield _finished()
        lines = stats.queues()
        yield _gauge(
            "callboard_queue_depth",
            "Due jobs that wait.",
            "priority",
            {p: line["depth"] for p, line in lines.items()},
        )
        yield _gauge(
            "callboard_queue_wait_seconds",
            "Average wait of jobs that ended in the last hour.",
            "priority",
            {p: line["avg_wait_time_seconds"] for p, line in lines.items()},
        )
        living = fleet.capacity()
        kinds = {name: living[name] for name in ("total", "active", "idle")}
        yield _gauge("callboard_workers", "Living worker processes.", "state", kinds)
        yield _gauge(
            "callboard_worker_threads",
            "Their threads.",
            "state",
            {name: living[name] for name in ("threads", "busy")},
        )
        yield _alerts()


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _alerts() -> GaugeMetricFamily:
    family = GaugeMetricFamily("callboard_alerts", "Active alerts.", labels=["rule", "severity"])
    for line in alerts.by_rule():
        family.add_metric([line["rule"], line["severity"]], line["active"])
    return family


def _finished() -> CounterMetricFamily:
    family = CounterMetricFamily(
        "callboard_jobs_finished", "Jobs that ended, since history is kept.", labels=["status"]
    )
    for status, amount in stats.totals().items():
        family.add_metric([status], amount)
    return family
