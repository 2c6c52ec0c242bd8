"""The tables of jobs. Read and written by SQL in this room; the classes here are their drawing."""

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
    Identity,
    Index,
    Integer,
    LargeBinary,
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
WAITING_SQL = "status IN ('pending','queued','retry')"


class Job(Base):
    """One run of one agent: what was asked for, where it is, what came out."""

    __tablename__ = "jobs"

    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    agent_id: Mapped[str] = mapped_column(Text, ForeignKey("agents.agent_id"))
    agent_version: Mapped[str | None] = mapped_column(Text)
    pool: Mapped[str] = mapped_column(Text)
    lane: Mapped[str | None] = mapped_column(Text)  # the agent's id while the agent has limits, else NULL
    status: Mapped[str] = mapped_column(Text)
    status_reason: Mapped[str | None] = mapped_column(Text)
    priority_rank: Mapped[int] = mapped_column(SmallInteger, server_default="2")
    run_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    task_name: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    notify: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    submitted_by: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)  # W3C: the span in which it was submitted
    retry_of_job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    replay_of_job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    pinned: Mapped[bool] = mapped_column(
        Boolean, server_default="false"
    )  # to agent_version, whatever is newer
    budgeted: Mapped[bool] = mapped_column(
        Boolean, server_default="false"
    )  # a shared budget covered it when claimed
    schedule_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    workflow_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    step_id: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[str | None] = mapped_column(Text)  # the session that wants to hear of it
    parent_job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))  # the job that handed it out
    depth: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # how many jobs are above it
    child_key: Mapped[str | None] = mapped_column(
        Text
    )  # the parent hands out one job under it, however often it asks

    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    lease_expires_at: Mapped[datetime | None] = mapped_column(When)
    worker_id: Mapped[str | None] = mapped_column(Text)
    process_id: Mapped[int | None] = mapped_column(Integer)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(When)
    retry_count: Mapped[int] = mapped_column(Integer, server_default="0")
    lost_count: Mapped[int] = mapped_column(Integer, server_default="0")
    released_count: Mapped[int] = mapped_column(Integer, server_default="0")
    max_retries: Mapped[int] = mapped_column(Integer, server_default="3")

    stage: Mapped[str | None] = mapped_column(Text)
    progress: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    current_step: Mapped[str | None] = mapped_column(Text)
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    stack_trace: Mapped[str | None] = mapped_column(Text)
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # What the watchdog last saw: {state: ok | stalled | looping, since, last}.
    watchdog: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    verdict: Mapped[str | None] = mapped_column(Text)  # what its quality gate said of the result
    quality_score: Mapped[float | None] = mapped_column(Float)  # 0-10, of the draft that the result holds
    headline: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB
    )  # what lists show of the result: {text, url}
    asked_at: Mapped[datetime | None] = mapped_column(When)  # since when it waits for a person
    asked_seconds: Mapped[float] = mapped_column(Float, server_default="0")  # how long it did, before

    submitted_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    queued_at: Mapped[datetime | None] = mapped_column(When)
    started_at: Mapped[datetime | None] = mapped_column(When)
    finished_at: Mapped[datetime | None] = mapped_column(When)
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")

    __table_args__ = (
        CheckConstraint(
            "status IN ('pending','queued','running','awaiting_input','retry','completed','failed','cancelled')",
            name="status",
        ),
        CheckConstraint("(parent_job_id IS NULL) = (depth = 0)", name="depth_of_parent"),
        CheckConstraint("priority_rank BETWEEN 0 AND 3", name="priority"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint(
            "(status IN ('completed','failed','cancelled')) = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        CheckConstraint(
            "(status = 'running') = (lease_id IS NOT NULL AND lease_expires_at IS NOT NULL AND worker_id IS NOT NULL)",
            name="running_is_leased",
        ),
        CheckConstraint("(status = 'awaiting_input') = (asked_at IS NOT NULL)", name="asked_since"),
        CheckConstraint("verdict IN ('passed','needs_review','rejected')", name="verdict"),
        CheckConstraint("quality_score BETWEEN 0 AND 10", name="quality_score"),
        CheckConstraint("status <> 'completed' OR result IS NOT NULL", name="completed_has_result"),
        CheckConstraint("status <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        # The claim reads these two and nothing else; both hold waiting jobs only.
        Index(
            "ix_jobs_free",
            "pool",
            "priority_rank",
            "run_at",
            "job_id",
            postgresql_where=text(f"{WAITING_SQL} AND lane IS NULL"),
        ),
        Index(
            "ix_jobs_lane",
            "lane",
            "priority_rank",
            "run_at",
            "job_id",
            postgresql_where=text(f"{WAITING_SQL} AND lane IS NOT NULL"),
        ),
        Index("ix_jobs_waiting", "pool", "priority_rank", "run_at", postgresql_where=text(WAITING_SQL)),
        Index(
            "ix_jobs_suspects", "worker_id", postgresql_where=text("status = 'running' AND lost_count >= 2")
        ),
        Index("ix_jobs_not_due", "run_at", postgresql_where=text("status IN ('pending','retry')")),
        # Ids are UUIDv7: their order is the order of submission, so lists need no index by time.
        Index("ix_jobs_owner", "submitted_by", "job_id"),
        Index("ix_jobs_owner_status", "submitted_by", "status", "job_id"),
        Index("ix_jobs_error", "job_id", postgresql_where=text("error IS NOT NULL")),
        Index("ix_jobs_status", "status", "job_id"),
        Index("ix_jobs_agent", "agent_id", "job_id"),
        Index("ix_jobs_verdict", "verdict", "job_id", postgresql_where=text("verdict IS NOT NULL")),
        Index("ix_jobs_workflow", "workflow_id", postgresql_where=text("workflow_id IS NOT NULL")),
        Index("ix_jobs_replay_of", "replay_of_job_id", postgresql_where=text("replay_of_job_id IS NOT NULL")),
        Index("ix_jobs_schedule", "schedule_id", "job_id", postgresql_where=text("schedule_id IS NOT NULL")),
        Index("ix_jobs_retry_of", "retry_of_job_id", postgresql_where=text("retry_of_job_id IS NOT NULL")),
        Index("ix_jobs_session", "session_id", "job_id", postgresql_where=text("session_id IS NOT NULL")),
        Index("ix_jobs_parent", "parent_job_id", postgresql_where=text("parent_job_id IS NOT NULL")),
        Index(
            "uq_jobs_child_key",
            "parent_job_id",
            "child_key",
            unique=True,
            postgresql_where=text("child_key IS NOT NULL"),
        ),
        Index("ix_jobs_tags", "tags", postgresql_using="gin", postgresql_where=text("tags <> '{}'")),
        # Waiting rows are updated often and must not bloat the claim's indexes.
        {"postgresql_with": {"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.02"}},
    )


class Attempt(Base):
    """One execution of a job, by one worker, under one fence."""

    __tablename__ = "job_attempts"

    job_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True
    )
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    worker_id: Mapped[str] = mapped_column(Text)
    agent_version: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    ended_at: Mapped[datetime | None] = mapped_column(When)
    outcome: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    delay_seconds: Mapped[float | None] = mapped_column(Float)
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    # What it ran with: {provider, model, cli_version, session_id}.
    pins: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended_has_outcome"),
        CheckConstraint(
            "outcome IN ('completed','failed','timeout','cancelled','lost','released','asked')",
            name="outcome",
        ),
        # Two owners of one job are impossible, whatever the code does.
        Index("uq_job_attempts_open", "job_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_job_attempts_open_worker", "worker_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_job_attempts_worker", "worker_id", "started_at"),
    )


class Move(Base):
    """One change of status, written by the trigger in the same transaction; append-only."""

    __tablename__ = "job_history"

    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))
    from_status: Mapped[str | None] = mapped_column(Text)
    to_status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    fence: Mapped[int] = mapped_column(BigInteger)
    worker_id: Mapped[str | None] = mapped_column(Text)

    # Rows come in the order of their times: what the audit's export and retention read costs next to nothing to keep.
    __table_args__ = (Index("ix_job_history_at", "at", postgresql_using="brin"),)


class Entry(Base):
    """One line of a job's log, or one event (progress, stage, quality, complete)."""

    __tablename__ = "job_events"

    # No foreign key: it would lock the job's row for each batch of lines; upkeep.purge removes both.
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(When)
    kind: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Outcome(Base):
    """One finished job, for figures over time; outlives the job (JOB-12)."""

    __tablename__ = "task_history"

    history_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    agent_id: Mapped[str] = mapped_column(Text)
    submitted_by: Mapped[str] = mapped_column(Text)
    priority_rank: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(Text)
    wait_seconds: Mapped[float | None] = mapped_column(Float)
    duration_seconds: Mapped[float | None] = mapped_column(Float)
    error_type: Mapped[str | None] = mapped_column(Text)
    completed_at: Mapped[datetime] = mapped_column(When)

    __table_args__ = (
        Index("ix_task_history_agent", "agent_id", "completed_at"),
        Index("ix_task_history_completed", "completed_at"),
    )


class DeadLetter(Base):
    """A job that ended failed, with all that is needed to understand it and to try again."""

    __tablename__ = "dead_letters"

    dlq_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), unique=True)
    agent_id: Mapped[str] = mapped_column(Text)
    task_name: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    priority_rank: Mapped[int] = mapped_column(SmallInteger)
    submitted_by: Mapped[str] = mapped_column(Text)
    submitted_at: Mapped[datetime] = mapped_column(When)
    failed_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    reason: Mapped[str] = mapped_column(Text)
    error_type: Mapped[str] = mapped_column(Text)
    error_class: Mapped[str] = mapped_column(Text)
    error_message: Mapped[str] = mapped_column(Text)
    stack_trace: Mapped[str | None] = mapped_column(Text)
    retry_count: Mapped[int] = mapped_column(Integer)
    group_key: Mapped[str] = mapped_column(Text)
    user_error: Mapped[bool] = mapped_column(Boolean, server_default="false")
    resubmitted: Mapped[bool] = mapped_column(Boolean, server_default="false")
    resubmitted_at: Mapped[datetime | None] = mapped_column(When)
    resubmitted_by: Mapped[str | None] = mapped_column(Text)
    new_job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))

    __table_args__ = (
        CheckConstraint("reason IN ('exhausted','permanent','poison')", name="reason"),
        Index("ix_dead_letters_failed", "failed_at", "dlq_id"),
        Index("ix_dead_letters_agent", "agent_id", "failed_at"),
        Index("ix_dead_letters_group", "group_key", "failed_at"),
        Index(
            "ix_dead_letters_resubmitted",
            "resubmitted_at",
            postgresql_where=text("resubmitted_at IS NOT NULL"),
        ),
    )


class Artifact(Base):
    """A file that a job left; the bytes lie in the artifact store under `location`."""

    __tablename__ = "artifacts"

    artifact_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    job_id: Mapped[str] = mapped_column(
        Uuid(as_uuid=False), ForeignKey("jobs.job_id", ondelete="CASCADE"), index=True
    )
    fence: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Text)
    location: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())


class ArtifactBytes(Base):
    """The bytes of artifacts where ARTIFACTS_URL is `postgres:`, for hosts that share no disk."""

    __tablename__ = "artifact_bytes"

    location: Mapped[str] = mapped_column(Text, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)

    # By beginnings: in a database with another collation than C the primary key cannot find them.
    __table_args__ = (
        Index("ix_artifact_bytes_beginning", "location", postgresql_ops={"location": "text_pattern_ops"}),
    )


class IdempotencyKey(Base):
    """What a client's Idempotency-Key stood for, for 24 hours."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(Integer)
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now(), index=True)


class Upkeep(Base):
    """The one row by which the sweeps know whether they slept (grace after an outage)."""

    __tablename__ = "upkeep"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last_tick_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    healthy_since: Mapped[datetime] = mapped_column(When, server_default=func.now())

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class Queue(Base):
    """A pool's own state: paused or not, why and until when."""

    __tablename__ = "queues"

    pool: Mapped[str] = mapped_column(Text, primary_key=True)
    paused: Mapped[bool] = mapped_column(Boolean, server_default="false")
    paused_until: Mapped[datetime | None] = mapped_column(When)
    pause_reason: Mapped[str | None] = mapped_column(Text)
    paused_by: Mapped[str | None] = mapped_column(Text)


class Followup(Base):
    """A finished job or workflow that something still waits for; written with its last move, gone with the answer."""

    __tablename__ = "followups"

    subject_type: Mapped[str] = mapped_column(Text, primary_key=True)  # job, workflow
    subject_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"), index=True)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))


class Rollup(Base):
    """What ended in one minute or hour, by agent and owner: what charts are drawn from."""

    __tablename__ = "job_rollups"

    step: Mapped[int] = mapped_column(Integer, primary_key=True)  # seconds: 60 or 3600
    at: Mapped[datetime] = mapped_column(When, primary_key=True)  # when it begins
    agent_id: Mapped[str] = mapped_column(Text, primary_key=True)
    submitted_by: Mapped[str] = mapped_column(Text, primary_key=True)
    completed: Mapped[int] = mapped_column(Integer, server_default="0")
    failed: Mapped[int] = mapped_column(Integer, server_default="0")
    cancelled: Mapped[int] = mapped_column(Integer, server_default="0")
    run_seconds: Mapped[float] = mapped_column(Float, server_default="0")  # of the completed ones, summed
    wait_seconds: Mapped[float] = mapped_column(Float, server_default="0")  # of all that started, summed
    started: Mapped[int] = mapped_column(Integer, server_default="0")  # how many that are

    __table_args__ = (CheckConstraint("step IN (60, 3600)", name="step"),)


class PoolSample(Base):
    """How full one pool was at one minute."""

    __tablename__ = "pool_samples"

    at: Mapped[datetime] = mapped_column(When, primary_key=True)
    pool: Mapped[str] = mapped_column(Text, primary_key=True)
    waiting: Mapped[int] = mapped_column(Integer)
    oldest_seconds: Mapped[float | None] = mapped_column(Float)
    running: Mapped[int] = mapped_column(Integer)
    threads: Mapped[int] = mapped_column(Integer)


class BulkAction(Base):
    """One action on many jobs: what was asked for, how far it is, and what it refused."""

    __tablename__ = "bulk_actions"

    bulk_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)  # jobs, dead_letters
    verb: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    chosen: Mapped[dict[str, Any]] = mapped_column(JSONB)  # a filter with its upper bound, or {ids: […]}
    words: Mapped[str] = mapped_column(Text, server_default="")  # the filter as people would write it
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    requested_by: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str | None] = mapped_column(Text)
    matched: Mapped[int] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer, server_default="0")
    refused: Mapped[int] = mapped_column(Integer, server_default="0")
    refusals: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")  # the first few
    cursor: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))  # the last one that was looked at
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(When)
    abort_requested_at: Mapped[datetime | None] = mapped_column(When)
    aborted_by: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(When)

    __table_args__ = (
        CheckConstraint("subject IN ('jobs','dead_letters')", name="subject"),
        CheckConstraint("status IN ('pending','running','completed','aborted','failed')", name="status"),
        CheckConstraint(
            "(status IN ('completed','aborted','failed')) = (finished_at IS NOT NULL)",
            name="final_is_finished",
        ),
        Index("ix_bulk_actions_open", "created_at", postgresql_where=text("finished_at IS NULL")),
        Index("ix_bulk_actions_owner", "requested_by", "bulk_id"),
    )


class ErrorGroup(Base):
    """What somebody said of a group of dead letters; a group without a row is open."""

    __tablename__ = "error_groups"

    group_key: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(
        Text
    )  # resolved: opens again by itself when it comes back; ignored: never
    note: Mapped[str | None] = mapped_column(Text)
    changed_by: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(When, server_default=text("clock_timestamp()"))

    __table_args__ = (CheckConstraint("status IN ('resolved','ignored')", name="status"),)
