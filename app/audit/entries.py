"""Entries of the audit log: written in the transaction of what they tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import Row, as_json, db


def record(
    action: str,
    *,
    actor: str,
    subject: str | None = None,
    correlation_id: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write one entry in the present transaction; never put parameters or secrets into `details`."""
    db.run(
        """INSERT INTO audit_log (actor, action, subject, correlation_id, details)
           VALUES (%(actor)s, %(action)s, %(subject)s, %(correlation_id)s, %(details)s)""",
        actor=actor,
        action=action,
        subject=subject,
        correlation_id=correlation_id,
        details=as_json(details) if details else None,
    )


def newest(subject: str, actions: list[str], *, since: datetime, until: datetime) -> Row | None:
    """The last entry about `subject` of one of these actions within a time: {at, actor, action, details}."""
    return db.row(
        """SELECT at, actor, action, details FROM audit_log
           WHERE at BETWEEN %(since)s AND %(until)s AND subject = %(subject)s AND action = ANY(%(actions)s)
           ORDER BY id DESC LIMIT 1""",
        subject=subject,
        actions=actions,
        since=since,
        until=until,
    )


def record_many(
    action: str,
    what: list[tuple[str, dict[str, Any]]],
    *,
    actor: str,
    correlation_id: str | None = None,
) -> None:
    """Write an entry for each subject of `what`, with its details, as `record` does."""
    if not what:
        return
    db.insert_many(
        "INSERT INTO audit_log (actor, action, subject, correlation_id, details) VALUES %s",
        [(actor, action, subject, correlation_id, as_json(details)) for subject, details in what],
    )
