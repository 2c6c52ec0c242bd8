"""The tables of schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
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


class Schedule(Base):
    """When an agent or a workflow is submitted by itself, and how it stands."""

    __tablename__ = "schedules"

    schedule_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    agent_id: Mapped[str | None] = mapped_column(Text, ForeignKey("agents.agent_id", ondelete="SET NULL"))
    template_name: Mapped[str | None] = mapped_column(Text)
    template_version: Mapped[int | None] = mapped_column(Integer)  # NULL: the current one of each time
    definition: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # a workflow of its own
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")  # or the workflow's inputs
    options: Mapped[dict[str, Any]] = mapped_column(
        JSONB, server_default="{}"
    )  # of each job: timeout, tags, …
    priority_rank: Mapped[int] = mapped_column(SmallInteger, server_default="2")
    schedule_type: Mapped[str] = mapped_column(Text)
    cron_expression: Mapped[str | None] = mapped_column(Text)
    execute_at: Mapped[datetime | None] = mapped_column(When)
    timezone: Mapped[str] = mapped_column(Text, server_default="UTC")
    jitter_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    misfire: Mapped[str] = mapped_column(Text, server_default="run_once")
    grace_seconds: Mapped[int] = mapped_column(Integer, server_default="60")
    overlap: Mapped[str] = mapped_column(Text, server_default="allow")
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    ended: Mapped[str | None] = mapped_column(Text)  # of a one-time schedule: fired, missed; cancelled of any
    next_fire_at: Mapped[datetime | None] = mapped_column(When)
    last_slot_at: Mapped[datetime | None] = mapped_column(When)
    last_fired_at: Mapped[datetime | None] = mapped_column(When)
    last_job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    last_workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    submitted_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")

    __table_args__ = (
        CheckConstraint("schedule_type IN ('one_time','recurring')", name="type"),
        CheckConstraint(
            "(schedule_type = 'recurring') = (cron_expression IS NOT NULL)"
            " AND (schedule_type = 'one_time') = (execute_at IS NOT NULL)",
            name="has_its_time",
        ),
        CheckConstraint("misfire IN ('run_once','skip','all')", name="misfire"),
        CheckConstraint("overlap IN ('allow','skip','queue')", name="overlap"),
        CheckConstraint("ended IN ('fired','missed','cancelled')", name="ended"),
        CheckConstraint("priority_rank BETWEEN 0 AND 3", name="priority"),
        CheckConstraint("num_nonnulls(agent_id, template_name, definition) <= 1", name="one_target"),
        Index(
            "ix_schedules_due",
            "next_fire_at",
            postgresql_where=text("enabled AND ended IS NULL AND next_fire_at IS NOT NULL"),
        ),
        Index("ix_schedules_owner", "submitted_by", "schedule_id"),
    )


class Fire(Base):
    """What became of one time of a schedule; the key is why none fires twice."""

    __tablename__ = "schedule_fires"

    schedule_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("schedules.schedule_id", ondelete="CASCADE"), primary_key=True
    )
    slot_at: Mapped[datetime] = mapped_column(When, primary_key=True)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    manual: Mapped[bool] = mapped_column(Boolean, server_default="false")
    job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))

    __table_args__ = (
        CheckConstraint("outcome IN ('fired','queued','skipped','missed','failed')", name="outcome"),
        Index(
            "ix_schedule_fires_queued",
            "schedule_id",
            "slot_at",
            postgresql_where=text("outcome = 'queued'"),
        ),
        Index("ix_schedule_fires_at", "at"),
    )
