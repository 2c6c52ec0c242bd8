"""The pools: pausing one and letting it go on, what comes next in each, and what the limits of agents leave room for.

Of a paused pool what waits stays where it is, and what runs there runs to its end.
"""

from __future__ import annotations

from datetime import datetime

from app import clock
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.jobs import dispatch, queries, stats
from app.kept import Kept

LONGEST_REASON = 200
MOST_RINGS = 32  # more bells than that find nobody who is not awake yet
MOST_NEXT = 10
MOST_WAITING = 1000
SPEED_MINUTES = 5

_kept = Kept(seconds=5, most=10)
forget = _kept.forget


def pause(pool: str, *, by: str, reason: str | None = None, until: datetime | None = None) -> Row:
    """Claim nothing more from `pool`, until that moment or until somebody resumes it; answers its line of stats.

    Pausing again replaces reason and end. NotFound for a pool there is not, Invalid for an end that has passed.
    """
    if until is not None and until <= clock.now():
        raise Invalid("A pause must end in the future.", [("/until", "must lie in the future")])
    _set(pool, paused=True, until=until, reason=(reason or "").strip() or None, by=by)
    return line(pool)


def resume(pool: str) -> Row:
    """Let `pool` go on and ring its workers for what has waited; answers its line of stats. Twice is no harm."""
    _set(pool, paused=False, until=None, reason=None, by=None)
    found = line(pool)
    if found["waiting"]:
        dispatch.ring_after_commit(pool, min(found["waiting"], MOST_RINGS))
    return found


def line(pool: str) -> Row:
    """What stats.by_pool says of this one; NotFound if there is none."""
    for found in stats.by_pool():
        if found["pool"] == pool:
            return found
    raise NotFound(f"There is no pool {pool!r}.")


def paused() -> int:
    """How many pools are paused; some seconds old at most."""
    statement = "SELECT count(*) FROM queues WHERE paused AND (paused_until IS NULL OR paused_until > now())"
    return int(_kept.answer("paused", lambda: db.value(statement)))


def speeds() -> dict[str, float]:
    """Jobs a minute that ended in each pool, of the last SPEED_MINUTES; some seconds old at most."""
    found: dict[str, float] = _kept.answer("speeds", _speeds)
    return found


def _speeds() -> dict[str, float]:
    rows = db.rows(
        """SELECT a.pool, count(*) AS n FROM task_history h JOIN agents a USING (agent_id)
           WHERE h.completed_at > now() - %(minutes)s * interval '1 minute' GROUP BY 1""",
        minutes=SPEED_MINUTES,
    )
    return {row["pool"]: row["n"] / SPEED_MINUTES for row in rows}


def next_up(limit: int = MOST_NEXT) -> dict[str, list[Row]]:
    """By pool: the due jobs that wait, as queries has them, in the order in which they are looked at for a claim.

    One whose agent has no room at that moment is passed over and keeps its place.
    """
    order = db.rows(
        """SELECT q.pool, n.job_id::text FROM queues q CROSS JOIN LATERAL (
               SELECT job_id, priority_rank, run_at FROM jobs j
               WHERE j.pool = q.pool AND j.status IN ('pending','queued','retry') AND j.run_at <= now()
               ORDER BY j.priority_rank, j.run_at, j.job_id LIMIT %(limit)s) n
           ORDER BY q.pool, n.priority_rank, n.run_at, n.job_id""",
        limit=limit,
    )
    rows = queries.some([each["job_id"] for each in order]) if order else {}
    pools: dict[str, list[Row]] = {}
    for each in order:
        if each["job_id"] in rows:  # else it was taken away between the two looks
            pools.setdefault(each["pool"], []).append(rows[each["job_id"]])
    return pools


def places() -> list[Row]:
    """How many jobs of each agent run now: {agent_id, taken}; some seconds old at most."""
    statement = "SELECT agent_id, count(*) AS taken FROM jobs WHERE status = 'running' GROUP BY 1"
    found: list[Row] = _kept.answer("places", lambda: db.rows(statement))
    return found


def limits() -> list[Row]:
    """Every agent with a limit, those in use first.

    Each {agent_id, agent_name, pool, enabled, max_concurrent_tasks, rate_limit, configured, taken, waiting, tokens,
    burst, token_at, holders}: `taken` places of max_concurrent_tasks; `waiting` due jobs, up to MOST_WAITING; `tokens` of
    `burst` that are left now, and when the next one comes if none is; `holders` [{job_id, agent_id, task_name,
    submitted_by, since}] who have the places, the longest first. What is not limited is None.
    """
    rows = db.rows(_LIMITS, cap=MOST_WAITING)
    held: dict[str, list[Row]] = {}
    for holder in db.rows(_HOLDERS) if any(row["taken"] for row in rows) else []:
        held.setdefault(holder["agent_id"], []).append(holder)
    return [row | {"holders": held.get(row["agent_id"], [])} for row in rows]


_LIMITS = """
    SELECT x.*, CASE WHEN x.tokens < 1 THEN clock_timestamp() + (1 - x.tokens) / x.per_second * interval '1 s' END AS token_at
    FROM (SELECT a.agent_id, a.agent_name, a.pool, a.enabled, a.max_concurrent_tasks, a.rate_limit, a.configured,
                 (SELECT count(*) FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NOT NULL) AS taken,
                 (SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.lane = a.agent_id AND j.run_at <= now()
                    AND j.status IN ('pending','queued','retry') AND j.lane IS NOT NULL LIMIT %(cap)s) w) AS waiting,
                 least(r.burst, r.tokens + r.per_second * extract(epoch FROM clock_timestamp() - r.refilled_at))::float AS tokens,
                 r.burst::float AS burst, r.per_second::float AS per_second
          FROM agents a LEFT JOIN agent_rates r USING (agent_id)
          WHERE a.max_concurrent_tasks IS NOT NULL OR a.rate_limit IS NOT NULL) x
    ORDER BY x.taken = 0 AND x.waiting = 0, x.waiting DESC, x.taken DESC, x.agent_id"""
_HOLDERS = """
    SELECT s.agent_id, j.job_id::text, j.task_name, j.submitted_by, a.started_at AS since
    FROM agent_slots s JOIN jobs j ON j.job_id = s.job_id JOIN job_attempts a ON a.job_id = j.job_id AND a.fence = j.fence
    WHERE s.job_id IS NOT NULL ORDER BY a.started_at, j.job_id"""


def _set(pool: str, *, paused: bool, until: datetime | None, reason: str | None, by: str | None) -> None:
    changed = db.run(
        """UPDATE queues SET paused = %(paused)s, paused_until = %(until)s, pause_reason = %(reason)s, paused_by = %(by)s
           WHERE pool = %(pool)s""",
        pool=pool,
        paused=paused,
        until=until,
        reason=reason,
        by=by,
    )
    forget()
    if not changed:
        raise NotFound(f"There is no pool {pool!r}.")
