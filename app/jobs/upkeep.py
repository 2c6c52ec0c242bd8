"""The sweeps: small, idempotent, safe in any number of processes at once; each answers how much it did.

The scheduler calls them every few seconds and tests step them by hand. What one process leaves half done, the
next sweep finds: nothing here is the only chance of anything.
"""

from __future__ import annotations

from datetime import datetime

from app.agents import registry
from app.db import db
from app.jobs import dispatch, lifecycle
from app.jobs.states import Reason
from app.providers import catalogue


def tick(gap_seconds: float = 15) -> None:
    """Say that the sweeps are alive; after a gap, `healthy_since` starts anew (nobody is called lost for a lease)."""
    db.run(
        """UPDATE upkeep SET healthy_since = CASE WHEN clock_timestamp() - last_tick_at > %(gap)s * interval '1 s'
                                                  THEN clock_timestamp() ELSE healthy_since END,
                             last_tick_at = clock_timestamp()""",
        gap=gap_seconds,
    )


def last_tick_at() -> datetime | None:
    """When the sweeps last said that they are alive."""
    at: datetime | None = db.value("SELECT last_tick_at FROM upkeep")
    return at


def rescue_silent(*, lease_seconds: float, max_lost: int, backoff_seconds: float, limit: int = 200) -> int:
    """Take back the jobs of workers that went silent.

    Not while Postgres or the sweeps were away a moment ago: every living worker first gets one full lease to
    say that it is there. Without this a database restart of 4 s re-ran every second job (reliability notes, 0.8).
    """
    if not _may_judge(lease_seconds):
        return 0
    return len(lifecycle.rescue(limit, max_lost=max_lost, backoff_seconds=backoff_seconds))


def _may_judge(lease_seconds: float) -> bool:
    return bool(
        db.value(
            """SELECT 1 FROM upkeep WHERE healthy_since < clock_timestamp() - %(lease)s * interval '1 s'
                 AND pg_postmaster_start_time() < clock_timestamp() - %(lease)s * interval '1 s'""",
            lease=lease_seconds,
        )
    )


def ring_overdue(older_than_seconds: float) -> int:
    """Ring every pool in which a due job has waited longer than it should; answers how many pools."""
    rows = db.rows(
        """SELECT p.pool, (SELECT count(*) FROM (
                   SELECT 1 FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.pool = p.pool
                     AND j.run_at <= now() - %(age)s * interval '1 s' LIMIT 32) x) AS n
           FROM queues p""",
        age=older_than_seconds,
    )
    late = [row for row in rows if row["n"]]
    for row in late:
        dispatch.ring_after_commit(row["pool"], row["n"])
    return len(late)


def trim_slots() -> int:
    """Remove free slots over an agent's limit, and free those whose job does not run (none, if all is well)."""
    over = db.run(
        """DELETE FROM agent_slots s USING agents a WHERE a.agent_id = s.agent_id AND s.job_id IS NULL
             AND s.slot >= coalesce(a.max_concurrent_tasks, 0)"""
    )
    leaked = db.run(
        """UPDATE agent_slots s SET job_id = NULL WHERE s.job_id IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM jobs j WHERE j.job_id = s.job_id AND j.status = 'running')"""
    )
    return over + leaked


def lift_recovered() -> int:
    """Let go on what waits for providers that take calls again; answers how many jobs."""
    agent_ids = catalogue.recovered()
    if not agent_ids:
        return 0
    registry.unhold_agents(agent_ids, Reason.PROVIDER_OPEN)
    return lifecycle.lift(agent_ids, Reason.PROVIDER_OPEN)
