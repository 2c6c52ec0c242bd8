"""The fleet: workers register, beat, rest, end and are forgotten; how many there are.

What a worker does is its own word (`draining`, `seen_at`); what somebody wants of it is `wanted`, which it hears
within about a second. A worker that is wanted to rest or to end counts as capacity no more, heard or not.
"""

from __future__ import annotations

from app.db import Row, db
from app.errors import Conflict, NotFound

TTL_SECONDS = 60.0


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


def beat(worker_id: str, *, draining: bool, redis_away: bool, memory_bytes: int | None = None) -> bool:
    """A worker is still there; answers False when its row was removed (then register again)."""
    return bool(
        db.run(
            """UPDATE workers SET seen_at = clock_timestamp(), draining = %(draining)s, redis_away = %(away)s,
                      memory_bytes = %(memory)s
               WHERE worker_id = %(id)s""",
            id=worker_id,
            draining=draining,
            away=redis_away,
            memory=memory_bytes,
        )
    )


def wish(worker_id: str) -> str | None:
    """What is wanted of a worker: work, drain or stop; None if its row was removed."""
    found = db.row(
        "SELECT coalesce(wanted, 'work') AS wish FROM workers WHERE worker_id = %(id)s", id=worker_id
    )
    return str(found["wish"]) if found else None


def leave(worker_id: str) -> None:
    """A worker says good-bye."""
    db.run("DELETE FROM workers WHERE worker_id = %(id)s", id=worker_id)


# -- what people want of a worker


def drain(worker_id: str, *, by: str) -> Row:
    """Let a worker take nothing more and see what it has to its end; answers its line of `listing`.

    Twice is no harm. NotFound for a worker there is not; Conflict for one that is lost or ends already.
    """
    _demand(worker_id, "drain")
    return _want(worker_id, "drain", by)


def resume(worker_id: str, *, by: str) -> Row:
    """Let a worker that drains take work again; a worker that works already goes on. Conflict as `drain`."""
    _demand(worker_id, "resume")
    return _want(worker_id, None, by)


def stop(worker_id: str, *, by: str) -> Row:
    """Let a worker end: it takes nothing more, what does not end within its grace period is handed back uncounted.

    Twice is no harm. Whatever keeps the processes running (`make run`, a platform) starts it anew: it is a restart.
    Conflict for one that is lost.
    """
    _demand(worker_id, "stop")
    return _want(worker_id, "stop", by)


def _demand(worker_id: str, verb: str) -> None:
    found = get(worker_id)
    if found["state"] == "lost":
        raise Conflict(f"The worker {worker_id} is lost: it would not hear")
    if found["state"] == "stopping" and verb != "stop":
        raise Conflict(f"The worker {worker_id} is ending already", allowed=["stop"])


def _want(worker_id: str, wanted: str | None, by: str) -> Row:
    # One that has begun to end stays so, whatever was seen a moment ago.
    db.run(
        """UPDATE workers SET wanted = %(wanted)s, wanted_by = %(by)s, wanted_at = clock_timestamp()
           WHERE worker_id = %(id)s AND wanted IS DISTINCT FROM %(wanted)s AND wanted IS DISTINCT FROM 'stop'""",
        id=worker_id,
        wanted=wanted,
        by=by if wanted else None,
    )
    return get(worker_id)


# -- who is there

# A worker that nobody asked to rest and that rests is ending, unless it was called back and has not heard of it yet.
_STATE = """CASE WHEN w.seen_at < clock_timestamp() - %(ttl)s * interval '1 s' THEN 'lost'
                 WHEN w.wanted = 'stop' OR w.draining AND w.wanted IS NULL
                      AND (w.wanted_at IS NULL OR w.seen_at > w.wanted_at + interval '3 s') THEN 'stopping'
                 WHEN w.wanted = 'drain' OR w.draining THEN 'draining'
                 WHEN coalesce(j.busy, 0) > 0 THEN 'active' ELSE 'idle' END AS state"""
_BUSY = """LEFT JOIN (SELECT worker_id, count(*) AS busy FROM jobs WHERE status = 'running' GROUP BY 1) j USING (worker_id)"""
_COLUMNS = f"""w.worker_id, w.hostname, w.process_id, w.pools, w.threads, w.release, w.started_at, w.seen_at, w.redis_away,
               w.draining, w.memory_bytes, w.wanted, w.wanted_by, w.wanted_at, coalesce(j.busy, 0) AS busy, {_STATE}"""
_JOBS = """(SELECT coalesce(jsonb_agg(jsonb_build_object('job_id', r.job_id, 'agent_id', r.agent_id,
                   'task_name', r.task_name, 'submitted_by', r.submitted_by, 'progress', r.progress,
                   'current_step', r.current_step, 'started_at', r.started_at) ORDER BY r.started_at, r.job_id), '[]')
            FROM jobs r WHERE r.status = 'running' AND r.worker_id = w.worker_id) AS jobs"""
TAKES_WORK = ("active", "idle")


def listing(ttl_seconds: float = TTL_SECONDS) -> list[Row]:
    """Workers, newest first.

    Each {worker_id, hostname, process_id, pools, threads, release, started_at, seen_at, redis_away, draining,
    memory_bytes, wanted, wanted_by, wanted_at, state, busy, jobs}; `state` is active, idle, draining, stopping or lost,
    `jobs` is [{job_id, agent_id, task_name, submitted_by, progress, current_step, started_at}], the oldest first.
    """
    return db.rows(
        f"SELECT {_COLUMNS}, {_JOBS} FROM workers w {_BUSY} ORDER BY w.started_at DESC, w.worker_id",
        ttl=ttl_seconds,
    )


def get(worker_id: str, ttl_seconds: float = TTL_SECONDS) -> Row:
    """One worker as `listing` has it; NotFound if there is none, or none any more."""
    found = db.row(
        f"SELECT {_COLUMNS}, {_JOBS} FROM workers w {_BUSY} WHERE w.worker_id = %(id)s",
        id=worker_id,
        ttl=ttl_seconds,
    )
    if found is None:
        raise NotFound(f"There is no worker {worker_id!r}")
    return found


def living(ttl_seconds: float = TTL_SECONDS) -> int:
    """How many workers were heard of within `ttl_seconds`."""
    return int(
        db.value(
            "SELECT count(*) FROM workers WHERE seen_at >= clock_timestamp() - %(ttl)s * interval '1 s'",
            ttl=ttl_seconds,
        )
    )


def capacity(ttl_seconds: float = TTL_SECONDS) -> Row:
    """{total, active, idle, draining, threads, busy, utilization}: living workers and how much of them is in use.

    `draining` are those that take nothing more, to rest or to end; they count in `total` and in nothing else.
    """
    living = [w for w in _standing(ttl_seconds) if w["state"] != "lost"]
    taking = [w for w in living if w["state"] in TAKES_WORK]
    return {
        "total": len(living),
        "active": sum(w["busy"] > 0 for w in taking),
        "idle": sum(w["busy"] == 0 for w in taking),
        "draining": len(living) - len(taking),
        **_use(taking),
    }


def memory_bytes(ttl_seconds: float = TTL_SECONDS) -> int:
    """Resident memory of all living workers together, as they last told."""
    return int(
        db.value(
            """SELECT coalesce(sum(memory_bytes), 0) FROM workers
               WHERE seen_at >= clock_timestamp() - %(ttl)s * interval '1 s'""",
            ttl=ttl_seconds,
        )
    )


def by_pool(pools: tuple[str, ...], ttl_seconds: float = TTL_SECONDS) -> list[Row]:
    """Per pool: {pool, workers, draining, threads, busy, utilization}; a worker of several pools counts in each."""
    living = [w for w in _standing(ttl_seconds) if w["state"] != "lost"]
    return [_line(pool, [w for w in living if pool in w["pools"]]) for pool in pools]


def _line(pool: str, living: list[Row]) -> Row:
    taking = [w for w in living if w["state"] in TAKES_WORK]
    return {"pool": pool, "workers": len(taking), "draining": len(living) - len(taking), **_use(taking)}


def _use(workers: list[Row]) -> Row:
    threads, busy = (sum(w[name] for w in workers) for name in ("threads", "busy"))
    return {"threads": threads, "busy": busy, "utilization": round(busy / threads, 2) if threads else 0.0}


def _standing(ttl_seconds: float) -> list[Row]:
    return db.rows(
        f"SELECT w.pools, w.threads, coalesce(j.busy, 0) AS busy, {_STATE} FROM workers w {_BUSY}",
        ttl=ttl_seconds,
    )
