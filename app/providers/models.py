"""The tables of providers: what can be asked, in which order, and how it is doing."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Text,
    Uuid,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)
Price = Numeric(14, 6)


class Provider(Base):
    """An LLM service: where it is, in which order it is asked, its pools and its breaker."""

    __tablename__ = "providers"

    provider_id: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    base_url: Mapped[str] = mapped_column(Text)
    key_name: Mapped[str | None] = mapped_column(
        Text
    )  # the variable of the workers' environment with the key
    model: Mapped[str] = mapped_column(Text)
    billing: Mapped[str] = mapped_column(Text, server_default="api")
    demo: Mapped[bool] = mapped_column(Boolean, server_default="false")
    position: Mapped[int | None] = mapped_column(Integer)  # in the common order; NULL: only for who names it
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    source: Mapped[str] = mapped_column(Text, server_default="settings")
    admin_set: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}"
    )  # columns no start fills again

    # Pools, shared by all workers; NULL means no limit.
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    tokens_per_minute: Mapped[int | None] = mapped_column(Integer)
    max_concurrent: Mapped[int | None] = mapped_column(Integer)
    request_room: Mapped[float | None] = mapped_column(Float)
    token_room: Mapped[float | None] = mapped_column(Float)
    refilled_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    # The breaker.
    state: Mapped[str] = mapped_column(Text, server_default="closed")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    trips: Mapped[int] = mapped_column(Integer, server_default="0")  # in a row; each doubles the pause
    opened_at: Mapped[datetime | None] = mapped_column(When)
    open_until: Mapped[datetime | None] = mapped_column(When)
    error_class: Mapped[str | None] = mapped_column(Text)
    last_error: Mapped[str | None] = mapped_column(Text)
    recent_failures: Mapped[list[datetime]] = mapped_column(ARRAY(When), server_default="{}")
    last_failed_at: Mapped[datetime | None] = mapped_column(When)
    last_ok_at: Mapped[datetime | None] = mapped_column(When)
    # It takes calls again: until then the jobs that are held for it are called, again and again, so that none
    # slips through that was being put away just then.
    lift_until: Mapped[datetime | None] = mapped_column(When)

    # What a worker found when it looked.
    health_status: Mapped[str | None] = mapped_column(Text)
    health_reason: Mapped[str | None] = mapped_column(Text)
    health_at: Mapped[datetime | None] = mapped_column(When)
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("provider_id ~ '^[a-z0-9-]+$'", name="provider_id"),
        CheckConstraint("kind IN ('openai','anthropic')", name="kind"),
        CheckConstraint("billing IN ('api','subscription','local')", name="billing"),
        CheckConstraint("state IN ('closed','open','half_open')", name="state"),
        CheckConstraint("(state = 'closed') = (opened_at IS NULL)", name="open_since"),
        CheckConstraint(
            "coalesce(requests_per_minute, 1) > 0 AND coalesce(tokens_per_minute, 1) > 0 AND coalesce(max_concurrent, 1) > 0",
            name="pools",
        ),
        {"postgresql_with": {"fillfactor": "50"}},
    )


class ProviderPass(Base):
    """One call in flight: a place in the provider's concurrency, or the probe of a half-open breaker."""

    __tablename__ = "provider_passes"

    pass_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    provider_id: Mapped[str] = mapped_column(Text, ForeignKey("providers.provider_id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    fence: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[int] = mapped_column(Integer, server_default="0")  # the estimate taken from the pool
    probe: Mapped[bool] = mapped_column(Boolean, server_default="false")
    entered_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(When)  # a dead worker's place comes free by itself

    __table_args__ = (Index("ix_provider_passes_provider", "provider_id", "expires_at"),)


class PriceRow(Base):
    """A price of our own for one model from one day on; it wins over the list that came with the library."""

    __tablename__ = "prices"

    provider_id: Mapped[str] = mapped_column(Text, primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    valid_from: Mapped[date] = mapped_column(Date, primary_key=True)
    # US dollars for a million tokens.
    input_usd: Mapped[Decimal] = mapped_column(Price)
    output_usd: Mapped[Decimal] = mapped_column(Price)
    cache_read_usd: Mapped[Decimal | None] = mapped_column(Price)
    cache_write_usd: Mapped[Decimal | None] = mapped_column(Price)
    changed_by: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
