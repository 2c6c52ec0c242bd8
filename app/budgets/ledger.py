"""The ledger of usage: rows are only ever added, and what is said of spending is summed from them.

A call is written in parts while it streams, so whatever a killed worker wrote is kept. A call counts as priced if
any of its parts is: some programs tell the price only at the end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.budgets.tally import TOTALS, Part
from app.db import Row, as_json, db
from app.replica import may_lag

GROUPS = ("agent", "model", "provider", "team", "day")


@dataclass(frozen=True, kw_only=True)
class Spender:
    """Whose attempt uses something."""

    job_id: str
    fence: int
    agent_id: str
    submitted_by: str
    schedule_id: str | None = None


@dataclass(frozen=True)
class Added:
    """What a write really added: nothing where it was written before."""

    usd: Decimal = Decimal(0)
    tokens: Decimal = Decimal(0)


def append(spender: Spender, parts: list[Part], *, at: datetime | None = None) -> Added:
    """Write `parts`; those that are there already (by job, attempt, call and part) are left as they are."""
    if not parts:
        return Added()
    rows = db.rows(
        _APPEND,
        parts=as_json([asdict(part) | {"cost_usd": _text(part.cost_usd)} for part in parts]),
        job=spender.job_id,
        fence=spender.fence,
        agent=spender.agent_id,
        by=spender.submitted_by,
        schedule=spender.schedule_id,
        at=at,
    )
    return Added(
        sum((row["cost_usd"] or Decimal(0) for row in rows), Decimal(0)),
        Decimal(sum(row["tokens"] for row in rows)),
    )


def _text(cost: Decimal | None) -> str | None:
    return None if cost is None else str(cost)


_TOKENS = "input_tokens + output_tokens + cache_read_tokens + cache_write_tokens"
_APPEND = f"""
    INSERT INTO usage_events (at, job_id, fence, call_id, part, agent_id, team, submitted_by, schedule_id, provider,
           model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd,
           cost_status, billing, price_version)
    SELECT coalesce(%(at)s, clock_timestamp()), %(job)s::uuid, %(fence)s, p.call_id, p.part, %(agent)s,
           coalesce((SELECT team FROM agents WHERE agent_id = %(agent)s), ''), %(by)s, %(schedule)s::uuid, p.provider,
           p.model, p.input_tokens, p.output_tokens, p.cache_read_tokens, p.cache_write_tokens, p.reasoning_tokens,
           p.cost_usd, p.cost_status, p.billing, p.price_version
    FROM jsonb_to_recordset(%(parts)s::jsonb) AS p(call_id text, part integer, provider text, model text,
         input_tokens bigint, output_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,
         reasoning_tokens bigint, cost_usd numeric, cost_status text, billing text, price_version text)
    ON CONFLICT (job_id, fence, call_id, part) DO NOTHING
    RETURNING cost_usd, {_TOKENS} AS tokens"""


def used_before(job_id: str, fence: int) -> dict[str, Decimal]:
    """What the attempts of a job before `fence` used: {usd, tokens, minutes}."""
    row = db.row(
        f"""SELECT coalesce(sum(cost_usd), 0) AS usd, coalesce(sum({_TOKENS}), 0) AS tokens,
                   (SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)), 0) / 60
                    FROM job_attempts WHERE job_id = %(job)s AND fence < %(fence)s) AS minutes
            FROM usage_events WHERE job_id = %(job)s AND fence < %(fence)s""",
        job=job_id,
        fence=fence,
    )
    return {unit: Decimal(amount) for unit, amount in (row or {}).items()}


def spent(unit: str, scope: str, subject: str | None, since: datetime) -> Decimal:
    """How much of `unit` was used within a scope since then, from what is written down."""
    statement = _SPENT[unit].format(tokens=_TOKENS, scope=_SCOPES[scope])
    return Decimal(db.value(statement, since=since, subject=subject) or 0)


# `u` is a row of the ledger or a job, both with the columns agent_id and schedule_id; `team` differs.
_SCOPES = {
    "global": "true",
    "agent": "u.agent_id = %(subject)s",
    "team": "u.team = %(subject)s",
    "schedule": "u.schedule_id = %(subject)s::uuid",
}
_RUNS = """FROM job_attempts a JOIN (
               SELECT j.job_id, j.agent_id, j.schedule_id, g.team FROM jobs j JOIN agents g ON g.agent_id = j.agent_id) u
           ON u.job_id = a.job_id WHERE {scope}"""
_SPENT = {
    "usd": "SELECT sum(u.cost_usd) FROM usage_events u WHERE u.at >= %(since)s AND {scope}",
    "tokens": "SELECT sum({tokens}) FROM usage_events u WHERE u.at >= %(since)s AND {scope}",
    # What was handed back was no run: a stopping worker, or a budget or provider that had nothing left.
    "runs": f"""SELECT count(*) {_RUNS} AND a.started_at >= %(since)s AND a.outcome IS DISTINCT FROM 'released'""",
    "minutes": f"""SELECT sum(extract(epoch FROM coalesce(a.ended_at, clock_timestamp())
                                      - greatest(a.started_at, %(since)s))) / 60
                   {_RUNS} AND coalesce(a.ended_at, clock_timestamp()) > %(since)s""",
}


# -- what people ask


def totals(since: datetime) -> list[Row]:
    """All that was used since then, by {provider, model}: {input,output,cache_read,cache_write}_tokens, and usd."""
    return db.rows(
        """SELECT provider, model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                  sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
                  coalesce(sum(cost_usd), 0) AS usd
           FROM usage_events WHERE at >= %(since)s GROUP BY 1, 2 ORDER BY 1, 2""",
        since=since,
    )


_SUMS = f"""sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens, sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens, sum({_TOKENS})::bigint AS tokens,
    sum(cost_usd) AS notional_usd, sum(cost_usd) FILTER (WHERE billing = 'api') AS cash_usd"""
_KEYS = {
    "agent": "agent_id",
    "model": "model",
    "provider": "provider",
    "team": "team",
    "schedule": "schedule_id::text",
    "day": "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
_OF_CALLS = """count(*) AS calls, count(DISTINCT job_id) AS jobs,
    sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens, sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(tokens)::bigint AS tokens, sum(cash_usd) AS cash_usd, sum(notional_usd) AS notional_usd,
    coalesce(sum(tokens) FILTER (WHERE notional_usd IS NULL), 0)::bigint AS unpriced_tokens"""


@may_lag
def report(
    group_by: str, since: datetime, until: datetime, *, owner: str | None = None, limit: int = 500
) -> list[Row]:
    """What was used in a time, by agent, model, provider, team, schedule or day; dearest first, days newest first.

    `owner`: by jobs of theirs only.

    Each row: key, calls, jobs, tokens of each kind, cash_usd (what an API bills), notional_usd (everything priced,
    subscriptions too); both None where nothing is priced; unpriced_tokens and their share of all tokens.
    """
    order = "key DESC" if group_by == "day" else "notional_usd DESC NULLS LAST, tokens DESC, key"
    rows = db.rows(
        f"""WITH calls AS (
                SELECT {_KEYS[group_by]} AS key, job_id, {_SUMS} FROM usage_events
                WHERE at >= %(since)s AND at < %(until)s AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)
                GROUP BY 1, job_id, fence, call_id)
            SELECT key, {_OF_CALLS} FROM calls GROUP BY key ORDER BY {order} LIMIT %(limit)s""",
        since=since,
        until=until,
        owner=owner,
        limit=limit,
    )
    return [_shared(row) for row in rows]


@may_lag
def total(since: datetime, until: datetime) -> Row:
    """The same figures for everything together."""
    row = db.row(
        f"""WITH calls AS (
                SELECT job_id, {_SUMS} FROM usage_events WHERE at >= %(since)s AND at < %(until)s
                GROUP BY job_id, fence, call_id)
            SELECT {_OF_CALLS} FROM calls""",
        since=since,
        until=until,
    )
    return _shared(
        {name: value or (value if name.endswith("_usd") else 0) for name, value in (row or {}).items()}
    )


def _shared(row: Row) -> Row:
    return row | {
        "unpriced_share": round(row["unpriced_tokens"] / row["tokens"], 4) if row["tokens"] else 0.0
    }


def of_job(job_id: str, *, fence: int | None = None) -> dict[str, Any]:
    """What a job, or one attempt of it, used altogether, under the names of the status document's `usage`."""
    row = db.row(
        f"""WITH calls AS (
                SELECT job_id, {_SUMS}, bool_or(cost_status = 'unaccounted') AS unaccounted,
                       bool_or(cost_status = 'derived') AS derived
                FROM usage_events WHERE job_id = %(job)s AND (%(fence)s::bigint IS NULL OR fence = %(fence)s)
                GROUP BY job_id, fence, call_id)
            SELECT {_OF_CALLS}, bool_or(notional_usd IS NULL AND NOT unaccounted) AS unpriced,
                   bool_or(notional_usd IS NULL AND unaccounted) AS unaccounted, bool_or(derived) AS derived
            FROM calls""",
        job=job_id,
        fence=fence,
    )
    if not row or not row["calls"]:
        return {}
    cost = row["notional_usd"]
    told: dict[str, Any] = {name: int(row[name]) for name in TOTALS}
    told |= {"cost_usd": None if cost is None else float(cost), "cost_status": _status(row)}
    return told | ({"unpriced_tokens": int(row["unpriced_tokens"])} if row["unpriced_tokens"] else {})


def of_jobs(job_ids: list[str]) -> dict[str, Row]:
    """What several jobs used, by id: {tokens, usd, unpriced_tokens}; `usd` is None where nothing has a price.

    Jobs of which the ledger knows nothing are missing.
    """
    rows = db.rows(
        f"""WITH calls AS (
                SELECT job_id, {_SUMS} FROM usage_events WHERE job_id = ANY(%(jobs)s::uuid[])
                GROUP BY job_id, fence, call_id)
            SELECT job_id::text, sum(tokens)::bigint AS tokens, sum(notional_usd) AS usd,
                   coalesce(sum(tokens) FILTER (WHERE notional_usd IS NULL), 0)::bigint AS unpriced_tokens
            FROM calls GROUP BY job_id""",
        jobs=job_ids,
    )
    return {row["job_id"]: row for row in rows}


def _status(row: Row) -> str:
    return next((name for name in ("unpriced", "unaccounted", "derived") if row[name]), "reported")


def events(job_id: str, *, after: int = 0, limit: int = 200) -> list[Row]:
    """A job's rows of the ledger with an id above `after`, oldest first."""
    return db.rows(
        """SELECT id, at, fence AS attempt, call_id, part, provider, model, input_tokens, output_tokens,
                  cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, cost_status, billing, price_version
           FROM usage_events WHERE job_id = %(job)s AND id > %(after)s ORDER BY id LIMIT %(limit)s""",
        job=job_id,
        after=after,
        limit=limit,
    )


def calls(job_id: str, *, limit: int = 200) -> list[Row]:
    """What each model call of a job used, the last `limit` of them, oldest first.

    Each {attempt, call_id, at, provider, model, tokens of each kind, cost_usd, cost_status, billing}; `cost_usd` is
    None for what has no price.
    """
    rows = db.rows(
        f"""SELECT fence AS attempt, call_id, min(at) AS at, max(provider) AS provider, max(model) AS model, {_SUMS},
                   sum(cost_usd) AS cost_usd, max(billing) AS billing,
                   CASE WHEN bool_or(cost_status = 'reported') THEN 'reported'
                        WHEN bool_or(cost_status = 'derived') THEN 'derived'
                        WHEN bool_or(cost_status = 'unaccounted') THEN 'unaccounted' ELSE 'unpriced' END AS cost_status
            FROM usage_events WHERE job_id = %(job)s GROUP BY fence, call_id
            ORDER BY min(id) DESC LIMIT %(limit)s""",
        job=job_id,
        limit=limit,
    )
    return rows[::-1]
