"""How jobs went, over a time: how many, how well, how fast, and in which hours of the day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.budgets import ledger
from app.db import Row, db
from app.jobs import rollups
from app.jobs.rollups import Window
from app.kept import Kept
from app.replica import may_lag

MOST_JOBS = 50_000
"""Figures are of the newest so many jobs that ended in the time."""
MOST_JUDGED = 5_000
"""Scores are of the newest so many of each verdict."""
MOST_AGENTS = 50
MOST_PEAKS = 3
KEPT_SECONDS = 10.0
MOST_KEPT = 200


WINDOWS = rollups.WINDOWS
USUAL_WINDOW = "7d"

_kept = Kept(KEPT_SECONDS, MOST_KEPT)
forget = _kept.forget


def figures(window: str, *, owner: str | None = None, agent_id: str | None = None) -> Row:
    """Figures of the jobs that ended in one of WINDOWS; of `owner` or of one agent where told; up to KEPT_SECONDS old.

    Times are seconds, rates 0 to 1, hours of the day UTC; what nothing is known of is None. Durations are those of
    completed jobs, without the time a person was asked; a wait is from the submission to the start. {since, jobs, most_jobs,
    outcomes {completed, failed, cancelled}, success_rate and failure_rate (of those not cancelled),
    duration and wait {mean, p50, p95}, jobs_per_hour (not cancelled),
    speed [{at, until, completed, failed, jobs_per_hour}] oldest first, peak_hours [hour] the busiest first,
    hours [{hour, jobs, completed, failed, wait_seconds}] all 24,
    agents [{agent_id, jobs, completed, failed, cancelled, success_rate, mean_seconds, p50_seconds, p95_seconds,
    wait_seconds, quality_score (the mean of what gates said), cost_usd_per_run (None: nothing has a price),
    tokens_per_run}]}
    """
    answer: Row = _kept.answer((window, owner, agent_id), lambda: _made(WINDOWS[window], owner, agent_id))
    return answer


@may_lag
def _made(window: Window, owner: str | None, agent_id: str | None) -> Row:
    # Whole minutes, so that what is drawn of it changes by the minute and not with every look.
    now = clock.now()
    since = now.replace(second=0, microsecond=0) - window.lasts
    row = db.row(
        _FIGURES,
        since=since,
        now=now,
        owner=owner,
        agent=agent_id,
        parts=window.parts,
        step=window.step.total_seconds(),
        most=MOST_JOBS,
        agents=MOST_AGENTS,
    )
    found: Row = row["figures"] if row else {}
    found["speed"] = [_part(line, since, window.step) for line in found["speed"]]
    found["agents"] = _with_quality_and_cost(found["agents"], since, owner)
    return found | {"since": since, "most_jobs": MOST_JOBS, "peak_hours": _peaks(found["hours"])}


def _part(line: Row, since: datetime, step: timedelta) -> Row:
    at = since + line["place"] * step
    return {
        "at": at,
        "until": at + step,
        "completed": line["completed"],
        "failed": line["failed"],
        "jobs_per_hour": (line["completed"] + line["failed"]) / (step / timedelta(hours=1)),
    }


def _with_quality_and_cost(agents: list[Row], since: datetime, owner: str | None) -> list[Row]:
    scores = {
        row["agent_id"]: row["score"]
        for row in db.rows(
            """SELECT agent_id, avg(quality_score) AS score
               FROM unnest(ARRAY['passed', 'needs_review', 'rejected']) AS v(word) CROSS JOIN LATERAL (
                   SELECT agent_id, quality_score FROM jobs WHERE verdict = v.word AND finished_at >= %(since)s
                     AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)
                   ORDER BY job_id DESC LIMIT %(most)s) AS judged
               GROUP BY 1""",
            since=since,
            owner=owner,
            most=MOST_JUDGED,
        )
    }
    used = {row["key"]: row for row in ledger.report("agent", since, clock.now(), owner=owner)}
    return [
        line | {"quality_score": scores.get(line["agent_id"])} | _per_run(used.get(line["agent_id"]))
        for line in agents
    ]


def _per_run(used: Row | None) -> Row:
    """What a job that used a model at all used on average."""
    cost = used["notional_usd"] if used else None
    return {
        "cost_usd_per_run": float(cost) / used["jobs"] if used and cost is not None else None,
        "tokens_per_run": round(used["tokens"] / used["jobs"]) if used else None,
    }


def _peaks(hours: list[dict[str, Any]]) -> list[int]:
    busy = sorted((line for line in hours if line["jobs"]), key=lambda line: (-line["jobs"], line["hour"]))
    return [line["hour"] for line in busy[:MOST_PEAKS]]


# If there are more jobs than are looked at, the time they were done in begins with the oldest of them.
_FIGURES = """
WITH job AS MATERIALIZED (
    SELECT agent_id, status, wait_seconds AS wait, completed_at, status <> 'cancelled' AS counted,
           CASE WHEN status = 'completed' THEN duration_seconds END AS seconds,
           extract(hour FROM completed_at AT TIME ZONE 'UTC')::int AS hour,
           least(%(parts)s - 1, floor(extract(epoch FROM completed_at - %(since)s::timestamptz) / %(step)s)::int) AS place
    FROM task_history
    WHERE completed_at >= %(since)s AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)
      AND (%(agent)s::text IS NULL OR agent_id = %(agent)s)
    ORDER BY completed_at DESC LIMIT %(most)s)
, spread AS (
    SELECT avg(seconds) AS mean, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS p,
           avg(wait) AS wait_mean, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait) AS wait_p,
           count(*) AS jobs, count(*) FILTER (WHERE counted) AS counted,
           count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           extract(epoch FROM %(now)s::timestamptz - CASE WHEN count(*) < %(most)s THEN %(since)s::timestamptz ELSE min(completed_at) END) / 3600
               AS passed
    FROM job)
SELECT jsonb_build_object(
    'jobs', jobs,
    'outcomes', jsonb_build_object('completed', completed, 'failed', failed, 'cancelled', jobs - counted),
    'success_rate', completed::float / nullif(counted, 0),
    'failure_rate', failed::float / nullif(counted, 0),
    'duration', jsonb_build_object('mean', mean, 'p50', p[1], 'p95', p[2]),
    'wait', jsonb_build_object('mean', wait_mean, 'p50', wait_p[1], 'p95', wait_p[2]),
    'jobs_per_hour', (counted / nullif(passed, 0))::float,
    'speed', (SELECT jsonb_agg(x ORDER BY x.place) FROM (
        SELECT place, count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed
        FROM generate_series(0, %(parts)s - 1) AS place LEFT JOIN job USING (place) GROUP BY place) x),
    'hours', (SELECT jsonb_agg(x ORDER BY x.hour) FROM (
        SELECT hour, count(status) AS jobs, count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed, avg(wait) AS wait_seconds
        FROM generate_series(0, 23) AS hour LEFT JOIN job USING (hour) GROUP BY hour) x),
    'agents', (SELECT coalesce(jsonb_agg(x ORDER BY x.jobs DESC, x.agent_id), '[]') FROM (
        SELECT agent_id, count(*) AS jobs, count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE NOT counted) AS cancelled,
               avg((status = 'completed')::int) FILTER (WHERE counted) AS success_rate, avg(seconds) AS mean_seconds,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_seconds,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds, avg(wait) AS wait_seconds
        FROM job GROUP BY agent_id ORDER BY count(*) DESC, agent_id LIMIT %(agents)s) x)
) AS figures FROM spread
"""
