"""Why a job is not running: the same conditions the claim asks, in the order a person should look at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from app import clock
from app.accounts.permissions import ROLES, Principal, may, own_only
from app.agents import registry
from app.db import Row, db
from app.jobs import queries, stats
from app.jobs.states import WAITING, Reason

MOST_HOLDERS = 10


def explain(job_id: str, *, who: Principal | None = None, worker_ttl_seconds: float = 60) -> Row:
    """Why it does not run, and what or whom to wait for; a running or finished job has no blockers.

    {job_id, status, runnable, blockers: [{code, message, until?, subject?, holders?, holder_count?}],
    queue_position, estimated_wait_time_seconds}. Blockers are ordered: the first one is what to do something about.
    `holders` are the jobs in the way that `who` may see, at most ten; `holder_count` is how many there are in all.
    """
    row = queries.get(job_id)
    owner = own_only(who, "view_task") if who else None
    waiting = row["status"] in WAITING
    blockers = _blockers(row, owner, worker_ttl_seconds) if waiting else list(_question(row, who))
    position = queries.queue_position(row)
    if position and position > 1 and not blockers:
        blockers.append({"code": "queue", "message": f"{position - 1} more urgent or older jobs go first"})
    return {
        "job_id": job_id,
        "status": row["status"],
        "runnable": waiting and not blockers,
        "blockers": blockers,
        "queue_position": position,
        "estimated_wait_time_seconds": stats.estimated_wait_seconds(position),
    }


def _blockers(row: Row, owner: str | None, worker_ttl_seconds: float) -> list[Row]:
    facts = db.row(_FACTS, pool=row["pool"], agent=row["agent_id"], ttl=worker_ttl_seconds) or {}
    conditions = (_not_due, _off_or_paused, _agent_holds, _no_worker)
    limits = (_agent_limit, _rate_limit, _busy)
    found = [blocker for condition in conditions for blocker in condition(row, facts)]
    return found + [blocker for limit in limits for blocker in limit(row, facts, owner)]


def _question(row: Row, who: Principal | None) -> Iterator[Row]:
    """What it asks a person; those who may not see what is in the job hear only that it asks."""
    asks = row["asks"]
    if asks is None:
        return
    message = "waits for a person's answer"
    if who is None or may(who, "view_task_content", row["submitted_by"]):
        message = f"waits for the answer of {_who_may(asks)}: {asks['question']}"
    until = datetime.fromisoformat(asks["deadline_at"]) if asks["deadline_at"] else None
    yield {"code": Reason.APPROVAL, "message": message, "until": until, "subject": asks["approval_id"]}


def _who_may(asks: Row) -> str:
    people = asks["approvers"] or ["whoever submitted it"]
    if asks["escalated_at"]:
        people = people + asks["escalate_to"]
    named = [f"any {each}" if each in ROLES else each for each in dict.fromkeys([*people, "admin"])]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]


def _not_due(row: Row, _facts: Row) -> Iterator[Row]:
    if held := queries.held(row):
        yield {"code": held["reason"], "message": held["message"], "until": held["until"]}
    elif row["run_at"] > clock.now():
        code = "backoff" if row["status"] == "retry" else "scheduled"
        what = "the next attempt" if code == "backoff" else "the planned time"
        yield {"code": code, "message": f"waits for {what}", "until": row["run_at"]}


def _off_or_paused(row: Row, facts: Row) -> Iterator[Row]:
    if not facts["enabled"]:
        yield {"code": "agent_disabled", "message": f"the agent {row['agent_id']} is switched off"}
    if facts["paused"]:
        why = f": {facts['pause_reason']}" if facts["pause_reason"] else ""
        message = f"the pool {row['pool']} is paused{why}"
        yield {"code": "paused", "message": message, "until": facts["paused_until"]}


def _agent_holds(row: Row, _facts: Row) -> Iterator[Row]:
    """What holds all jobs of the agent; what holds this one already is not said twice."""
    for hold in registry.holds(row["agent_id"]):
        if hold["code"] != row["status_reason"]:
            yield {name: hold[name] for name in ("code", "message", "until", "subject")}


def _no_worker(row: Row, facts: Row) -> Iterator[Row]:
    if facts["workers"] == 0:
        yield {"code": "no_worker", "message": f"no living worker serves the pool {row['pool']}"}


def _agent_limit(row: Row, facts: Row, owner: str | None) -> Iterator[Row]:
    if facts["most"] is not None and facts["free"] == 0:
        message = f"all {facts['most']} places of {row['agent_id']} are taken"
        yield {"code": "agent_limit", "message": message} | places(row["agent_id"], owner)


def _rate_limit(row: Row, facts: Row, _owner: str | None) -> Iterator[Row]:
    if facts["tokens"] is not None and facts["tokens"] < 1:
        until = clock.now() + timedelta(seconds=(1 - facts["tokens"]) / facts["per_second"])
        message = f"{row['agent_id']} may start only {facts['rate_limit']}"
        yield {"code": "rate_limit", "message": message, "until": until}


def _busy(_row: Row, facts: Row, owner: str | None) -> Iterator[Row]:
    if facts["workers"] and facts["busy"] >= facts["threads"]:
        message = f"all {facts['threads']} places of the pool's workers are taken"
        holders = _holders("j.worker_id = ANY(%(ids)s)", owner, ids=facts["ids"])
        yield {"code": "busy", "message": message, "holders": holders, "holder_count": facts["busy"]}


def places(agent_id: str, owner: str | None = None) -> Row:
    """Who holds the places of a limited agent: {holders, holder_count}; only those of `owner`, if there is one."""
    taken = "EXISTS (SELECT 1 FROM agent_slots s WHERE s.agent_id = %(agent)s AND s.job_id = j.job_id)"
    count = db.value(
        "SELECT count(*) FROM agent_slots WHERE agent_id = %(agent)s AND job_id IS NOT NULL", agent=agent_id
    )
    holders = _holders(f"j.agent_id = %(agent)s AND {taken}", owner, agent=agent_id)
    return {"holders": holders, "holder_count": count}


def _holders(which: str, owner: str | None, **values: object) -> list[Row]:
    return db.rows(
        f"""SELECT j.job_id::text, j.agent_id, j.task_name, a.started_at AS since, j.worker_id
            FROM jobs j JOIN job_attempts a ON a.job_id = j.job_id AND a.fence = j.fence
            WHERE j.status = 'running' AND {which} AND (%(owner)s::text IS NULL OR j.submitted_by = %(owner)s)
            ORDER BY a.started_at LIMIT {MOST_HOLDERS}""",
        owner=owner,
        **values,
    )


_FACTS = """
    SELECT a.enabled, a.max_concurrent_tasks AS most, a.rate_limit,
           (SELECT count(*) FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NULL
              AND s.slot < a.max_concurrent_tasks) AS free,
           (SELECT least(r.burst, r.tokens + r.per_second * extract(epoch FROM clock_timestamp() - r.refilled_at))::float
            FROM agent_rates r WHERE r.agent_id = a.agent_id) AS tokens,
           (SELECT r.per_second::float FROM agent_rates r WHERE r.agent_id = a.agent_id) AS per_second,
           q.paused AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused, q.paused_until, q.pause_reason,
           w.workers, w.threads, w.ids,
           (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.worker_id = ANY (w.ids)) AS busy
    FROM agents a, queues q,
         (SELECT count(*) AS workers, coalesce(sum(threads), 0) AS threads, coalesce(array_agg(worker_id), '{}') AS ids
          FROM workers WHERE %(pool)s = ANY (pools) AND NOT draining
            AND seen_at > now() - %(ttl)s * interval '1 s') w
    WHERE a.agent_id = %(agent)s AND q.pool = %(pool)s"""
