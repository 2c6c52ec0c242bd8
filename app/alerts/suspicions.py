"""What somebody does who should not be here: refusals, floods and probes, counted by account or address.

These are measures of the rules (app/alerts/rules.py), and what the page Security shows of the last day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from app import clock
from app.accounts import queries as people
from app.alerts.measures import MOST_COUNTED, MOST_SUBJECTS, Limits, Reading
from app.audit import access, chain, verify
from app.db import Row, db

WINDOW = timedelta(minutes=5)
"""Refusals, floods and probes are counted over this time."""
DOORS_OF_HOOKS = ("/hooks/<slug>", "/api/v1/webhooks/github", "/api/v1/webhooks/session")
TIMES_USUAL = 10
"""So many times what an account sends in within an average busy window of the last week is unusual."""
MOST_READ = 4_000
"""Of the parameters of a job so many characters are searched for probes."""

# What no job says by accident: closing a quote to add a condition, stacked statements, a shell's substitution in
# what is not code, lookups of loggers, template engines being asked to calculate, files of the system.
PROBES = (
    r"'\s*(or|and)\s*'?\d+'?\s*=\s*'?\d+",
    r"\munion\s+(all\s+)?select\M.*\m(from|null)\M",
    r"[;']\s*(drop|truncate|alter)\s+table\M",
    r"\m(pg_sleep|waitfor\s+delay|xp_cmdshell|benchmark)\s*\(?",
    r"\$\{jndi:",
    r"\{\{\s*7\s*\*\s*7",
    r"(\.\./){3,}",
    r"<script[\s>]",
)


def refused(_limits: Limits) -> list[Reading]:
    """Requests for what somebody's role does not allow, by account."""
    return _answers(403, "coalesce(email, actor)")


def limited(_limits: Limits) -> list[Reading]:
    """Requests over the limits, by account, or by address where nobody is signed in."""
    return _answers(429, "coalesce(email, nullif(actor, ''), ip)")


def forged(_limits: Limits) -> list[Reading]:
    """Webhooks that came in with a wrong signature, by address."""
    return _answers(401, "ip", DOORS_OF_HOOKS)


def _answers(status: int, by: str, endpoints: tuple[str, ...] = ()) -> list[Reading]:
    rows = db.rows(
        f"""SELECT {by} AS who, sum(count)::bigint AS times, count(DISTINCT endpoint) AS endpoints
            FROM api_access LEFT JOIN users ON user_id::text = actor
            WHERE minute > now() - %(window)s AND status = %(status)s AND {by} <> ''
              AND (%(endpoints)s::text[] = '{{}}' OR endpoint = ANY(%(endpoints)s))
            GROUP BY 1 ORDER BY 2 DESC LIMIT %(subjects)s""",
        window=WINDOW,
        status=status,
        endpoints=list(endpoints),
        subjects=MOST_SUBJECTS,
    )
    return [
        Reading(
            row["who"], row["times"], f"at {row['endpoints']} endpoint{'s' if row['endpoints'] > 1 else ''}"
        )
        for row in rows
    ]


def flood(_limits: Limits) -> list[Reading]:
    """Jobs that an account sent in within five minutes, where that is many times what it usually sends in."""
    return [
        Reading(row["who"], row["jobs"], f"usually {row['usual']:.0f} in a busy five minutes")
        for row in senders(WINDOW)
        if row["jobs"] > TIMES_USUAL * row["usual"]
    ]


def senders(lasts: timedelta) -> list[Row]:
    """Who sent in how many jobs of late, and how many in such a time on average of the hours in which they worked.

    {who, jobs, usual}, most first; counted up to MOST_COUNTED in all, `usual` over the last week.
    """
    return db.rows(
        """WITH newest AS (SELECT submitted_by FROM jobs WHERE job_id >= %(first)s
                            ORDER BY job_id DESC LIMIT %(most)s),
                sent AS (SELECT submitted_by AS who, count(*) AS jobs FROM newest GROUP BY 1
                          ORDER BY 2 DESC LIMIT %(subjects)s)
           SELECT coalesce(email, who) AS who, jobs, coalesce((SELECT avg(hour.ended) FROM (
                      SELECT sum(completed + failed + cancelled) AS ended FROM job_rollups
                       WHERE submitted_by = who AND step = 3600 AND at > now() - interval '7 days'
                         AND at < date_trunc('hour', now()) GROUP BY at) AS hour), 0)::float
                  * %(part)s AS usual FROM sent LEFT JOIN users ON user_id::text = who ORDER BY jobs DESC""",
        first=clock.least_id(clock.now() - lasts),
        most=MOST_COUNTED,
        subjects=MOST_SUBJECTS,
        part=lasts / timedelta(hours=1),
    )


def probes(_limits: Limits) -> list[Reading]:
    """Jobs of the last five minutes whose parameters look like probes of a scanner, by account."""
    rows = db.rows(
        """SELECT coalesce(email, submitted_by) AS who, count(*) AS jobs, min(job_id::text) AS example FROM (
               SELECT job_id, submitted_by, left(parameters::text, %(read)s) AS said FROM jobs
                WHERE job_id >= %(first)s ORDER BY job_id DESC LIMIT %(most)s) AS newest
           LEFT JOIN users ON user_id::text = submitted_by WHERE said ~* ANY(%(probes)s) GROUP BY 1 ORDER BY 2 DESC LIMIT %(subjects)s""",
        first=clock.least_id(clock.now() - WINDOW),
        read=MOST_READ,
        most=MOST_COUNTED,
        probes=list(PROBES),
        subjects=MOST_SUBJECTS,
    )
    return [Reading(row["who"], row["jobs"], f"for instance job {row['example']}") for row in rows]


def tampered(_limits: Limits) -> list[Reading]:
    """Whether the last whole verification found the audit's chain broken: 1 if so, and for how many entries it held."""
    last = verify.last_noted()
    if last is None or last["ok"]:
        return []
    return [Reading("", 1, f"the chain holds for {last['checked']} entries and then breaks")]


def unsealed(_limits: Limits) -> list[Reading]:
    """For how long the oldest entry of the audit waits to be sealed."""
    since = chain.state()["oldest_waiting_at"]
    return [Reading("", (clock.now() - since).total_seconds())] if since else []


# -- the page


def sign_ins(since: datetime) -> Row:
    """How many sign-ins failed, were refused unseen and succeeded since then: {failed, limited, signed_in, locked}."""
    row = db.row(
        """SELECT count(*) FILTER (WHERE action = 'auth.failed') AS failed,
                  count(*) FILTER (WHERE action = 'auth.limited') AS limited,
                  count(*) FILTER (WHERE action = 'auth.signed_in') AS signed_in,
                  (SELECT count(*) FROM users WHERE locked_until > now()) AS locked
           FROM audit_log WHERE at > %(since)s AND action IN ('auth.failed', 'auth.limited', 'auth.signed_in')""",
        since=since,
    )
    assert row is not None
    return row


def failed_by_address(since: datetime) -> list[Row]:
    """Who tried to sign in and was wrong, by address: {address, failed, names, last, tried: up to three names}."""
    return db.rows(
        """SELECT coalesce(ip, details->>'ip', 'unknown') AS address, count(*) AS failed,
                  count(DISTINCT actor) FILTER (WHERE actor <> '') AS names, max(at) AS last,
                  (array_agg(DISTINCT actor) FILTER (WHERE actor <> ''))[1:3] AS tried
           FROM audit_log WHERE at > %(since)s AND action IN ('auth.failed', 'auth.limited')
           GROUP BY 1 ORDER BY 2 DESC LIMIT %(subjects)s""",
        since=since,
        subjects=MOST_SUBJECTS,
    )


def by_hour(since: datetime) -> list[Row]:
    """Failed sign-ins and refused requests, hour by hour, the oldest first: {at, failed, refused}."""
    return db.rows(
        """WITH wrong AS (SELECT date_trunc('hour', at) AS hour, count(*) AS times FROM audit_log
                            WHERE at >= %(since)s AND action IN ('auth.failed', 'auth.limited') GROUP BY 1),
                refused AS (SELECT date_trunc('hour', minute) AS hour, sum(count)::bigint AS times FROM api_access
                             WHERE minute >= %(since)s AND status IN (401, 403, 429) GROUP BY 1)
           SELECT hour AS at, coalesce(wrong.times, 0) AS failed, coalesce(refused.times, 0) AS refused
           FROM generate_series(date_trunc('hour', %(since)s::timestamptz) + interval '1 hour',
                                date_trunc('hour', now()), '1 hour') AS hour
           LEFT JOIN wrong USING (hour) LEFT JOIN refused USING (hour) ORDER BY 1""",
        since=since,
    )


def answers(since: datetime) -> list[Row]:
    """What was refused: {status, who, ip, method, endpoint, times, last}, the most frequent first."""
    rows = access.refused(since, MOST_SUBJECTS)
    names = people.emails(list({row["actor"] for row in rows}))
    return [
        {name: row[name] for name in ("status", "ip", "method", "endpoint")}
        | {"who": names.get(row["actor"], row["actor"]), "times": row["count"], "last": row["last_at"]}
        for row in rows
    ]


def totals(since: datetime) -> dict[int, int]:
    """How many requests were answered with 401, 403 and 429 since then."""
    rows = db.rows(
        """SELECT status, sum(count)::bigint AS times FROM api_access
           WHERE minute > %(since)s AND status IN (401, 403, 429) GROUP BY 1""",
        since=since,
    )
    return {401: 0, 403: 0, 429: 0} | {row["status"]: row["times"] for row in rows}


def privileged(limit: int = 15) -> list[Row]:
    """The last things that take an admin, or change who may come in: {at, who, action, subject, ip}, newest first.

    What Callboard did by itself is left out, but for accounts that came about so. Of the newest ENTRIES_READ entries, so that a log full of other things costs no more.
    """
    return db.rows(
        """SELECT at, coalesce(email, actor) AS who, action, subject, ip FROM (
               SELECT id, at, actor, action, subject, ip FROM audit_log ORDER BY id DESC LIMIT %(read)s) AS newest
           LEFT JOIN users ON user_id::text = actor
           WHERE split_part(action, '.', 1) = ANY(%(kinds)s)
              AND (coalesce(actor, '') NOT IN ('', 'seed') OR action LIKE 'user.%%') ORDER BY id DESC LIMIT %(limit)s""",
        read=ENTRIES_READ,
        kinds=list(PRIVILEGED),
        limit=limit,
    )


PRIVILEGED = (
    *("user", "api_key", "agent", "queue", "worker", "provider", "budget", "quality_gate", "policy"),
    *("alert_rule", "rule", "price", "dead_letter", "audit", "secrets"),
)
"""How the names of such actions begin."""
ENTRIES_READ = 20_000


def keys_at_risk() -> Row:
    """API keys that call for a look: {living, endless, old, unused}.

    `endless` never expire, `old` were made more than 90 days ago, `unused` were not used for 90 days.
    """
    row = db.row(
        """SELECT count(*) AS living, count(*) FILTER (WHERE expires_at IS NULL) AS endless,
                  count(*) FILTER (WHERE k.created_at < now() - interval '90 days') AS old,
                  count(*) FILTER (WHERE coalesce(last_used_at, k.created_at) < now() - interval '90 days') AS unused
           FROM api_keys k JOIN users u USING (user_id)
           WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND u.enabled"""
    )
    assert row is not None
    return row
