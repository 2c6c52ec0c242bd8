"""Reading the audit log: lists by what one looks for, and entries with the documented fields (AUD-03)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from app.db import Row, db, literal

MOST = 200
CAP = 10_000
"""So far matches are counted."""

_COLUMNS = """a.id, a.at, a.actor, a.action, a.subject, a.correlation_id, a.details, a.ip, a.user_agent,
    c.position, encode(c.digest, 'hex') AS digest"""
_FROM = "FROM audit_log a LEFT JOIN audit_chain c ON c.audit_id = a.id"


class Mark(NamedTuple):
    """Where a page of the list ended."""

    at: datetime
    id: int


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which entries; None is any."""

    actor: str | None = None
    """A user's id; '' is what Callboard did by itself."""
    also: str | None = None
    """Beside `actor`: what they sign in with, which is what stands in failed sign-ins."""
    action: str | None = None
    """As it is written, or its beginning with a star: `job.*`."""
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    correlation_id: str | None = None
    q: str | None = None
    """Words anywhere in what was done, to what, from where and in the details."""

    def where(self) -> tuple[str, dict[str, object]]:
        """The condition and its values."""
        wanted: list[tuple[str, str, object]] = [
            ("a.actor = %(actor)s", "actor", None if self.also else self.actor),
            ("a.actor = ANY(%(actors)s)", "actors", [self.actor, self.also] if self.also else None),
            ("a.action = %(action)s", "action", None if self._begins() else self.action),
            ("starts_with(a.action, %(begins)s)", "begins", self._begins()),
            ("a.subject = %(subject)s", "subject", self.subject),
            ("a.at >= %(since)s", "since", self.since),
            ("a.at < %(until)s", "until", self.until),
            ("a.correlation_id = %(correlation_id)s", "correlation_id", self.correlation_id),
            (_ANYWHERE, "q", f"%{literal(self.q)}%" if self.q else None),
        ]
        chosen = [each for each in wanted if each[2] is not None]
        return (
            " AND ".join(condition for condition, _, _ in chosen) or "true",
            {name: value for _, name, value in chosen},
        )

    def _begins(self) -> str | None:
        return self.action.removesuffix("*") if self.action and self.action.endswith("*") else None


_ANYWHERE = """(a.action ILIKE %(q)s OR a.subject ILIKE %(q)s OR a.actor ILIKE %(q)s OR a.ip ILIKE %(q)s
    OR a.correlation_id ILIKE %(q)s OR a.details::text ILIKE %(q)s)"""


def page(wanted: Filter, *, before: Mark | None = None, limit: int = 50) -> list[Row]:
    """Entries, newest first, from behind `before` on; each with its position and digest if it is sealed."""
    where, values = wanted.where()
    further = "AND (a.at, a.id) < (%(before_at)s, %(before_id)s)" if before else ""
    marks = {"before_at": before.at, "before_id": before.id} if before else {}
    return db.rows(
        f"""SELECT {_COLUMNS} {_FROM} WHERE {where} {further} ORDER BY a.at DESC, a.id DESC LIMIT %(limit)s""",
        **values,
        **marks,
        limit=limit,
    )


def count(wanted: Filter, cap: int = CAP) -> int:
    """How many there are, counted to `cap`."""
    where, values = wanted.where()
    return int(
        db.value(f"SELECT count(*) FROM (SELECT 1 {_FROM} WHERE {where} LIMIT %(cap)s) x", **values, cap=cap)
    )


def actions() -> list[str]:
    """All actions that are in the log, by name; one look at the index for each."""
    return [
        row["action"]
        for row in db.rows(
            """WITH RECURSIVE each(action) AS (
                 (SELECT action FROM audit_log ORDER BY action LIMIT 1) UNION ALL
                 SELECT (SELECT action FROM audit_log l WHERE l.action > each.action ORDER BY action LIMIT 1)
                 FROM each WHERE each.action IS NOT NULL)
               SELECT action FROM each WHERE action IS NOT NULL LIMIT 500"""
        )
    ]


def of_day(since: datetime, until: datetime, *, after: Mark | None = None, limit: int = 2_000) -> list[Row]:
    """The entries of a time, oldest first, from behind `after` on."""
    behind = after or Mark(since, -1)
    return db.rows(
        f"""SELECT {_COLUMNS} {_FROM} WHERE a.at >= %(since)s AND a.at < %(until)s
              AND (a.at, a.id) > (%(at)s, %(id)s) ORDER BY a.at, a.id LIMIT %(limit)s""",
        since=since,
        until=until,
        at=behind.at,
        id=behind.id,
        limit=limit,
    )


def last(action: str) -> Row | None:
    """The newest entry of an action."""
    return db.row(
        f"SELECT {_COLUMNS} {_FROM} WHERE a.action = %(action)s ORDER BY a.at DESC LIMIT 1", action=action
    )


# -- one entry as it is told


def told(entry: Row) -> dict[str, Any]:
    """An entry with the documented fields; `position` and `digest` are None until it is sealed."""
    details = entry["details"] or {}
    return {
        "id": entry["id"],
        "timestamp": entry["at"],
        "event_type": entry["action"],
        "user_id": entry["actor"] or None,
        "subject": entry["subject"],
        "task_id": _task_id(entry, details),
        "agent_id": _text(details.get("agent_id"))
        or (entry["subject"] if entry["action"].startswith("agent.") else None),
        "priority": _text(details.get("priority")),
        "ip_address": entry["ip"] or _text(details.get("ip")),
        "user_agent": entry["user_agent"],
        "correlation_id": entry["correlation_id"],
        "details": details,
        "position": entry["position"],
        "digest": entry["digest"],
    }


def _task_id(entry: Row, details: dict[str, Any]) -> str | None:
    """The job it is about: what was done to it, or what came of it."""
    if entry["action"].startswith("job."):
        return str(entry["subject"])
    return _text(details.get("job_id")) or _text(details.get("new_job_id"))


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
