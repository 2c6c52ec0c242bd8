"""The tables of sessions. Read and written by SQL in this room; the classes here are their drawing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
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
from sqlalchemy.dialects.postgresql import BIT, JSONB, REAL, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


def found_by(words: str) -> Computed:
    """A column for full-text search over the SQL expression `words`: stems of English, and every word as it is."""
    return Computed(f"to_tsvector('english', {words}) || to_tsvector('simple', {words})", persisted=True)


class Session(Base):
    """A shared workspace; its id is chosen by whoever makes it, and stays taken after it is deleted."""

    __tablename__ = "sessions"

    session_id: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text, server_default="")
    status: Mapped[str] = mapped_column(Text, server_default="active")
    owner: Mapped[str] = mapped_column(Text)  # the id of the user it belongs to
    participants: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default="{}"
    )  # names; an e-mail of a user here lets that user in. E-mails stand in lower case.
    # `metadata` belongs to SQLAlchemy; `about` is what the JSON calls metadata, here and below.
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    callback_url: Mapped[str | None] = mapped_column(Text)  # told of every event, signed
    summary: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB
    )  # {text, action_items, decisions, topics, made_by, at}
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")  # of its newest event
    message_count: Mapped[int] = mapped_column(
        Integer, server_default="0"
    )  # also the place of its newest message
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    completed_at: Mapped[datetime | None] = mapped_column(When)
    deleted_at: Mapped[datetime | None] = mapped_column(When)
    deleted_by: Mapped[str | None] = mapped_column(Text)
    words: Mapped[Any] = mapped_column(TSVECTOR, found_by("title || ' ' || session_id"))

    __table_args__ = (
        CheckConstraint("session_id ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$'", name="id"),
        CheckConstraint("status IN ('active','paused','completed')", name="status"),
        CheckConstraint("(status = 'completed') = (completed_at IS NOT NULL)", name="completed_since"),
        Index("ix_sessions_living", "updated_at", "session_id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_sessions_owner", "owner", "updated_at", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_sessions_participants", "participants", postgresql_using="gin"),
        Index("ix_sessions_words", "words", postgresql_using="gin"),
    )


class Message(Base):
    """A piece of a conversation, at its place."""

    __tablename__ = "session_messages"

    message_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, ForeignKey("sessions.session_id", ondelete="CASCADE"))
    place: Mapped[int] = mapped_column(Integer)  # 1, 2, 3 … without gaps
    speaker: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    said_at: Mapped[datetime | None] = mapped_column(When)  # as whoever sent it says
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    added_by: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    words: Mapped[Any] = mapped_column(TSVECTOR, found_by("speaker || ' ' || text"))

    __table_args__ = (
        Index("uq_session_messages_place", "session_id", "place", unique=True),
        Index("ix_session_messages_words", "words", postgresql_using="gin"),
    )


class Memory(Base):
    """Something worth knowing later; storing under the same key replaces it."""

    __tablename__ = "memories"

    memory_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, ForeignKey("sessions.session_id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text, server_default="fact")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    importance: Mapped[int] = mapped_column(SmallInteger, server_default="5")  # 1 (trifle) to 10
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    stored_by: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    created_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    words: Mapped[Any] = mapped_column(
        TSVECTOR, found_by("replace(replace(key, '_', ' '), '-', ' ') || ' ' || content")
    )

    __table_args__ = (
        CheckConstraint("importance BETWEEN 1 AND 10", name="importance"),
        Index("uq_memories_key", "session_id", "key", unique=True),
        Index("ix_memories_tags", "tags", postgresql_using="gin"),
        Index("ix_memories_words", "words", postgresql_using="gin"),
    )


class SessionArtifact(Base):
    """Something made in a session: text here, or where it is; what a delegated job left stands with its job."""

    __tablename__ = "session_artifacts"

    artifact_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, ForeignKey("sessions.session_id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text, server_default="text/markdown")  # a media type, or a word
    content: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))  # the job that made it
    job_artifact_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))  # its file, where it is one
    size_bytes: Mapped[int] = mapped_column(Integer, server_default="0")
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    added_by: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    words: Mapped[Any] = mapped_column(
        TSVECTOR, found_by("name || ' ' || left(coalesce(content, ''), 200000)")
    )

    __table_args__ = (
        CheckConstraint("num_nonnulls(content, url, job_artifact_id) = 1", name="one_place"),
        Index("ix_session_artifacts_session", "session_id", "artifact_id"),
        Index(
            "uq_session_artifacts_job_file",
            "session_id",
            "job_artifact_id",
            unique=True,
            postgresql_where=text("job_artifact_id IS NOT NULL"),
        ),
        Index("ix_session_artifacts_words", "words", postgresql_using="gin"),
    )


class SessionEvent(Base):
    """What happened in a session, in order: a cursor never skips one, because `seq` is given under the session's lock."""

    __tablename__ = "session_events"

    session_id: Mapped[str] = mapped_column(
        Text, ForeignKey("sessions.session_id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    by: Mapped[str] = mapped_column(Text, server_default="")
    at: Mapped[datetime] = mapped_column(When, server_default=func.clock_timestamp())


class SessionVector(Base):
    """The meaning of one text as an embedding provider has it, or that it waits for it; only where one is configured."""

    __tablename__ = "session_vectors"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)  # message, memory, artifact
    subject_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, ForeignKey("sessions.session_id", ondelete="CASCADE"))
    model: Mapped[str] = mapped_column(Text)
    of_version: Mapped[int] = mapped_column(
        Integer, server_default="1"
    )  # of the memory; others do not change
    vector: Mapped[list[float]] = mapped_column(ARRAY(REAL), server_default="{}")  # of length 1
    signs: Mapped[str | None] = mapped_column(
        BIT(varying=True)
    )  # 1 for each number above 0: what is compared first; None while it waits
    at: Mapped[datetime] = mapped_column(
        When, server_default=func.now()
    )  # when it was made; of one that waits, when it may be asked for

    __table_args__ = (
        Index("ix_session_vectors_session", "session_id", "model", "kind", "subject_id"),
        Index("ix_session_vectors_waiting", "subject_id", postgresql_where=text("signs IS NULL")),
    )
