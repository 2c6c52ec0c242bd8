"""What people and programs did that somebody may one day ask about: one append-only table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, Row, as_json, db


class AuditEntry(Base):
    """Who did what to what, when, from where; a trigger refuses changes and deletions."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("clock_timestamp()"))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    __table_args__ = (Index("ix_audit_log_at", "at"), Index("ix_audit_log_actor", "actor", "at"))


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
