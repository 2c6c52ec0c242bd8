"""The fleet: workers register, beat, drain and are forgotten; how many there are and how many are wanted."""

from __future__ import annotations

from app.db import Row, db


def register(
    worker_id: str, *, hostname: str, process_id: int, pools: tuple[str, ...], threads: int, release: str
) -> None:
    """A worker process is there; saying so again is no error."""
    db.run(
        """INSERT INTO workers (worker_id, hostname, process_id, pools, threads, release)
           VALUES (%(id)s, %(host)s, %(pid)s, %(pools)s, %(threads)s, %(release)s)
           ON CONFLICT (worker_id) DO UPDATE SET seen_at = clock_timestamp(), draining = false""",
        id=worker_id,
        host=hostname,
        pid=process_id,
        pools=list(pools),
        threads=threads,
        release=release,
    )


def beat(worker_id: str, *, draining: bool, redis_away: bool) -> bool:
    """A worker is still there; answers False when its row was removed (then register again)."""
    return bool(
        db.run(
            """UPDATE workers SET seen_at = clock_timestamp(), draining = %(draining)s, redis_away = %(away)s
               WHERE worker_id = %(id)s""",
            id=worker_id,
            draining=draining,
            away=redis_away,
        )
    )


def leave(worker_id: str) -> None:
    """A worker says good-bye."""
    db.run("DELETE FROM workers WHERE worker_id = %(id)s", id=worker_id)


def listing(ttl_seconds: float = 60) -> list[Row]:
    """Workers, newest first.

    Each {worker_id, hostname, process_id, pools, threads, release, started_at, seen_at, redis_away, state, busy, jobs};
    `state` is active, idle, draining or lost, `jobs` is [{job_id, agent_id, progress, current_step, started_at}].
    """
    return db.rows(
        """SELECT w.worker_id, w.hostname, w.process_id, w.pools, w.threads, w.release, w.started_at, w.seen_at,
                  w.redis_away, coalesce(j.busy, 0) AS busy, coalesce(j.jobs, '[]') AS jobs,
                  CASE WHEN w.seen_at < clock_timestamp() - %(ttl)s * interval '1 s' THEN 'lost'
                       WHEN w.draining THEN 'draining' WHEN coalesce(j.busy, 0) > 0 THEN 'active' ELSE 'idle' END AS state
           FROM workers w LEFT JOIN LATERAL (
               SELECT count(*) AS busy, jsonb_agg(jsonb_build_object('job_id', job_id, 'agent_id', agent_id,
                      'submitted_by', submitted_by,
                      'progress', progress, 'current_step', current_step, 'started_at', started_at)) AS jobs
               FROM jobs WHERE status = 'running' AND worker_id = w.worker_id) j ON true
           ORDER BY w.started_at DESC""",
        ttl=ttl_seconds,
    )


def living(ttl_seconds: float = 60) -> int:
    """How many workers were heard of within `ttl_seconds`."""
    return int(
        db.value(
            "SELECT count(*) FROM workers WHERE seen_at >= clock_timestamp() - %(ttl)s * interval '1 s'",
            ttl=ttl_seconds,
        )
    )


def capacity(ttl_seconds: float = 60) -> Row:
    """{total, active, idle, threads, busy, utilization}: living workers and how much of them is in use."""
    living = [w for w in listing(ttl_seconds) if w["state"] != "lost"]
    threads = sum(w["threads"] for w in living)
    busy = sum(w["busy"] for w in living)
    return {
        "total": len(living),
        "active": sum(w["busy"] > 0 for w in living),
        "idle": sum(w["busy"] == 0 for w in living),
        "threads": threads,
        "busy": busy,
        "utilization": round(busy / threads, 2) if threads else 0.0,
    }


def by_pool(pools: tuple[str, ...], ttl_seconds: float = 60) -> list[Row]:
    """Per pool: {pool, threads, busy, utilization}; a worker of several pools counts in each."""
    living = [w for w in listing(ttl_seconds) if w["state"] != "lost"]
    lines = []
    for pool in pools:
        threads = sum(w["threads"] for w in living if pool in w["pools"])
        busy = sum(w["busy"] for w in living if pool in w["pools"])
        lines.append(
            {
                "pool": pool,
                "threads": threads,
                "busy": busy,
                "utilization": round(busy / threads, 2) if threads else 0.0,
            }
        )
    return lines


SMALLEST, LARGEST, STEP, BACKLOG = 5, 50, 5, 1000


def wanted(current: int, waiting: int, utilization: float) -> int:
    """How many workers would be right (25.6: five more per thousand waiting, fewer when mostly idle)."""
    grown = current + STEP * (waiting // BACKLOG)
    if waiting == 0 and utilization < 0.3:
        grown = current - 1
    return max(SMALLEST, min(LARGEST, grown))
