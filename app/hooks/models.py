"""The tables of incoming webhooks. Read and written by SQL in this room; the classes here are their drawing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class Hook(Base):
    """An address that others call, with the secret they sign with; what comes in acts in its owner's name."""

    __tablename__ = "hooks"

    hook_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)  # /hooks/<slug>
    name: Mapped[str] = mapped_column(Text, server_default="")
    provider: Mapped[str] = mapped_column(Text, server_default="github")
    owner: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(
        Text
    )  # sealed, as is the one before, which counts until previous_until
    previous_secret: Mapped[str | None] = mapped_column(Text)
    previous_until: Mapped[datetime | None] = mapped_column(When)
    ip_allowlist: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}"
    )  # networks; empty: everybody
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    last_received_at: Mapped[datetime | None] = mapped_column(When)
    last_refused_at: Mapped[datetime | None] = mapped_column(When)
    last_refusal: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="slug"),
        CheckConstraint("provider IN ('github','standard','session')", name="provider"),
        Index("ix_hooks_owner", "owner"),
    )


class HookRule(Base):
    """What a delivery becomes: a job, a run of a workflow template, or a command to a session."""

    __tablename__ = "hook_rules"

    rule_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    hook_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("hooks.hook_id", ondelete="CASCADE"))
    place: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))  # push, pull_request.opened, issues.*, *
    conditions: Mapped[list[Any]] = mapped_column(
        JSONB, server_default="[]"
    )  # [{path, is, value}], all of them
    action: Mapped[dict[str, Any]] = mapped_column(JSONB)  # {kind: job | workflow | session, …}
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (Index("ix_hook_rules_hook", "hook_id", "place"),)


class HookDelivery(Base):
    """One webhook that came in, kept as it came, with what became of it."""

    __tablename__ = "hook_deliveries"

    delivery_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    # The cursor of the relay; given under a lock that is held until the commit, so that none appears behind it.
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=False), unique=True)
    hook_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("hooks.hook_id", ondelete="CASCADE"))
    external_id: Mapped[str] = mapped_column(
        Text
    )  # X-GitHub-Delivery or webhook-id: the same again is the same
    event: Mapped[str] = mapped_column(Text)  # pull_request.opened
    headers: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    body: Mapped[bytes] = mapped_column(LargeBinary)  # as it came, for the relay's signature
    status: Mapped[str] = mapped_column(
        Text
    )  # done: a rule took it; ignored: none did; failed: one could not
    results: Mapped[list[Any]] = mapped_column(
        JSONB, server_default="[]"
    )  # [{rule_id, name, job_id? …, error?}]
    times_received: Mapped[int] = mapped_column(Integer, server_default="1")
    replay_of: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    replayed_by: Mapped[str | None] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("status IN ('done','ignored','failed')", name="status"),
        Index(
            "uq_hook_deliveries_external",
            "hook_id",
            "external_id",
            unique=True,
            postgresql_where=text("replay_of IS NULL"),
        ),
        Index("ix_hook_deliveries_hook", "hook_id", "position"),
        Index("ix_hook_deliveries_received", "received_at"),
    )
