"""The tables of budgets: the ledger of what was used, the limits, and what is set aside for running jobs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)
Amount = Numeric(20, 8)


class UsageEvent(Base):
    """A little of what one model call used; the rows of one call add up to it. Append-only, outlives the job."""

    __tablename__ = "usage_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    fence: Mapped[int] = mapped_column(BigInteger)
    call_id: Mapped[str] = mapped_column(Text)
    part: Mapped[int] = mapped_column(Integer)  # 1, 2, … of the call: writing one twice is no second cost
    agent_id: Mapped[str] = mapped_column(Text)
    team: Mapped[str] = mapped_column(Text)
    submitted_by: Mapped[str] = mapped_column(Text)
    schedule_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    provider: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost_usd: Mapped[Decimal | None] = mapped_column(Amount)
    cost_status: Mapped[str] = mapped_column(Text)
    billing: Mapped[str] = mapped_column(Text)
    price_version: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("cost_status IN ('reported','derived','unpriced','unaccounted')", name="cost_status"),
        CheckConstraint("billing IN ('api','subscription','local')", name="billing"),
        CheckConstraint(
            "(cost_status IN ('reported','derived')) = (cost_usd IS NOT NULL)", name="priced_has_cost"
        ),
        Index("uq_usage_events_part", "job_id", "fence", "call_id", "part", unique=True),
        Index("ix_usage_events_at", "at"),
        Index("ix_usage_events_agent", "agent_id", "at"),
        Index("ix_usage_events_team", "team", "at"),
        Index(
            "ix_usage_events_schedule", "schedule_id", "at", postgresql_where=text("schedule_id IS NOT NULL")
        ),
    )


class Budget(Base):
    """How much may be used by whom in which time; one row is locked to take from it."""

    __tablename__ = "budgets"

    budget_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)  # the agent, team or schedule; NULL for global
    unit: Mapped[str] = mapped_column(Text)
    limit_amount: Mapped[Decimal] = mapped_column(Amount)
    period: Mapped[str] = mapped_column(Text)
    rolling_days: Mapped[int | None] = mapped_column(Integer)
    warn_ratio: Mapped[Decimal] = mapped_column(Numeric(4, 3), server_default="0.8")
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")

    spent: Mapped[Decimal] = mapped_column(Amount, server_default="0")
    period_start: Mapped[datetime] = mapped_column(When, server_default=func.now())
    warned_at: Mapped[datetime | None] = mapped_column(When)
    stopped_at: Mapped[datetime | None] = mapped_column(When)  # new work is held since
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("scope IN ('agent','schedule','team','global')", name="scope"),
        CheckConstraint("(scope = 'global') = (subject IS NULL)", name="subject"),
        CheckConstraint("unit IN ('usd','tokens','minutes','runs')", name="unit"),
        CheckConstraint("period IN ('total','day','month','rolling')", name="period"),
        CheckConstraint("(period = 'rolling') = (rolling_days IS NOT NULL)", name="rolling"),
        CheckConstraint("limit_amount > 0", name="limit"),
        CheckConstraint("warn_ratio > 0 AND warn_ratio <= 1", name="warn"),
        Index("ix_budgets_subject", "scope", "subject"),
        {"postgresql_with": {"fillfactor": "50"}},
    )


class Reservation(Base):
    """What one running attempt has taken from a budget and not yet used."""

    __tablename__ = "budget_reservations"

    budget_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("budgets.budget_id", ondelete="CASCADE"), primary_key=True
    )
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Amount)
    at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (Index("ix_budget_reservations_job", "job_id", "fence"),)
