"""Jobs that ended failed: grouped by what went wrong, and sent in again by people."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.db import Row, db
from app.errors import Conflict, NotFound
from app.jobs import rollups

# What differs from one occurrence of an error to the next and says nothing about its cause.
_NOISE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"0x[0-9a-f]+", re.IGNORECASE), "<hex>"),
    (re.compile(r"(/[\w.@-]+){2,}"), "<path>"),
    (re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\""), "<text>"),
    (re.compile(r"\d+(\.\d+)?"), "<n>"),
)

WINDOWS = {
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "24h": timedelta(hours=24),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}

# What somebody said of a letter's group (app/jobs/error_groups.py): nothing, or nothing that is still true of it.
STATES = ("open", "resolved", "ignored")
LONGEST_TYPE = 100
SHARE_ASKED = 0.05
"""Of the jobs that end, fewer than this part should end here (DLQ-11)."""

COLUMNS = """dlq_id::text, job_id::text, agent_id, task_name, priority_rank, submitted_by, submitted_at, failed_at,
    reason, error_type, error_class, error_message, retry_count, group_key, user_error, resubmitted,
    resubmitted_at, resubmitted_by, new_job_id::text"""


def fingerprint(agent_id: str, error_type: str, message: str) -> str:
    """The group a failure belongs to: agent, error type, and the message without numbers, ids and paths."""
    plain = message[:500]
    for pattern, word in _NOISE:
        plain = pattern.sub(word, plain)
    digest = hashlib.sha256(plain.encode()).hexdigest()[:10]
    # A key is a part of addresses and of indexes: no slash, and no longer than either can hold.
    kind = error_type.replace("/", ".")[:LONGEST_TYPE]
    return f"{agent_id}:{kind}:{digest}"


# What a letter is to people: covered by what was said of its group, or open.
STATE = """CASE WHEN said.status = 'ignored' THEN 'ignored'
    WHEN said.status = 'resolved' AND dead_letters.failed_at <= said.changed_at THEN 'resolved' ELSE 'open' END"""
_COVERED = """EXISTS (SELECT 1 FROM error_groups said WHERE said.group_key = dead_letters.group_key
    AND {which})"""
_IN_STATE = {
    "open": "NOT "
    + _COVERED.format(which="(said.status = 'ignored' OR dead_letters.failed_at <= said.changed_at)"),
    "resolved": _COVERED.format(
        which="said.status = 'resolved' AND dead_letters.failed_at <= said.changed_at"
    ),
    "ignored": _COVERED.format(which="said.status = 'ignored'"),
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which letters; None means any."""

    agent_id: str | None = None
    since: datetime | None = None
    """Failed at or after."""
    resubmitted: bool | None = None
    group_key: str | None = None
    state: str | None = None
    """One of STATES."""

    def where(self) -> tuple[str, dict[str, Any]]:
        """The SQL condition and its values."""
        given = {name: getattr(self, name) for name in ("agent_id", "resubmitted", "group_key")}
        parts = [
            f"dead_letters.{column} = %({column})s" for column, value in given.items() if value is not None
        ]
        if self.since:
            parts.append("dead_letters.failed_at >= %(since)s")
        if self.state:
            parts.append(_IN_STATE[self.state])
        return " AND ".join(parts) or "true", {**given, "since": self.since}


def page(
    *, before: tuple[datetime, str] | None = None, limit: int = 50, offset: int = 0, **chosen: Any
) -> list[Row]:
    """Dead letters, newest first; `before` is the (failed_at, dlq_id) of the last one seen.

    `chosen` is what Filter takes.
    """
    where, values = Filter(**chosen).where()
    if before:
        where += " AND (failed_at, dlq_id) < (%(before_at)s, %(before_id)s::uuid)"
        values |= {"before_at": before[0], "before_id": before[1]}
    return db.rows(
        f"""SELECT {COLUMNS}, parameters, stack_trace FROM dead_letters WHERE {where}
            ORDER BY failed_at DESC, dead_letters.dlq_id DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        limit=limit,
        offset=offset,
    )


def count(*, cap: int = 10_000, **chosen: Any) -> int:
    """How many dead letters fit what Filter takes, counted up to `cap`."""
    where, values = Filter(**chosen).where()
    return int(
        db.value(
            f"SELECT count(*) FROM (SELECT 1 FROM dead_letters WHERE {where} LIMIT %(cap)s) x",
            **values,
            cap=cap,
        )
    )


def share() -> float | None:
    """Of the jobs that completed or failed within 24 hours, the part that failed for good; see SHARE_ASKED.

    Failures that their input caused count neither as failed nor as ended. None if nothing else ended. The day begins
    with a whole minute.
    """
    day = timedelta(hours=24)
    last, _ = rollups.compared(day)
    by_input = db.value(
        "SELECT count(*) FROM dead_letters WHERE user_error AND failed_at >= %(since)s",
        since=rollups.floor(clock.now(), rollups.MINUTE) - day,
    )
    failed = max(0, last["failed"] - by_input)
    return failed / (last["completed"] + failed) if last["completed"] + failed else None


def get(dlq_or_job_id: str) -> Row:
    """One dead letter with parameters and stack trace, by its own id or by its job's (C26)."""
    found = db.row(
        f"""SELECT {COLUMNS}, parameters, options, stack_trace FROM dead_letters
            WHERE dlq_id = %(id)s::uuid OR job_id = %(id)s::uuid""",
        id=dlq_or_job_id,
    )
    if found is None:
        raise NotFound(f"there is no dead letter {dlq_or_job_id}")
    return found


def retry_limit(job_id: str) -> int | None:
    """How often the failed job might be retried; None when its row is gone."""
    limit: int | None = db.value("SELECT max_retries FROM jobs WHERE job_id = %(job)s", job=job_id)
    return limit


def correlation_of(job_id: str) -> str | None:
    """What the failed job was found by; None when its row is gone."""
    found: str | None = db.value("SELECT correlation_id FROM jobs WHERE job_id = %(job)s", job=job_id)
    return found


def groups(
    window: timedelta | None = None,
    *,
    open_only: bool = True,
    state: str | None = "open",
    owner: str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Failures by fingerprint, the most frequent first; `open_only` leaves out what was sent in again.

    Each {group_key, agent_id, error_type, error_message, count, first_at, last_at, newest_dlq_id, user_error, status,
    note, changed_by, changed_at}. `state` is one of STATES, None for all; of an `owner` only theirs are told of.
    """
    chosen = _IN_STATE[state] if state else "true"
    return db.rows(
        f"""WITH found AS (
               SELECT group_key, count(*) AS count, min(failed_at) AS first_at, max(failed_at) AS last_at,
                      bool_and(user_error) AS user_error
               FROM dead_letters
               WHERE (%(since)s::interval IS NULL OR failed_at >= now() - %(since)s::interval)
                 AND (NOT %(open)s OR NOT resubmitted) AND {chosen}
                 AND (%(owner)s::text IS NULL OR submitted_by = %(owner)s)
               GROUP BY group_key ORDER BY count(*) DESC, max(failed_at) DESC LIMIT %(limit)s)
           {DESCRIBED} ORDER BY found.count DESC, found.last_at DESC""",
        since=window,
        open=open_only,
        owner=owner,
        limit=limit,
    )


# Of groups that were `found`: the newest letter, `owner`'s if there is one, and what was said and is still true.
DESCRIBED = """
    SELECT found.*, newest.agent_id, newest.error_type, newest.error_message, newest.dlq_id::text AS newest_dlq_id,
           said.note, said.changed_by, said.changed_at,
           CASE WHEN said.status = 'ignored' THEN 'ignored'
                WHEN said.status = 'resolved' AND newest.failed_at <= said.changed_at THEN 'resolved'
                ELSE 'open' END AS status
    FROM found LEFT JOIN error_groups said USING (group_key)
    CROSS JOIN LATERAL (
        SELECT l.agent_id, l.error_type, l.error_message, l.dlq_id, l.failed_at FROM dead_letters l
        WHERE l.group_key = found.group_key AND (%(owner)s::text IS NULL OR l.submitted_by = %(owner)s) ORDER BY l.failed_at DESC LIMIT 1) newest"""


def open_in_group(group_key: str, limit: int = 1000) -> list[str]:
    """The ids of a group's letters that were not sent in again yet, oldest first."""
    rows = db.rows(
        """SELECT dlq_id::text FROM dead_letters WHERE group_key = %(key)s AND NOT resubmitted
           ORDER BY failed_at LIMIT %(limit)s""",
        key=group_key,
        limit=limit,
    )
    return [r["dlq_id"] for r in rows]


def settle_by_job(job_id: str, *, new_job_id: str, by: str) -> None:
    """Count a failed job's letter as dealt with because the job was run again; silent if it was already."""
    db.run(
        """UPDATE dead_letters SET resubmitted = true, resubmitted_at = clock_timestamp(), resubmitted_by = %(by)s,
                  new_job_id = %(new)s WHERE job_id = %(job)s AND NOT resubmitted""",
        job=job_id,
        new=new_job_id,
        by=by,
    )


def mark_resubmitted(dlq_id: str, *, new_job_id: str, by: str, force: bool = False) -> Row:
    """Write down that this letter was sent in again; the second time is a Conflict unless `force`."""
    row = db.row(
        """UPDATE dead_letters SET resubmitted = true, resubmitted_at = clock_timestamp(), resubmitted_by = %(by)s,
                  new_job_id = %(new)s
           WHERE dlq_id = %(id)s AND (NOT resubmitted OR %(force)s) RETURNING dlq_id::text, resubmitted_at""",
        id=dlq_id,
        new=new_job_id,
        by=by,
        force=force,
    )
    if row is None:
        raise Conflict("this dead letter was resubmitted already", allowed=["resubmit with force"])
    return row
