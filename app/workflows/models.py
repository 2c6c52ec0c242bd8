"""The tables of workflows. Read and written by SQL in this room; the classes here are their drawing."""

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


class Workflow(Base):
    """One run of a workflow: the definition as it was, where it is, what came out."""

    __tablename__ = "workflows"

    workflow_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)  # a snapshot; templates change, runs do not
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    status: Mapped[str] = mapped_column(Text, server_default="running")
    status_reason: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # {step_id, type, message}
    output: Mapped[Any | None] = mapped_column(JSONB)
    external_key: Mapped[str | None] = mapped_column(Text)  # the caller's own name of it
    template_name: Mapped[str | None] = mapped_column(Text)
    template_version: Mapped[int | None] = mapped_column(Integer)
    submitted_by: Mapped[str] = mapped_column(Text)
    priority_rank: Mapped[int] = mapped_column(SmallInteger, server_default="2")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    correlation_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)  # W3C: the span in which it was started
    notify: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # {callback_url?, emails?}
    schedule_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    session_id: Mapped[str | None] = mapped_column(Text)  # the session that hears of its end
    parent_workflow_id: Mapped[str | None] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("workflows.workflow_id", ondelete="CASCADE")
    )
    parent_step_id: Mapped[str | None] = mapped_column(Text)
    depth: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    retry_of_workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    round: Mapped[int] = mapped_column(SmallInteger, server_default="1")  # 2 after `retry_workflow`
    total_steps: Mapped[int] = mapped_column(Integer)
    completed_steps: Mapped[int] = mapped_column(Integer, server_default="0")
    submitted_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    paused_at: Mapped[datetime | None] = mapped_column(When)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(When)
    finished_at: Mapped[datetime | None] = mapped_column(When)
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")

    __table_args__ = (
        CheckConstraint("status IN ('running','paused','completed','failed','cancelled')", name="status"),
        CheckConstraint(
            "(status IN ('completed','failed','cancelled')) = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        CheckConstraint("priority_rank BETWEEN 0 AND 3", name="priority"),
        Index("ix_workflows_owner", "submitted_by", "workflow_id"),
        Index("ix_workflows_status", "status", "workflow_id"),
        Index(
            "ix_workflows_parent",
            "parent_workflow_id",
            postgresql_where=text("parent_workflow_id IS NOT NULL"),
        ),
        Index(
            "ix_workflows_schedule",
            "schedule_id",
            "workflow_id",
            postgresql_where=text("schedule_id IS NOT NULL"),
        ),
        Index(
            "ix_workflows_template",
            "template_name",
            "workflow_id",
            postgresql_where=text("template_name IS NOT NULL"),
        ),
        Index(
            "ix_workflows_external_key",
            "external_key",
            "workflow_id",
            postgresql_where=text("external_key IS NOT NULL"),
        ),
    )


class Step(Base):
    """One step of a run. Steps with agents are jobs; the others hold no worker at all."""

    __tablename__ = "workflow_steps"

    workflow_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("workflows.workflow_id", ondelete="CASCADE"), primary_key=True
    )
    step_id: Mapped[str] = mapped_column(Text, primary_key=True)  # unique in the run; `resize[3]` of a map
    position: Mapped[int] = mapped_column(Integer)  # the order of the definition, depth first
    kind: Mapped[str] = mapped_column(Text)
    parent_step_id: Mapped[str | None] = mapped_column(Text)  # the parallel, map, branch or sequence it is in
    case_index: Mapped[int | None] = mapped_column(Integer)  # which case of a branch; -1 is the default
    item_index: Mapped[int | None] = mapped_column(Integer)
    item: Mapped[Any | None] = mapped_column(JSONB)
    depends_on: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)  # its own keys, without its inner steps
    status: Mapped[str] = mapped_column(Text, server_default="waiting")
    status_reason: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # {type, class, message}
    job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    child_workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    approval_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    output: Mapped[Any | None] = mapped_column(JSONB)
    kept: Mapped[bool] = mapped_column(Boolean, server_default="false")  # finished in the run it repeats
    round: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    started_at: Mapped[datetime | None] = mapped_column(When)
    finished_at: Mapped[datetime | None] = mapped_column(When)

    __table_args__ = (
        CheckConstraint(
            "kind IN ('agent','parallel','map','branch','sequence','workflow','approval')", name="kind"
        ),
        CheckConstraint(
            "status IN ('waiting','running','awaiting_input','completed','failed','skipped','cancelled')",
            name="status",
        ),
        CheckConstraint(
            "(status IN ('completed','failed','skipped','cancelled')) = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        # A job serves one step of one run, however often somebody asks.
        Index(
            "uq_workflow_steps_job",
            "job_id",
            unique=True,
            postgresql_where=text("job_id IS NOT NULL AND NOT kept"),
        ),
    )


class Template(Base):
    """A definition that people run again and again, under a name."""

    __tablename__ = "workflow_templates"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)  # NULL: shipped with the product
    visibility: Mapped[str] = mapped_column(Text, server_default="private")
    current_version: Mapped[int] = mapped_column(Integer)
    archived_at: Mapped[datetime | None] = mapped_column(When)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (
        CheckConstraint("visibility IN ('private','shared')", name="visibility"),
        Index("ix_workflow_templates_owner", "owner"),
    )


class TemplateVersion(Base):
    """One numbered version of a template; it never changes."""

    __tablename__ = "workflow_template_versions"

    name: Mapped[str] = mapped_column(
        Text, ForeignKey("workflow_templates.name", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    source: Mapped[str] = mapped_column(Text)  # as somebody typed it, YAML or JSON
    note: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
