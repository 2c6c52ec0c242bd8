"""The tables of quality gates: the gates with a name, and each draft with what the checks said of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
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


class NamedGate(Base):
    """A gate that agents name; every change is a new version, the newest holds."""

    __tablename__ = "quality_gates"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    note: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(Text)  # None: it came with Callboard
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(When)


class Draft(Base):
    """One draft of one job, and what its gate said of it; a draft without a report is still to be judged."""

    __tablename__ = "drafts"

    job_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)  # the attempt that made it
    source: Mapped[str] = mapped_column(Text, server_default="agent")
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)  # the agent's result as it was then
    model: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float | None] = mapped_column(Float)  # that making it took
    made_at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))
    score: Mapped[float | None] = mapped_column(Float)
    threshold: Mapped[float | None] = mapped_column(Float)
    verdict: Mapped[str | None] = mapped_column(Text)
    # {score, threshold, verdict, issues, feedback, checks: [...], gate: {name?, version?}}
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    judged_at: Mapped[datetime | None] = mapped_column(When)

    __table_args__ = (
        CheckConstraint("source IN ('agent','person')", name="source"),
        CheckConstraint("verdict IN ('passed','revise','needs_review','rejected')", name="verdict"),
        CheckConstraint("(report IS NULL) = (judged_at IS NULL)", name="judged"),
        Index("ix_drafts_made", "made_at"),
    )
