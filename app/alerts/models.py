"""The tables of alerts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, DateTime, Float, Index, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class Alert(Base):
    """One time at which a watched figure was wrong: from when it was first seen until it was right again for long enough.

    What is wrong for a moment only has a row too, so that whoever looks next knows since when; it has no `raised_at`
    yet, nobody is shown it, and it goes as soon as the figure is right again.
    """

    __tablename__ = "alerts"

    alert_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text, server_default="")  # which of several: an agent, a pool, a job
    severity: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Float)  # the newest
    worst: Mapped[float | None] = mapped_column(Float)
    threshold: Mapped[float | None] = mapped_column(Float)
    wrong_since: Mapped[datetime] = mapped_column(When, server_default=func.now())
    raised_at: Mapped[datetime | None] = mapped_column(When)  # NULL: not yet wrong for long enough to be said
    seen_at: Mapped[datetime] = mapped_column(When, server_default=func.now())  # when it was last measured
    calm_since: Mapped[datetime | None] = mapped_column(When)  # right again, but not yet for long enough
    resolved_at: Mapped[datetime | None] = mapped_column(When)
    acknowledged_at: Mapped[datetime | None] = mapped_column(When)
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    told_at: Mapped[datetime | None] = mapped_column(When)  # when somebody was last told of it

    __table_args__ = (
        CheckConstraint("severity IN ('info','warning','critical')", name="severity"),
        CheckConstraint("raised_at IS NOT NULL OR resolved_at IS NULL", name="resolved_was_raised"),
        Index("uq_alerts_open", "rule", "subject", unique=True, postgresql_where=text("resolved_at IS NULL")),
        Index("ix_alerts_raised", "raised_at"),
    )


class AlertRule(Base):
    """What an admin changed of a rule; a rule without a row is as the code has it."""

    __tablename__ = "alert_rules"

    rule: Mapped[str] = mapped_column(Text, primary_key=True)
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    threshold: Mapped[float | None] = mapped_column(Float)
    updated_by: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
