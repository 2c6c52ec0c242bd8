"""Why a job is not running: the same conditions the claim asks, in the order a person should look at them."""

from __future__ import annotations

from app import clock
from app.db import Row, db
from app.jobs import queries, stats


def explain(job_id: str, *, worker_ttl_seconds: float = 60) -> Row:
    """{job_id, status, runnable, blockers: [{code, message, until?}], queue_position, estimated_wait_time_seconds}.

    Blockers are ordered: the first one is what to do something about. A running or finished job has none.
    """
    row = queries.get(job_id)
    blockers = _blockers(row, worker_ttl_seconds) if row["status"] in ("pending", "queued", "retry") else []
    position = queries.queue_position(row)
    if position and position > 1 and not blockers:
        blockers.append({"code": "queue", "message": f"{position - 1} more urgent or older jobs go first"})
    return {
        "job_id": job_id,
        "status": row["status"],
        "runnable": row["status"] in ("pending", "queued", "retry") and not blockers,
        "blockers": blockers,
        "queue_position": position,
        "estimated_wait_time_seconds": stats.estimated_wait_seconds(position),
    }


def _blockers(row: Row, worker_ttl_seconds: float) -> list[Row]:
    facts = db.row(_FACTS, pool=row["pool"], agent=row["agent_id"], ttl=worker_ttl_seconds) or {}
    found: list[Row] = []
    if row["run_at"] > clock.now():
        code = "backoff" if row["status"] == "retry" else "scheduled"
        what = "the next attempt" if code == "backoff" else "the planned time"
        found.append({"code": code, "message": f"waits for {what}", "until": row["run_at"]})
    if not facts["enabled"]:
        found.append({"code": "agent_disabled", "message": f"the agent {row['agent_id']} is switched off"})
    if facts["paused"]:
        why = f": {facts['pause_reason']}" if facts["pause_reason"] else ""
        found.append(
            {
                "code": "paused",
                "message": f"the pool {row['pool']} is paused{why}",
                "until": facts["paused_until"],
            }
        )
    if facts["workers"] == 0:
        found.append({"code": "no_worker", "message": f"no living worker serves the pool {row['pool']}"})
    if facts["most"] is not None and facts["free"] == 0:
        found.append(
            {"code": "agent_limit", "message": f"all {facts['most']} places of {row['agent_id']} are taken"}
        )
    if facts["tokens"] is not None and facts["tokens"] < 1:
        found.append(
            {"code": "rate_limit", "message": f"{row['agent_id']} may start only {facts['rate_limit']}"}
        )
    if facts["workers"] and facts["busy"] >= facts["threads"]:
        found.append(
            {"code": "busy", "message": f"all {facts['threads']} places of the pool's workers are taken"}
        )
    return found


_FACTS = """
    SELECT a.enabled, a.max_concurrent_tasks AS most, a.rate_limit,
           (SELECT count(*) FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NULL
              AND s.slot < a.max_concurrent_tasks) AS free,
           (SELECT least(r.burst, r.tokens + r.per_second * extract(epoch FROM clock_timestamp() - r.refilled_at))
            FROM agent_rates r WHERE r.agent_id = a.agent_id) AS tokens,
           q.paused AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused, q.paused_until, q.pause_reason,
           w.workers, w.threads,
           (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.worker_id = ANY (w.ids)) AS busy
    FROM agents a, queues q,
         (SELECT count(*) AS workers, coalesce(sum(threads), 0) AS threads, coalesce(array_agg(worker_id), '{}') AS ids
          FROM workers WHERE %(pool)s = ANY (pools) AND NOT draining
            AND seen_at > now() - %(ttl)s * interval '1 s') w
    WHERE a.agent_id = %(agent)s AND q.pool = %(pool)s"""
