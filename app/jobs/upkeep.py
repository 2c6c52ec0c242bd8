"""The sweeps: small, idempotent, safe in any number of processes at once; each answers how much it did.

The scheduler calls them every few seconds and tests step them by hand. What one process leaves half done, the
next sweep finds: nothing here is the only chance of anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.agents import registry
from app.db import db
from app.jobs import dispatch, lifecycle
from app.jobs.states import Reason
from app.providers import catalogue

MOST_AT_ONCE = 500
"""So many jobs are removed by one transaction."""


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


def purge(
    *, job_days: int, history_days: int, forget_files: Callable[[str], None], limit: int = MOST_AT_ONCE
) -> int:
    """Remove finished jobs after their retention, and history, figures and letters after theirs (JOB-26).

    `forget_files(job_id)` deletes a job's artifacts first: a row without files is never the other way round. A job whose
    files a session shows is kept as long as the session.
    """
    old = db.rows(
        """SELECT job_id::text FROM jobs WHERE finished_at < now() - %(days)s * interval '1 day'
             AND NOT EXISTS (SELECT 1 FROM session_artifacts a
                             WHERE a.job_id = jobs.job_id AND a.job_artifact_id IS NOT NULL)
           ORDER BY job_id LIMIT %(limit)s""",
        days=job_days,
        limit=limit,
    )
    for row in old:
        forget_files(row["job_id"])
    db.run("DELETE FROM job_events WHERE job_id = ANY(%(ids)s::uuid[])", ids=[row["job_id"] for row in old])
    db.run("DELETE FROM approvals WHERE job_id = ANY(%(ids)s::uuid[])", ids=[row["job_id"] for row in old])
    gone = db.run("DELETE FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])", ids=[row["job_id"] for row in old])
    # The ledger of usage refuses deletions unless this transaction says that retention is at work.
    db.run("SELECT set_config('callboard.retention', 'on', true)")
    for statement in _PURGES:
        db.run(statement, days=history_days)
    return gone


_PURGES = (
    "DELETE FROM job_history WHERE at < now() - %(days)s * interval '1 day'",
    "DELETE FROM usage_events WHERE at < now() - %(days)s * interval '1 day'",
    "DELETE FROM task_history WHERE completed_at < now() - %(days)s * interval '1 day'",
    "DELETE FROM dead_letters WHERE resubmitted_at < now() - interval '90 days'",
    "DELETE FROM bulk_actions WHERE finished_at < now() - %(days)s * interval '1 day'",
    "DELETE FROM error_groups g WHERE changed_at < now() - %(days)s * interval '1 day' AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.group_key = g.group_key)",
    "DELETE FROM idempotency_keys WHERE created_at < now() - interval '2 days'",
    "DELETE FROM agent_holds WHERE until < now() - interval '1 hour'",
    "DELETE FROM workers WHERE seen_at < now() - interval '1 day'",
)
