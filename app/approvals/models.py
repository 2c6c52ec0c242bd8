"""The table of questions to people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Index, Text, Uuid, func, text
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
    question: Mapped[str] = mapped_column(Text)
    shown: Mapped[Any | None] = mapped_column(JSONB)  # what the person looks at, as JSON
    form: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # JSON Schema of what they may fill in
    approvers: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}"
    )  # roles, e-mails; none: owner
    requested_by: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default="open")
    deadline_at: Mapped[datetime | None] = mapped_column(When)
    on_timeout: Mapped[str] = mapped_column(Text, server_default="reject")
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    comment: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[str | None] = mapped_column(Text)
    answered_at: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("status IN ('open','approved','rejected','expired','cancelled')", name="status"),
        CheckConstraint("on_timeout IN ('approve','reject')", name="on_timeout"),
        CheckConstraint("(status = 'open') = (answered_at IS NULL)", name="answered"),
        CheckConstraint("workflow_id IS NOT NULL OR job_id IS NOT NULL", name="of_something"),
        Index("ix_approvals_open", "deadline_at", postgresql_where=text("status = 'open'")),
        Index("ix_approvals_asked", "requested_by", "approval_id"),
        Index("ix_approvals_workflow", "workflow_id", "step_id"),
    )
