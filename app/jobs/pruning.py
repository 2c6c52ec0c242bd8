"""What is removed when it is old enough: finished jobs with all that hangs on them, then their history and figures.

Each statement removes a bounded number of rows, the oldest first, by an index. So nobody waits long for a lock, and
where there is nothing to remove it costs next to nothing, however much is kept. Ids begin with their time, so the
order of ids is that of age: nothing that was made after the border is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app import clock
from app.db import db

MOST_AT_ONCE = 500
"""So many jobs are removed by one transaction."""
LINES_AT_ONCE = 5000
"""So many rows of each table of history are removed by one transaction."""


def purge(job_days: float, *, forget_files: Callable[[str], None], limit: int = MOST_AT_ONCE) -> int:
    """Remove jobs that ended so many days ago, at most `limit` (JOB-26); answers how many.

    `forget_files(job_id)` deletes a job's artifacts first: a row without files is never the other way round. A job whose
    files a session shows is kept as long as the session.
    """
    old = db.rows(
        """SELECT job_id::text FROM jobs
           WHERE job_id < %(young)s::uuid AND finished_at < now() - %(days)s * interval '1 day'
             AND NOT EXISTS (SELECT 1 FROM session_artifacts a
                             WHERE a.job_id = jobs.job_id AND a.job_artifact_id IS NOT NULL)
           ORDER BY jobs.job_id LIMIT %(limit)s""",
        young=clock.least_id(clock.now() - timedelta(days=job_days)),
        days=job_days,
        limit=limit,
    )
    ids = [row["job_id"] for row in old]
    for job_id in ids:
        forget_files(job_id)
    db.run("DELETE FROM job_events WHERE job_id = ANY(%(ids)s::uuid[])", ids=ids)
    db.run("DELETE FROM approvals WHERE job_id = ANY(%(ids)s::uuid[])", ids=ids)
    return db.run("DELETE FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])", ids=ids)


def trim(history_days: float, *, limit: int = LINES_AT_ONCE) -> bool:
    """Remove what is past the retention of history, at most `limit` rows of each table; answers whether there is more."""
    old = clock.now() - timedelta(days=history_days)
    # The ledger of usage refuses deletions unless this transaction says that retention is at work.
    db.run("SELECT set_config('callboard.retention', 'on', true)")
    gone = [
        db.run(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("
            f"SELECT ctid FROM {table} WHERE {which} ORDER BY {order} LIMIT %(limit)s))",
            old=old,
            young=clock.least_id(old),
            limit=limit,
        )
        for table, which, order in _OLD
    ]
    db.run("SELECT set_config('callboard.retention', 'off', true)")
    return max(gone) >= limit


_DEALT_WITH = """
    failed_at < now() - interval '90 days' AND EXISTS (
        SELECT 1 FROM error_groups g WHERE g.group_key = dead_letters.group_key
        AND g.changed_at < now() - interval '90 days' AND dead_letters.failed_at <= g.changed_at)"""
# By table: what may go, and the order of an index in which that comes first.
_OLD = (
    ("job_history", "job_id < %(young)s::uuid AND at < %(old)s", "job_id, id"),
    ("usage_events", "at < %(old)s", "at"),
    ("task_history", "completed_at < %(old)s", "completed_at"),
    ("dead_letters", "resubmitted_at < now() - interval '90 days'", "resubmitted_at"),
    # Of a group that somebody resolved or ignored, what failed before that. Open ones wait for somebody to deal with them.
    ("dead_letters", _DEALT_WITH, "failed_at"),
    ("bulk_actions", "finished_at < %(old)s", "bulk_id"),
    (
        "error_groups",
        "changed_at < %(old)s AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.group_key = error_groups.group_key)",
        "changed_at",
    ),
    ("idempotency_keys", "created_at < now() - interval '2 days'", "created_at"),
    ("agent_holds", "until < now() - interval '1 hour'", "until"),
    ("workers", "seen_at < now() - interval '1 day'", "seen_at"),
)
