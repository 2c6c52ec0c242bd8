"""The figures that alerts watch: each function answers which subjects there are and how each stands.

All are cheap at a million jobs: an index and an upper bound on the rows that are looked at. A subject that is not
in the answer is well. What cannot be known yet (too few polls, too few ended jobs) is not in it either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.db import db
from app.polling import queries as polling
from app.polling import thresholds

MOST_SUBJECTS = 20
MOST_COUNTED = 3_000
"""Backlogs and dead letters are counted up to so many."""
MOST_ENDED = 20_000
"""The failure rate is of the newest so many jobs."""
FEWEST_ENDED = 10
LIVING_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What measuring must know of the settings."""

    soft_limit_seconds: float = 3300
    hard_limit_seconds: float = 3600
    command_limit_seconds: float = 300
    """The hard limit of an agent that runs a command and says nothing of its own."""
    backups: bool = False
    """Whether a backup is made each day."""


@dataclass(frozen=True)
class Reading:
    """How one subject stands; `subject` is "" where there is only one."""

    subject: str
    value: float
    about: str = ""
    """What people should know besides the number."""


Measure = Callable[[Limits], list[Reading]]


def _views(name: str, factor: float = 1.0, *, enough: bool = True) -> Measure:
    def measure(_limits: Limits) -> list[Reading]:
        return [
            Reading(view, factor * row[name], SEEN_BY[view])
            for view, row in polling.figures(polling.PRESENT_MINUTES).items()
            if row[name] is not None and (not enough or row["polls"] >= thresholds.FEWEST)
        ]

    return measure


SEEN_BY = {"server": "as the server answered", "pages": "as open pages felt it"}

polling_failures = _views("failure_rate", 100)
polling_response = _views("average_ms", 0.001)
polling_recovery = _views("recovery_seconds", enough=False)
slow_query = _views("query_most_ms", 0.001, enough=False)


def failed_logins(_limits: Limits) -> list[Reading]:
    """Sign-ins that failed within a minute, by address."""
    rows = db.rows(
        """SELECT coalesce(details->>'ip', 'unknown') AS address, count(*) AS failed, count(DISTINCT actor) AS names
           FROM (SELECT details, actor FROM audit_log WHERE at > now() - interval '1 minute'
                   AND action IN ('auth.failed', 'auth.limited') LIMIT %(most)s) AS tried
           GROUP BY 1 ORDER BY 2 DESC LIMIT %(subjects)s""",
        most=MOST_COUNTED,
        subjects=MOST_SUBJECTS,
    )
    return [
        Reading(row["address"], row["failed"], f"tried {row['names']} name{'s' if row['names'] > 1 else ''}")
        for row in rows
    ]


def job_failures(_limits: Limits) -> list[Reading]:
    """Of the jobs that ended within 15 minutes, how many percent failed; cancelled ones do not count."""
    row = db.row(
        """SELECT count(*) FILTER (WHERE status = 'failed') AS failed, count(*) AS ended
           FROM (SELECT status FROM task_history WHERE completed_at > now() - interval '15 minutes'
                 ORDER BY completed_at DESC LIMIT %(most)s) AS newest WHERE status <> 'cancelled'""",
        most=MOST_ENDED,
    )
    if row is None or row["ended"] < FEWEST_ENDED:
        return []
    return [
        Reading(
            "", 100 * row["failed"] / row["ended"], f"{row['failed']} of {row['ended']} jobs in 15 minutes"
        )
    ]


def backlog(_limits: Limits) -> list[Reading]:
    """Due jobs that wait, by pool, counted up to MOST_COUNTED each; a paused pool is meant to wait."""
    rows = db.rows(
        f"""SELECT q.pool, (SELECT count(*) FROM (
                       SELECT 1 FROM generate_series(0, 3) AS rank(n) CROSS JOIN LATERAL (
                           SELECT 1 FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.pool = q.pool
                             AND j.priority_rank = rank.n AND j.run_at <= now() LIMIT %(most)s) AS due
                       LIMIT %(most)s) AS found) AS waiting
            FROM queues q WHERE NOT {_PAUSED}""",
        most=MOST_COUNTED,
    )
    return [
        Reading(row["pool"], row["waiting"], "or more" if row["waiting"] >= MOST_COUNTED else "")
        for row in rows
        if row["waiting"]
    ]


_PAUSED = "(q.paused AND (q.paused_until IS NULL OR q.paused_until > now()))"


def no_worker(_limits: Limits) -> list[Reading]:
    """For how long nothing was heard of any worker; else of one that serves a pool in which due jobs wait."""
    living = db.row(
        """SELECT count(*) FILTER (WHERE seen_at > now() - %(living)s * interval '1 s') AS living,
                  extract(epoch FROM now() - coalesce(max(seen_at), (SELECT healthy_since FROM upkeep)))::float AS silent
           FROM workers""",
        living=LIVING_SECONDS,
    )
    assert living is not None
    if not living["living"]:
        return [Reading("", living["silent"] or 0, "nothing was heard of any worker")]
    rows = db.rows(
        f"""SELECT q.pool, extract(epoch FROM now() - coalesce(
                       (SELECT max(w.seen_at) FROM workers w WHERE q.pool = ANY (w.pools)), oldest.at))::float AS silent
            FROM queues q CROSS JOIN LATERAL ({_OLDEST_DUE}) AS oldest
            WHERE oldest.at IS NOT NULL AND NOT {_PAUSED} AND NOT EXISTS (
                SELECT 1 FROM workers w WHERE q.pool = ANY (w.pools)
                  AND w.seen_at > now() - %(living)s * interval '1 s')""",
        living=LIVING_SECONDS,
    )
    return [Reading(row["pool"], row["silent"], "jobs wait there") for row in rows]


# The index holds waiting jobs by pool, priority and time: the oldest of each of the four priorities is one look.
_OLDEST_DUE = """
    SELECT min(first.run_at) AS at FROM generate_series(0, 3) AS rank(n) CROSS JOIN LATERAL (
        SELECT j.run_at FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.pool = q.pool
          AND j.priority_rank = rank.n AND j.run_at <= now() ORDER BY j.run_at LIMIT 1) AS first"""


def overdue_jobs(limits: Limits) -> list[Reading]:
    """For how long each running job is past its soft limit, by its id, the longest first."""
    rows = db.rows(
        """SELECT job_id::text, agent_id, over FROM (
               SELECT j.job_id, j.agent_id, extract(epoch FROM now() - t.started_at)::float - least(%(soft)s,
                      0.92 * least(%(hard)s, coalesce((j.options->>'timeout')::float, a.timeout_seconds,
                          CASE WHEN a.runner IN ('command','cli') THEN %(command)s ELSE %(hard)s END))) AS over
               FROM jobs j JOIN job_attempts t ON t.job_id = j.job_id AND t.ended_at IS NULL
               JOIN agents a USING (agent_id) WHERE j.status = 'running') AS running
           WHERE over > 0 ORDER BY over DESC LIMIT %(most)s""",
        soft=limits.soft_limit_seconds,
        hard=limits.hard_limit_seconds,
        command=limits.command_limit_seconds,
        most=MOST_SUBJECTS,
    )
    return [Reading(row["job_id"], row["over"], f"a job of {row['agent_id']}") for row in rows]


def critical_wait(_limits: Limits) -> list[Reading]:
    """For how long the oldest due critical job waits, by pool."""
    rows = db.rows(
        f"""SELECT q.pool, extract(epoch FROM now() - oldest.run_at)::float AS waited
            FROM queues q CROSS JOIN LATERAL (
                SELECT j.run_at FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.pool = q.pool
                  AND j.priority_rank = 0 AND j.run_at <= now() ORDER BY j.run_at LIMIT 1) AS oldest
            WHERE NOT {_PAUSED}"""
    )
    return [Reading(row["pool"], row["waited"]) for row in rows]


def dead_letters(_limits: Limits) -> list[Reading]:
    """Jobs that failed for good within 15 minutes, counted up to MOST_COUNTED."""
    amount = db.value(
        """SELECT count(*) FROM (SELECT 1 FROM dead_letters WHERE failed_at > now() - interval '15 minutes'
               LIMIT %(most)s) AS newest""",
        most=MOST_COUNTED,
    )
    return [Reading("", amount)] if amount else []


def open_providers(_limits: Limits) -> list[Reading]:
    """For how long each model provider is left alone because its calls fail."""
    rows = db.rows(
        """SELECT provider_id, error_class, extract(epoch FROM now() - opened_at)::float AS seconds FROM providers
           WHERE enabled AND state <> 'closed' AND opened_at IS NOT NULL LIMIT %(most)s""",
        most=MOST_SUBJECTS,
    )
    return [Reading(row["provider_id"], row["seconds"], row["error_class"] or "") for row in rows]


_GOOD = "(SELECT max(started_at) FROM backups WHERE status IN ('done','verified') AND verify_error IS NULL)"


def missing_backup(limits: Limits) -> list[Reading]:
    """For how long there is no good backup, where one is made each day; from the first account on, if there never was."""
    if not limits.backups:
        return []
    row = db.row(
        f"""SELECT {_GOOD} AS last, extract(epoch FROM now() - coalesce({_GOOD}, (SELECT min(created_at) FROM users)))::float
                   AS seconds"""
    )
    if row is None or row["seconds"] is None:
        return []
    return [Reading("", row["seconds"], "" if row["last"] else "there never was one")]


def failed_backups(_limits: Limits) -> list[Reading]:
    """How many backups failed since the last good one, of the last seven days."""
    row = db.row(
        f"""SELECT count(*) AS failed, (array_agg(error ORDER BY started_at DESC))[1] AS why FROM backups
            WHERE status = 'failed' AND started_at > now() - interval '7 days'
              AND started_at > coalesce({_GOOD}, '-infinity')"""
    )
    assert row is not None
    return [Reading("", row["failed"], (row["why"] or "")[:200])] if row["failed"] else []


def unproved_backup(_limits: Limits) -> list[Reading]:
    """1 while the newest backup is one that could not be restored, or was not the same after it."""
    row = db.row(
        "SELECT verify_error FROM backups WHERE status IN ('done','verified') ORDER BY started_at DESC LIMIT 1"
    )
    return [Reading("", 1, row["verify_error"][:200])] if row and row["verify_error"] else []


def scale_hook(_limits: Limits) -> list[Reading]:
    """How often the platform could not be told the newest wanted number of workers, and what it said last."""
    row = db.row(
        """SELECT count(*) AS failed, max(a.details ->> 'error') AS error FROM audit_log a
           WHERE a.action = 'scaling.refused' AND a.at > now() - interval '1 day'
             AND a.subject = (SELECT 'scaling:' || id FROM audit_log
                              WHERE action = 'scaling.decided' AND details ->> 'wanted' IS DISTINCT FROM details ->> 'before'
                              ORDER BY at DESC, id DESC LIMIT 1)
             AND NOT EXISTS (SELECT 1 FROM audit_log t WHERE t.action = 'scaling.told' AND t.subject = a.subject)"""
    )
    return [Reading("", row["failed"], (row["error"] or "")[:200])] if row and row["failed"] else []
