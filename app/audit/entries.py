"""Entries of the audit log: written in the transaction of what they tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.audit import origin
from app.db import Row, as_json, db, storable


def record(
    action: str,
    *,
    actor: str,
    subject: str | None = None,
    correlation_id: str | None = None,
    details: dict[str, Any] | None = None,
    ip: str | None = None,
    user_agent: str | None = None,
) -> None:
    """Write one entry in the present transaction; never put parameters or secrets into `details`.

    What is not said of where it comes from is that of the present request (app/audit/origin.py).
    """
    here = origin.current()
    db.run(
        """INSERT INTO audit_log (actor, action, subject, correlation_id, details, ip, user_agent)
           VALUES (%(actor)s, %(action)s, %(subject)s, %(correlation_id)s, %(details)s, %(ip)s, %(user_agent)s)""",
        actor=storable(actor),
        action=action,
        subject=storable(subject) if subject is not None else None,
        correlation_id=correlation_id or here.correlation_id,
        details=as_json(details) if details else None,
        ip=ip or here.ip,
        user_agent=origin.brief(user_agent) or here.user_agent,
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
    here = origin.current()
    from_where = (correlation_id or here.correlation_id, here.ip, here.user_agent)
    db.insert_many(
        "INSERT INTO audit_log (actor, action, correlation_id, ip, user_agent, subject, details) VALUES %s",
        [
            (actor, action, *from_where, subject, as_json(details) if details else None)
            for subject, details in what
        ],
    )
