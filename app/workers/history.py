"""What workers have done: their attempts outlive them, as long as the jobs are kept."""

from __future__ import annotations

from app.db import Row, db
from app.kept import Kept

MOST_ATTEMPTS = 50
MOST_COUNTED = 10_000

_totals = Kept(seconds=10, most=200)
forget = _totals.forget


def attempts(worker_id: str, *, owner: str | None = None, limit: int = MOST_ATTEMPTS) -> list[Row]:
    """What a worker ran, the newest first; of `owner` only where told.

    Each {job_id, attempt, agent_id, task_name, submitted_by, status, started_at, ended_at, outcome, error_type, later};
    `outcome` is None while it runs, `status` is the job's now, `later` says that another attempt followed.
    """
    return db.rows(
        """SELECT a.job_id::text, a.fence AS attempt, j.agent_id, j.task_name, j.submitted_by, j.status, a.started_at,
                  a.ended_at, a.outcome, a.error ->> 'type' AS error_type, j.fence > a.fence AS later
           FROM job_attempts a JOIN jobs j USING (job_id)
           WHERE a.worker_id = %(id)s AND (%(owner)s::text IS NULL OR j.submitted_by = %(owner)s)
           ORDER BY a.started_at DESC, a.job_id LIMIT %(limit)s""",
        id=worker_id,
        owner=owner,
        limit=limit,
    )


def totals(worker_id: str) -> Row:
    """{attempts, running, completed, failed, timeout, cancelled, lost, released, asked, seconds, since}.

    Of the newest MOST_COUNTED attempts, everybody's; ten seconds old at most. `seconds` is how long they took.
    """
    found: Row = _totals.answer(worker_id, lambda: _count(worker_id))
    return found


def _count(worker_id: str) -> Row:
    return db.row(_TOTALS, id=worker_id, most=MOST_COUNTED) or {}


_OUTCOMES = ("completed", "failed", "timeout", "cancelled", "lost", "released", "asked")
_TOTALS = f"""
    SELECT count(*) AS attempts, count(*) FILTER (WHERE outcome IS NULL) AS running,
           {", ".join(f"count(*) FILTER (WHERE outcome = '{name}') AS {name}" for name in _OUTCOMES)},
           extract(epoch FROM coalesce(sum(ended_at - started_at), '0'))::float AS seconds, min(started_at) AS since
    FROM (SELECT outcome, started_at, ended_at FROM job_attempts WHERE worker_id = %(id)s
          ORDER BY started_at DESC LIMIT %(most)s) a"""


def rescued(worker_id: str) -> Row:
    """What became of the attempts that were lost with a worker: {lost, again, completed, failed, waiting, held}.

    `again` run elsewhere, `held` are those whose lease has not run out yet: nobody may take them before.
    """
    return db.row(_RESCUED, id=worker_id) or {}


_RESCUED = """
    SELECT count(*) FILTER (WHERE a.outcome = 'lost') AS lost,
           count(*) FILTER (WHERE a.outcome = 'lost' AND j.status = 'running') AS again,
           count(*) FILTER (WHERE a.outcome = 'lost' AND j.status = 'completed') AS completed,
           count(*) FILTER (WHERE a.outcome = 'lost' AND j.status IN ('failed', 'cancelled')) AS failed,
           count(*) FILTER (WHERE a.outcome = 'lost' AND j.status NOT IN ('running', 'completed', 'failed', 'cancelled')) AS waiting,
           count(*) FILTER (WHERE a.outcome IS NULL) AS held
    FROM (SELECT * FROM job_attempts WHERE worker_id = %(id)s ORDER BY started_at DESC LIMIT 1000) a JOIN jobs j USING (job_id)"""
