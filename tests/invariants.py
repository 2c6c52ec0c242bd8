"""What must be true of the jobs whatever happened, as named SQL queries that must answer no rows.

    broken(read)                       at any moment, also in the middle of the chaos
    broken(read, at_rest=True, ...)    once nothing is left to do, with the ids that clients were promised

`read(statement, values)` runs one statement and answers its rows. The legal moves come from `states.MOVES`
and not from the database's own function, so that the two cannot agree by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from app.jobs.states import MOVES

Read = Callable[[str, Mapping[str, object]], list[Any]]

_MOVES = ", ".join(f"('{source}','{target}')" for source, targets in MOVES.items() for target in targets)
_FINAL = "('completed','failed','cancelled')"

ALWAYS: dict[str, str] = {
    "settled at most once": f"""
        SELECT job_id FROM job_history WHERE to_status IN {_FINAL} GROUP BY job_id HAVING count(*) > 1""",
    "nothing happens after the end": f"""
        SELECT late.job_id FROM job_history late JOIN job_history final
        ON final.job_id = late.job_id AND final.to_status IN {_FINAL} AND late.id > final.id""",
    "a history is an unbroken chain": """
        SELECT job_id, from_status, before FROM (
            SELECT job_id, from_status, lag(to_status) OVER (PARTITION BY job_id ORDER BY id) AS before
            FROM job_history) AS step WHERE before IS DISTINCT FROM from_status""",
    "a history has legal moves only": f"""
        SELECT job_id, from_status, to_status FROM job_history
        WHERE CASE WHEN from_status IS NULL THEN to_status NOT IN ('pending','queued')
              ELSE (from_status, to_status) NOT IN (VALUES {_MOVES}) END""",
    "a history ends in the present status": """
        SELECT j.job_id, j.status, last.to_status FROM jobs j LEFT JOIN LATERAL (
            SELECT to_status FROM job_history h WHERE h.job_id = j.job_id ORDER BY id DESC LIMIT 1) AS last ON true
        WHERE last.to_status IS DISTINCT FROM j.status""",
    "a history has one start per attempt": """
        SELECT j.job_id FROM jobs j LEFT JOIN job_history h ON h.job_id = j.job_id AND h.to_status = 'running'
        GROUP BY j.job_id HAVING count(h.id) <> j.fence OR count(DISTINCT h.fence) <> j.fence""",
    "attempts are numbered 1 to the fence": """
        SELECT j.job_id, j.fence FROM jobs j LEFT JOIN job_attempts a USING (job_id)
        GROUP BY j.job_id HAVING count(a.fence) <> j.fence OR coalesce(max(a.fence), 0) <> j.fence
               OR coalesce(min(a.fence), 1) <> 1""",
    "an attempt is open if and only if the job runs": """
        SELECT j.job_id, j.status, a.fence FROM jobs j LEFT JOIN job_attempts a
        ON a.job_id = j.job_id AND a.ended_at IS NULL
        WHERE (j.status = 'running') <> (a.job_id IS NOT NULL)
           OR (j.status = 'running' AND (a.fence <> j.fence OR a.worker_id <> j.worker_id))""",
    "attempts of a job do not overlap": """
        SELECT a.job_id, a.fence, b.fence FROM job_attempts a JOIN job_attempts b
        ON a.job_id = b.job_id AND a.fence < b.fence AND (a.ended_at IS NULL OR a.ended_at > b.started_at)""",
    "completed means that the last attempt completed, and no other": """
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN job_attempts a
        ON a.job_id = j.job_id AND a.outcome = 'completed'
        GROUP BY j.job_id HAVING count(a.fence) <> (j.status = 'completed')::int
               OR (j.status = 'completed' AND max(a.fence) <> j.fence)""",
    "a completed job says so once": """
        SELECT j.job_id FROM jobs j LEFT JOIN job_events e ON e.job_id = j.job_id AND e.kind = 'complete'
        GROUP BY j.job_id HAVING count(e.seq) <> (j.status = 'completed')::int""",
    "counters equal the outcomes of the attempts": """
        SELECT j.job_id, j.status, j.retry_count, j.lost_count, j.released_count FROM jobs j LEFT JOIN LATERAL (
            SELECT count(*) FILTER (WHERE outcome IN ('failed','timeout')) AS failed,
                   count(*) FILTER (WHERE outcome = 'lost') AS lost,
                   count(*) FILTER (WHERE outcome = 'released') AS released
            FROM job_attempts a WHERE a.job_id = j.job_id) AS n ON true
        WHERE j.lost_count <> n.lost OR j.released_count <> n.released
           -- A failure that nothing follows is no retry; a cancellation may come with either kind of failure.
           OR n.failed - j.retry_count NOT BETWEEN
              (j.status = 'failed' AND j.status_reason <> 'poison')::int
              AND (j.status = 'cancelled' OR (j.status = 'failed' AND j.status_reason <> 'poison'))::int""",
    "no more retries or lost workers than allowed": """
        SELECT job_id, retry_count, lost_count FROM jobs
        WHERE retry_count > max_retries OR lost_count > %(max_lost)s
           OR (lost_count = %(max_lost)s AND status NOT IN ('failed','cancelled'))""",
    "failed means exactly one dead letter": """
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN dead_letters d USING (job_id)
        GROUP BY j.job_id HAVING count(d.dlq_id) <> (j.status = 'failed')::int""",
    "an end is counted once in the figures": f"""
        SELECT j.job_id, j.status FROM jobs j LEFT JOIN task_history t USING (job_id)
        GROUP BY j.job_id HAVING count(t.history_id) <> (j.status IN {_FINAL})::int""",
    "a slot is held by a running job of its agent only": """
        SELECT s.agent_id, s.slot, s.job_id, j.status FROM agent_slots s LEFT JOIN jobs j USING (job_id)
        WHERE s.job_id IS NOT NULL AND (j.status IS DISTINCT FROM 'running' OR j.agent_id <> s.agent_id)""",
    "a running job of a limited agent holds one slot": """
        SELECT j.job_id FROM jobs j JOIN agents a USING (agent_id) LEFT JOIN agent_slots s USING (job_id)
        WHERE j.status = 'running' AND a.max_concurrent_tasks IS NOT NULL
        GROUP BY j.job_id HAVING count(s.slot) <> 1""",
    "no agent runs more than it may": """
        SELECT agent_id, count(*) FROM jobs j JOIN agents a USING (agent_id) WHERE j.status = 'running'
        GROUP BY agent_id, a.max_concurrent_tasks HAVING count(*) > a.max_concurrent_tasks""",
    "nothing starts after it was cancelled": """
        SELECT j.job_id FROM jobs j JOIN job_attempts a USING (job_id) WHERE a.started_at > j.cancel_requested_at""",
    "cancelled only on demand": """
        SELECT job_id FROM jobs WHERE status = 'cancelled' AND cancel_requested_at IS NULL""",
    "every submission became one job at most": """
        SELECT correlation_id FROM jobs WHERE correlation_id IS NOT NULL GROUP BY correlation_id HAVING count(*) > 1""",
}

AT_REST: dict[str, str] = {
    "nothing is stuck": f"SELECT job_id, status, status_reason FROM jobs WHERE status NOT IN {_FINAL}",
    "no slot is held": "SELECT agent_id, slot, job_id FROM agent_slots WHERE job_id IS NOT NULL",
    "no lease is left": "SELECT job_id FROM jobs WHERE lease_id IS NOT NULL OR worker_id IS NOT NULL",
    "everything accepted is there": """
        SELECT promised.job_id FROM unnest(%(promised)s::uuid[]) AS promised(job_id)
        LEFT JOIN jobs USING (job_id) WHERE jobs.job_id IS NULL""",
    "everything accepted ended once": f"""
        SELECT promised.job_id, count(h.id) FROM unnest(%(promised)s::uuid[]) AS promised(job_id)
        LEFT JOIN job_history h ON h.job_id = promised.job_id AND h.to_status IN {_FINAL}
        GROUP BY promised.job_id HAVING count(h.id) <> 1""",
}


def broken(
    read: Read, *, at_rest: bool = False, promised: Collection[str] = (), max_lost: int = 3
) -> dict[str, list[Any]]:
    """The invariants that do not hold, each with the first rows that say so; empty when all is well."""
    queries = ALWAYS | AT_REST if at_rest else ALWAYS
    values = {"promised": list(promised), "max_lost": max_lost}
    found = {name: read(statement, values) for name, statement in queries.items()}
    return {name: rows[:5] for name, rows in found.items() if rows}
