"""The tables of the audit: what was done, the chain that shows whether somebody tampered with it, and how often the API was used."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class AuditEntry(Base):
    """Who did what to what, when, from where; a trigger refuses changes and deletions."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    ip: Mapped[str | None] = mapped_column(Text)  # NULL: not done over HTTP
    user_agent: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_audit_log_at", "at"),
        Index("ix_audit_log_actor", "actor", "at"),
        Index("ix_audit_log_action", "action", "at"),
        Index("ix_audit_log_subject", "subject", "at"),
    )


class AuditSeal(Base):
    """A link of the chain: each entry's digest has the one before in it. Append-only by the same trigger."""

    __tablename__ = "audit_chain"
    __table_args__ = (CheckConstraint("octet_length(digest) = 32", name="digest_length"),)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # 1, 2, 3 …
    audit_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))


class ApiAccess(Base):
    """How often somebody called an endpoint within a minute, and with what answer."""

    __tablename__ = "api_access"

    minute: Mapped[datetime] = mapped_column(When, primary_key=True)
    actor: Mapped[str] = mapped_column(Text, primary_key=True)  # a user's id; '' for those nobody knows
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    endpoint: Mapped[str] = mapped_column(Text, primary_key=True)  # the rule, with <names> where ids were
    status: Mapped[int] = mapped_column(Integer, primary_key=True)
    ip: Mapped[str] = mapped_column(Text, primary_key=True)  # '' where it is not known
    count: Mapped[int] = mapped_column(BigInteger)
