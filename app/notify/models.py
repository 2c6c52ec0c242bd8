"""The tables of notifications: what happened, who hears of it, and how each way to them went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class Notification(Base):
    """One thing that happened, as the inbox shows it; the same thing again counts up for a while."""

    __tablename__ = "notifications"

    notification_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    event: Mapped[str] = mapped_column(Text)  # job.completed, dead_letter, workflow.failed, …
    severity: Mapped[str] = mapped_column(Text, server_default="info")
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, server_default="")
    link: Mapped[str | None] = mapped_column(Text)  # a path of the dashboard
    audience: Mapped[str] = mapped_column(Text)  # a user's id, or `admins`
    subject_type: Mapped[str | None] = mapped_column(Text)  # job, workflow, schedule, approval, …
    subject_id: Mapped[str | None] = mapped_column(Text)
    group_key: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int] = mapped_column(Integer, server_default="1")
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("severity IN ('info','success','warning','error')", name="severity"),
        Index("ix_notifications_audience", "audience", "notification_id"),
        Index(
            "ix_notifications_group",
            "audience",
            "group_key",
            "created_at",
            postgresql_where=text("group_key IS NOT NULL"),
        ),
        Index("ix_notifications_created", "created_at"),
    )


class Read(Base):
    """Somebody has seen a notification, as far as it had counted."""

    __tablename__ = "notification_reads"

    notification_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("notifications.notification_id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class Delivery(Base):
    """One message on its way to one address; its id is the `webhook-id` by which a receiver knows it again."""

    __tablename__ = "deliveries"

    delivery_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    notification_id: Mapped[str | None] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("notifications.notification_id", ondelete="CASCADE"), index=True
    )
    endpoint_id: Mapped[str | None] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("webhook_endpoints.endpoint_id", ondelete="SET NULL"), index=True
    )
    event: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(
        Text
    )  # an address; for chats the name of the channel, never its secret
    lane: Mapped[str] = mapped_column(Text)  # who is called for it: a slow one must not hold up the others
    callback: Mapped[bool] = mapped_column(Boolean, server_default="false")  # signed with the owner's secret
    owner: Mapped[str | None] = mapped_column(Text)  # whose secret signs it, and who may look at it
    subject_type: Mapped[str | None] = mapped_column(Text)
    subject_id: Mapped[str | None] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    reason: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    retries: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # since it was last asked for
    next_at: Mapped[datetime | None] = mapped_column(When, server_default=func.now())
    lease_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    lease_until: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(When)

    __table_args__ = (
        CheckConstraint("channel IN ('email','chat','webhook')", name="channel"),
        CheckConstraint("status IN ('pending','delivered','failed','skipped')", name="status"),
        CheckConstraint("(status = 'pending') = (next_at IS NOT NULL)", name="pending_is_due"),
        Index("ix_deliveries_due", "next_at", postgresql_where=text("status = 'pending'")),
        Index("ix_deliveries_lane", "lane", "next_at", postgresql_where=text("status = 'pending'")),
        Index("ix_deliveries_subject", "subject_type", "subject_id"),
        Index("ix_deliveries_owner", "owner", "delivery_id"),
        Index("ix_deliveries_created", "created_at"),
    )


class DeliveryAttempt(Base):
    """One try to deliver, and what the other side said."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("deliveries.delivery_id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(Text)  # the beginning of what was answered


class Endpoint(Base):
    """A URL that hears of events, with the secret that signs what it is sent."""

    __tablename__ = "webhook_endpoints"

    endpoint_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    events: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # none: all
    secret: Mapped[str] = mapped_column(Text)
    previous_secret: Mapped[str | None] = mapped_column(Text)  # signs as well until `previous_until`
    previous_until: Mapped[datetime | None] = mapped_column(When)
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    failing_since: Mapped[datetime | None] = mapped_column(When)  # nothing got through since then
    owner: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class CallbackSecret(Base):
    """What signs the callbacks of one person's jobs and workflows."""

    __tablename__ = "callback_secrets"

    owner: Mapped[str] = mapped_column(Text, primary_key=True)
    secret: Mapped[str] = mapped_column(Text)
    previous_secret: Mapped[str | None] = mapped_column(Text)  # signs as well until `previous_until`
    previous_until: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class NotifyRule(Base):
    """Which event goes where besides the inbox."""

    __tablename__ = "notify_rules"

    rule_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    event: Mapped[str] = mapped_column(Text)  # an event, or `workflow.*`, or `*`
    channel: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)  # an e-mail address; for chats the name of a configured channel
    agent_id: Mapped[str | None] = mapped_column(Text)  # only of this agent
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (CheckConstraint("channel IN ('email','chat')", name="channel"),)
