"""The tables of agents: what can be run, its versions, and its limits as rows that claims take."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Computed,
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


class Agent(Base):
    """What can be run: the current definition of one agent and its limits."""

    __tablename__ = "agents"

    agent_id: Mapped[str] = mapped_column(Text, primary_key=True)
    agent_name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    team: Mapped[str] = mapped_column(Text)
    pool: Mapped[str] = mapped_column(Text)
    runner: Mapped[str] = mapped_column(Text)
    runner_config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    schema: Mapped[dict[str, Any]] = mapped_column(JSONB)
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    example: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    instructions: Mapped[str] = mapped_column(Text)
    extra: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    max_concurrent_tasks: Mapped[int | None] = mapped_column(Integer)
    rate_limit: Mapped[str | None] = mapped_column(Text)
    retry_strategy: Mapped[str] = mapped_column(Text, server_default="exponential")
    max_retries: Mapped[int] = mapped_column(Integer, server_default="3")
    timeout_seconds: Mapped[int | None] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean, server_default="true")
    source: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    health_status: Mapped[str | None] = mapped_column(Text)
    health_reason: Mapped[str | None] = mapped_column(Text)
    health_at: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    budget: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # of each job: {usd?, tokens?, minutes?}
    watchdog: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # {mode, stall_seconds, repeats}
    providers: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # its own chain; NULL: the common order
    budgeted: Mapped[bool] = mapped_column(Boolean, server_default="false")  # a shared budget covers it
    effects: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # what policies ask about
    aliases: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")  # other names it answers to
    # Limits that an admin set: they outlive new versions of the file.
    configured: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    # Gated agents' jobs wait in a lane of their own; the others cost a claim nothing extra. Agents that need a
    # provider are always gated: they can be put on hold without touching a single job.
    gated: Mapped[bool] = mapped_column(
        Boolean,
        Computed(
            "(NOT enabled OR budgeted OR max_concurrent_tasks IS NOT NULL OR rate_limit IS NOT NULL"
            " OR runner IN ('llm','cli','pipeline'))",
            persisted=True,
        ),
    )

    __table_args__ = (
        CheckConstraint("agent_id ~ '^[a-z0-9-]+$'", name="agent_id"),
        CheckConstraint("max_concurrent_tasks IS NULL OR max_concurrent_tasks > 0", name="max_concurrent"),
        CheckConstraint("retry_strategy IN ('exponential','linear','fixed')", name="retry_strategy"),
        CheckConstraint("max_retries BETWEEN 0 AND 10", name="max_retries"),
    )


class AgentVersion(Base):
    """One definition an agent had, found by the hash of its content; never changed."""

    __tablename__ = "agent_versions"

    agent_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    definition: Mapped[str] = mapped_column(Text)
    overlay: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB
    )  # our keys, where the file may not be touched
    origin: Mapped[str | None] = mapped_column(Text)  # where it came from: a path, "builtin", an importer
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class AgentProblem(Base):
    """What is wrong with a definition in a folder that is read at start; rewritten by every preparation."""

    __tablename__ = "agent_problems"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    agent_id: Mapped[str | None] = mapped_column(Text)
    line: Mapped[int | None] = mapped_column(Integer)
    pointer: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class AgentSlot(Base):
    """One of the jobs an agent may run at once; a claim takes a free one, a settle frees it."""

    __tablename__ = "agent_slots"

    agent_id: Mapped[str] = mapped_column(
        Text, ForeignKey("agents.agent_id", ondelete="CASCADE"), primary_key=True
    )
    slot: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))

    __table_args__ = (
        Index("ix_agent_slots_free", "agent_id", "slot", postgresql_where=text("job_id IS NULL")),
        Index("uq_agent_slots_job", "job_id", unique=True, postgresql_where=text("job_id IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "50"}},
    )


class AgentRate(Base):
    """An agent's token bucket; a claim takes one token in its own transaction."""

    __tablename__ = "agent_rates"

    agent_id: Mapped[str] = mapped_column(
        Text, ForeignKey("agents.agent_id", ondelete="CASCADE"), primary_key=True
    )
    per_second: Mapped[float] = mapped_column(Float)
    burst: Mapped[float] = mapped_column(Float)
    tokens: Mapped[float] = mapped_column(Float)
    refilled_at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class AgentHold(Base):
    """Why an agent's jobs are not claimed for now: its providers are paused, or a budget is spent."""

    __tablename__ = "agent_holds"

    agent_id: Mapped[str] = mapped_column(
        Text, ForeignKey("agents.agent_id", ondelete="CASCADE"), primary_key=True
    )
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True, server_default="")  # the budget or provider
    message: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime | None] = mapped_column(When)  # NULL: until somebody lifts it
    since: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (CheckConstraint("code IN ('provider_open','budget')", name="code"),)
