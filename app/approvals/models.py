"""The tables of questions to people: the questions, the links that answer them, the policies that ask them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class Approval(Base):
    """One question, what it shows, who may answer until when, and the answer."""

    __tablename__ = "approvals"

    approval_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    step_id: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    kind: Mapped[str] = mapped_column(Text, server_default="step")
    fence: Mapped[int | None] = mapped_column(BigInteger)  # the attempt of job_id that asked
    digest: Mapped[str | None] = mapped_column(
        Text
    )  # of all that was asked: an answer holds for nothing else
    draft_number: Mapped[int | None] = mapped_column(Integer)
    policy_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    question: Mapped[str] = mapped_column(Text)
    shown: Mapped[Any | None] = mapped_column(JSONB)  # what the person looks at, as JSON
    form: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # JSON Schema of what they may fill in
    options: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{approve,reject}")
    editable: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB
    )  # {text} or {value}: what "edit" begins with
    approvers: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}"
    )  # roles, e-mails; none: owner
    requested_by: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default="open")
    deadline_at: Mapped[datetime | None] = mapped_column(When)
    on_timeout: Mapped[str] = mapped_column(Text, server_default="reject")
    escalate_at: Mapped[datetime | None] = mapped_column(When)
    escalate_to: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    escalated_at: Mapped[datetime | None] = mapped_column(When)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    edited: Mapped[Any | None] = mapped_column(JSONB)  # what the person made of `editable`; only if approved
    comment: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[str | None] = mapped_column(Text)
    answered_at: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint(
            "status IN ('open','approved','rejected','sent_back','expired','cancelled')", name="status"
        ),
        CheckConstraint("kind IN ('step','agent','gate','policy')", name="kind"),
        CheckConstraint("edited IS NULL OR status = 'approved'", name="edited_is_approved"),
        CheckConstraint("on_timeout IN ('approve','reject')", name="on_timeout"),
        CheckConstraint("(status = 'open') = (answered_at IS NULL)", name="answered"),
        CheckConstraint("workflow_id IS NOT NULL OR job_id IS NOT NULL", name="of_something"),
        Index("ix_approvals_open", "deadline_at", postgresql_where=text("status = 'open'")),
        Index("ix_approvals_asked", "requested_by", "approval_id"),
        Index("ix_approvals_workflow", "workflow_id", "step_id"),
        # A job waits for one answer at a time.
        Index(
            "uq_approvals_job_open",
            "job_id",
            unique=True,
            postgresql_where=text("status = 'open' AND job_id IS NOT NULL"),
        ),
        Index("ix_approvals_job", "job_id", postgresql_where=text("job_id IS NOT NULL")),
        Index(
            "ix_approvals_escalate",
            "escalate_at",
            postgresql_where=text("status = 'open' AND escalate_at IS NOT NULL AND escalated_at IS NULL"),
        ),
    )


class Link(Base):
    """A link by which one question may be answered once, without logging in; only its hash is kept."""

    __tablename__ = "approval_links"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    approval_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("approvals.approval_id", ondelete="CASCADE"), index=True
    )
    email: Mapped[str] = mapped_column(Text)  # whose answer it is
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(When)
    used_at: Mapped[datetime | None] = mapped_column(When)


class Policy(Base):
    """A rule by which jobs ask a person before they go on, whatever their agent is."""

    __tablename__ = "approval_policies"

    policy_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    agents: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # none: any
    teams: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # none: any
    effects: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # what agents say they do
    over_usd: Mapped[float | None] = mapped_column(Float)
    question: Mapped[str | None] = mapped_column(Text)
    approvers: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{admin}")
    deadline_minutes: Mapped[int | None] = mapped_column(Integer)
    on_timeout: Mapped[str] = mapped_column(Text, server_default="reject")
    escalate_minutes: Mapped[int | None] = mapped_column(Integer)
    escalate_to: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("on_timeout IN ('approve','reject')", name="on_timeout"),
        CheckConstraint("over_usd > 0", name="over_usd"),
    )
