"""Figures about queues and recent work: for the queue endpoint, the front page and estimates."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.db import Row, db
from app.jobs import rollups
from app.jobs.states import PRIORITIES, Priority
from app.kept import Kept


def _by_priority() -> dict[str, Row]:
    depth = {
        r["priority_rank"]: r
        for r in db.rows(
            """SELECT priority_rank, count(*) AS depth, min(run_at) AS oldest FROM jobs
               WHERE status IN ('pending','queued','retry') AND run_at <= now() GROUP BY 1"""
        )
    }
    recent = {
        r["priority_rank"]: r
        for r in db.rows(
            """SELECT priority_rank, count(*) FILTER (WHERE completed_at > now() - interval '5 minutes') AS done,
                      avg(wait_seconds) AS waited
               FROM task_history WHERE completed_at > now() - interval '1 hour' GROUP BY 1"""
        )
    }
    return {p.word: _line(depth.get(int(p), {}), recent.get(int(p), {})) for p in Priority}


def _line(depth: Row, recent: Row) -> Row:
    per_minute = (recent.get("done") or 0) / 5
    return {
        "depth": depth.get("depth", 0),
        "processing_rate": f"{per_minute:g}/minute",
        "per_minute": per_minute,
        "avg_wait_time_seconds": round(float(recent.get("waited") or 0), 1),
        "oldest_waiting_since": depth.get("oldest"),
    }


_queues = Kept(seconds=10, most=1)  # PRIO-08


def queues(*, fresh: bool = False) -> dict[str, Row]:
    """Figures per priority, at most ten seconds old (U13 says how each is made).

    Each {depth, processing_rate "n/minute", per_minute, avg_wait_time_seconds, oldest_waiting_since}.
    """
    if fresh:
        _queues.forget()
    figures: dict[str, Row] = _queues.answer("by priority", _by_priority)
    return figures


def by_pool(*, counts: list[Row] | None = None) -> list[Row]:
    """Per pool: {pool, paused, paused_until, pause_reason, paused_by, waiting, running, oldest_waiting_since}.

    A pause whose end has passed is none, and nothing of it is told. `counts`: what pool_counts said a moment ago; it
    is the dear part of this.
    """
    counted = {line["pool"]: line for line in (pool_counts() if counts is None else counts)}
    lines = db.rows(
        """SELECT q.pool, p.paused, CASE WHEN p.paused THEN q.paused_until END AS paused_until,
                  CASE WHEN p.paused THEN q.pause_reason END AS pause_reason,
                  CASE WHEN p.paused THEN q.paused_by END AS paused_by
           FROM queues q
           CROSS JOIN LATERAL (SELECT q.paused AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused) p
           ORDER BY q.pool"""
    )
    nothing = {"waiting": 0, "running": 0, "oldest_waiting_since": None}
    return [line | nothing | counted.get(line["pool"], {}) for line in lines]


def pool_counts() -> list[Row]:
    """Per pool with anything in it: {pool, waiting, running, oldest_waiting_since}."""
    return db.rows(
        """SELECT pool, coalesce(waiting, 0) AS waiting, coalesce(running, 0) AS running, oldest_waiting_since
           FROM (SELECT pool, count(*) AS waiting, min(run_at) AS oldest_waiting_since FROM jobs
                 WHERE status IN ('pending','queued','retry') AND run_at <= now() GROUP BY 1) w
           FULL JOIN (SELECT pool, count(*) AS running FROM jobs WHERE status = 'running' GROUP BY 1) r USING (pool)"""
    )


def estimated_wait_seconds(position: int | None) -> int | None:
    """Seconds until a job at `position` probably starts, from the completions of the last 5 minutes; None: unknown."""
    if position is None:
        return None
    rate: float = sum(line["per_minute"] for line in queues().values())
    if rate <= 0:
        return 0 if position <= 1 else None
    return round((position - 1) / rate * 60)


def overview(owner: str | None = None) -> Row:
    """The front page's figures; rates are of the last hour or day, None without any work.

    {running, waiting, scheduled, asking, oldest_waiting_since, dead_24h, succeeded_1h, failed_1h, success_rate,
    success_rate_before, trend, succeeded_24h, success_rate_24h, trend_24h}; `asking` are those that wait for a person.
    """
    row = db.row(_OVERVIEW, owner=owner) or {}
    hour, hour_before = rollups.compared(timedelta(hours=1), owner=owner)
    day, day_before = rollups.compared(timedelta(hours=24), owner=owner)
    return row | {
        "dead_24h": day["failed"],
        "succeeded_1h": hour["completed"],
        "failed_1h": hour["failed"],
        "success_rate": hour["success_rate"],
        "success_rate_before": hour_before["success_rate"],
        "trend": trend(hour["success_rate"], hour_before["success_rate"]),
        "succeeded_24h": day["completed"],
        "success_rate_24h": day["success_rate"],
        "trend_24h": trend(day["success_rate"], day_before["success_rate"]),
    }


_OVERVIEW = """
    SELECT
      (SELECT count(*) FROM jobs WHERE status = 'running' AND {mine}) AS running,
      (SELECT count(*) FROM jobs WHERE status = 'awaiting_input' AND {mine}) AS asking,
      w.waiting, w.oldest_waiting_since, w.scheduled
    FROM (SELECT count(*) FILTER (WHERE run_at <= now()) AS waiting,
                 min(run_at) FILTER (WHERE run_at <= now()) AS oldest_waiting_since,
                 count(*) FILTER (WHERE run_at > now()) AS scheduled
          FROM jobs WHERE status IN ('pending','queued','retry') AND {mine}) w
""".replace("{mine}", "(%(owner)s::text IS NULL OR submitted_by = %(owner)s)")


def trend(rate: float | None, before: float | None) -> str | None:
    """improving, stable (within half a percentage point) or worsening; None without figures (U14)."""
    if rate is None or before is None:
        return None
    change = (rate - before) * 100
    return "stable" if abs(change) <= 0.5 else "improving" if change > 0 else "worsening"


def totals(since: datetime | None = None) -> dict[str, int]:
    """How many jobs ended in each final status since then, or since history is kept."""
    after = "WHERE completed_at >= %(since)s" if since else ""
    rows = db.rows(f"SELECT status, count(*) AS n FROM task_history {after} GROUP BY 1", since=since)
    return {row["status"]: row["n"] for row in rows}


__all__ = [
    "PRIORITIES",
    "by_pool",
    "estimated_wait_seconds",
    "overview",
    "pool_counts",
    "queues",
    "totals",
    "trend",
]
