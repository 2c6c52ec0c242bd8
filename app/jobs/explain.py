"""Why a job is not running: the same conditions the claim asks, in the order a person should look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from app import clock
from app.accounts.permissions import ROLES, Principal, may, own_only
from app.agents import registry
from app.db import Row, db
from app.jobs import queries, stats
from app.jobs.states import WAITING, Reason
from app.kept import Kept

MOST_HOLDERS = 10
_recent = Kept(seconds=3, most=2_000)
"""What holds for every job of an agent in a pool."""
forget = _recent.forget
_HELD = {
    Reason.BUDGET: "budget held",
    Reason.PROVIDER_OPEN: "provider failing",
    Reason.DELEGATED: "waits for its jobs",
}


def explain(job_id: str, *, who: Principal | None = None, worker_ttl_seconds: float = 60) -> Row:
    """Why it does not run, and what or whom to wait for; a running or finished job has no blockers.

    {job_id, status, runnable, blockers: [{code, message, short, until?, subject?, holders?, holder_count?}],
    queue_position, estimated_wait_time_seconds}. Blockers are ordered: the first one is what to do something about.
    `short` says it in a few words, as `chips` does. `holders` are the jobs in the way that `who` may see, at most
    ten; `holder_count` is how many there are in all.
    """
    return explained(queries.get(job_id), who=who, worker_ttl_seconds=worker_ttl_seconds)


def explained(
    row: Row, *, who: Principal | None = None, worker_ttl_seconds: float = 60, recent: bool = False
) -> Row:
    """The same for a row of `queries.get`.

    `recent`: what holds for all jobs of its kind may be three seconds old, because many ask for it again and again.
    """
    owner = own_only(who, "view_task") if who else None
    waiting = row["status"] in WAITING
    if waiting:
        facts = _facts([row], worker_ttl_seconds, recent=recent)[row["job_id"]]
        blockers = [
            each | _holders_of(each["code"], row, facts, owner, recent=recent)
            for each in _blockers(row, facts)
        ]
    else:
        blockers = list(_question(row, who))
    position = queries.queue_position(row)
    if position and position > 1 and not blockers:
        blockers.append(_behind(position - 1))
    return {
        "job_id": row["job_id"],
        "status": row["status"],
        "runnable": waiting and not blockers,
        "blockers": blockers,
        "queue_position": position,
        "estimated_wait_time_seconds": stats.estimated_wait_seconds(position),
    }


def chips(rows: list[Row], who: Principal, *, worker_ttl_seconds: float = 60) -> dict[str, Row]:
    """By job id, for those of `rows` (of queries) that wait: what `explain` says first, in a few words.

    {code, words, until}; `until` is when it ends by itself, as far as that is known. A page costs as many queries as
    one job, at most four.
    """
    said = {row["job_id"]: next(_question(row, who)) for row in rows if row["asks"]}
    waiting = [row for row in rows if row["status"] in WAITING]
    if waiting:
        facts = _facts(waiting, worker_ttl_seconds)
        blocked = {row["job_id"]: _blockers(row, facts[row["job_id"]]) for row in waiting}
        said |= {job_id: found[0] for job_id, found in blocked.items() if found}
        ahead = queries.ahead([row for row in waiting if not blocked[row["job_id"]]])
        said |= {job_id: _behind(count) if count else dict(_NEXT) for job_id, count in ahead.items()}
    return {
        job_id: {"code": each["code"], "words": each["short"], "until": each.get("until")}
        for job_id, each in said.items()
    }


_NEXT = {"code": "next", "short": "next in line"}


def _behind(ahead: int) -> Row:
    jobs = f"{ahead:,}+" if ahead >= queries.MOST_AHEAD else f"{ahead:,}"
    return {
        "code": "queue",
        "message": f"{jobs} more urgent or older jobs go first",
        "short": f"{jobs} ahead",
    }


def _facts(rows: list[Row], worker_ttl_seconds: float, *, recent: bool = False) -> dict[str, Row]:
    """What the conditions look at, by job id."""
    kinds = tuple(sorted({(row["agent_id"], row["pool"]) for row in rows}))
    found, holds = _recent.answer(
        (kinds, worker_ttl_seconds), lambda: _of_kinds(kinds, worker_ttl_seconds), fresh=not recent
    )
    return {
        row["job_id"]: found.get((row["agent_id"], row["pool"]), {})
        | {"holds": holds.get(row["agent_id"], []), "held": held}
        for row, held in zip(rows, queries.held_each(rows), strict=True)
    }


def _of_kinds(
    kinds: tuple[tuple[str, str], ...], worker_ttl_seconds: float
) -> tuple[dict[tuple[str, str], Row], dict[str, list[Row]]]:
    """Of agents in pools: the facts of each pair, and what holds each agent."""
    agents, pools = [agent for agent, _ in kinds], [pool for _, pool in kinds]
    facts = db.rows(_FACTS, agents=agents, pools=pools, ttl=worker_ttl_seconds)
    return {(each["agent_id"], each["pool"]): each for each in facts}, registry.holds_of(agents)


def _holders_of(code: str, row: Row, facts: Row, owner: str | None, *, recent: bool) -> Row:
    """Which jobs have what this one waits for, where it is a place."""

    def shared(key: str, make: Callable[[], Row]) -> Row:
        found: Row = _recent.answer((code, key, owner), make, fresh=not recent)
        return found

    if code == "agent_limit":
        return shared(row["agent_id"], lambda: places(row["agent_id"], owner))
    if code == "busy":
        return shared(row["pool"], lambda: _busy_with(facts, owner))
    return {}


def _busy_with(facts: Row, owner: str | None) -> Row:
    holders = _holders("j.worker_id = ANY(%(ids)s)", owner, ids=facts["ids"])
    return {"holders": holders, "holder_count": facts["busy"]}


def _blockers(row: Row, facts: Row) -> list[Row]:
    """What holds it, the first to be looked at first."""
    conditions = (_not_due, _off_or_paused, _agent_holds, _no_worker, _agent_limit, _rate_limit, _busy)
    return [blocker for condition in conditions for blocker in condition(row, facts)]


def _question(row: Row, who: Principal | None) -> Iterator[Row]:
    """What it asks a person; those who may not see what is in the job hear only that it asks."""
    asks = row["asks"]
    if asks is None:
        return
    message, short = "waits for a person's answer", "waits for an answer"
    if who is None or may(who, "view_task_content", row["submitted_by"]):
        named = _who_may(asks)
        message, short = f"waits for the answer of {named}: {asks['question']}", _whose_answer(asks)
    until = datetime.fromisoformat(asks["deadline_at"]) if asks["deadline_at"] else None
    yield {
        "code": Reason.APPROVAL,
        "message": message,
        "short": short,
        "until": until,
        "subject": asks["approval_id"],
    }


def _who_may(asks: Row) -> str:
    people = asks["approvers"] or ["whoever submitted it"]
    if asks["escalated_at"]:
        people = people + asks["escalate_to"]
    named = [f"any {each}" if each in ROLES else each for each in dict.fromkeys([*people, "admin"])]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]


def _whose_answer(asks: Row) -> str:
    people = asks["escalate_to"] if asks["escalated_at"] else asks["approvers"]
    if not people:
        return "waits for its owner's answer"
    first = people[0].partition("@")[0]
    whose = (
        f"an {first}'s" if people[0] == "admin" else f"a {first}'s" if people[0] in ROLES else f"{first}'s"
    )
    return f"waits for {whose} answer"


def _not_due(row: Row, facts: Row) -> Iterator[Row]:
    if held := facts["held"]:
        yield {
            "code": held["reason"],
            "message": held["message"],
            "short": _HELD.get(held["reason"], "held"),
            "until": held["until"],
        }
    elif row["run_at"] > clock.now():
        code = "backoff" if row["status"] == "retry" else "scheduled"
        what, short = (
            ("the next attempt", "tries again") if code == "backoff" else ("the planned time", "due")
        )
        yield {"code": code, "message": f"waits for {what}", "short": short, "until": row["run_at"]}


def _off_or_paused(row: Row, facts: Row) -> Iterator[Row]:
    if not facts["enabled"]:
        yield {
            "code": "agent_disabled",
            "message": f"the agent {row['agent_id']} is switched off",
            "short": "agent off",
        }
    if facts["paused"]:
        why = f": {facts['pause_reason']}" if facts["pause_reason"] else ""
        message = f"the pool {row['pool']} is paused{why}"
        yield {"code": "paused", "message": message, "short": "pool paused", "until": facts["paused_until"]}


def _agent_holds(row: Row, facts: Row) -> Iterator[Row]:
    """What holds all jobs of the agent; what holds this one already is not said twice."""
    for hold in facts["holds"]:
        if hold["code"] != row["status_reason"]:
            told = {name: hold[name] for name in ("code", "message", "until", "subject")}
            yield told | {"short": _HELD.get(hold["code"], "held")}


def _no_worker(row: Row, facts: Row) -> Iterator[Row]:
    if facts["workers"] == 0:
        message, short = f"no living worker serves the pool {row['pool']}", "no worker"
        if facts["draining"]:
            message, short = (
                f"all workers of the pool {row['pool']} drain and take nothing new",
                "workers drain",
            )
        yield {"code": "no_worker", "message": message, "short": short}


def _agent_limit(row: Row, facts: Row) -> Iterator[Row]:
    if facts["most"] is not None and facts["free"] == 0:
        message = f"all {facts['most']} places of {row['agent_id']} are taken"
        yield {
            "code": "agent_limit",
            "message": message,
            "short": f"agent limit {facts['most']}/{facts['most']}",
        }


def _rate_limit(row: Row, facts: Row) -> Iterator[Row]:
    if facts["tokens"] is not None and facts["tokens"] < 1:
        until = clock.now() + timedelta(seconds=(1 - facts["tokens"]) / facts["per_second"])
        message = f"{row['agent_id']} may start only {facts['rate_limit']}"
        yield {
            "code": "rate_limit",
            "message": message,
            "short": f"rate {facts['rate_limit']}",
            "until": until,
        }


def _busy(_row: Row, facts: Row) -> Iterator[Row]:
    if facts["workers"] and facts["busy"] >= facts["threads"]:
        message = f"all {facts['threads']} places of the pool's workers are taken"
        yield {
            "code": "busy",
            "message": message,
            "short": f"workers busy {facts['busy']}/{facts['threads']}",
        }


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
    SELECT a.agent_id, q.pool, a.enabled, a.max_concurrent_tasks AS most, a.rate_limit,
           (SELECT count(*) FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NULL
              AND s.slot < a.max_concurrent_tasks) AS free,
           (SELECT least(r.burst, r.tokens + r.per_second * extract(epoch FROM clock_timestamp() - r.refilled_at))::float
            FROM agent_rates r WHERE r.agent_id = a.agent_id) AS tokens,
           (SELECT r.per_second::float FROM agent_rates r WHERE r.agent_id = a.agent_id) AS per_second,
           q.paused AND (q.paused_until IS NULL OR q.paused_until > now()) AS paused, q.paused_until, q.pause_reason,
           w.workers, w.threads, w.ids, w.draining, w.busy
    FROM unnest(%(agents)s::text[], %(pools)s::text[]) AS kinds(agent_id, pool)
    JOIN agents a ON a.agent_id = kinds.agent_id JOIN queues q ON q.pool = kinds.pool
    JOIN (SELECT p.pool, w.*, (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.worker_id = ANY (w.ids)) AS busy
          FROM (SELECT DISTINCT unnest(%(pools)s::text[]) AS pool) p CROSS JOIN LATERAL (
              SELECT count(*) FILTER (WHERE takes) AS workers, count(*) FILTER (WHERE NOT takes) AS draining,
                     coalesce(sum(threads) FILTER (WHERE takes), 0) AS threads,
                     coalesce(array_agg(worker_id) FILTER (WHERE takes), '{}') AS ids
              FROM (SELECT worker_id, threads, NOT draining AND wanted IS NULL AS takes FROM workers
                    WHERE p.pool = ANY (pools) AND seen_at > now() - %(ttl)s * interval '1 s') each) w) w
        ON w.pool = kinds.pool"""
