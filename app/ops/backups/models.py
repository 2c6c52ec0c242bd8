"""The table of backups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Float,
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


class Backup(Base):
    """One backup that was begun: where its files lie, what is in them, and whether it was proved to be of use.

    A row outlives its files (`pruned`), so that one can see later that there was one.
    """

    __tablename__ = "backups"

    backup_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default="running")
    slot_at: Mapped[datetime | None] = mapped_column(When)  # daily ones: the time that it was due
    requested_by: Mapped[str] = mapped_column(Text, server_default="")
    started_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    beat_at: Mapped[datetime] = mapped_column(When, server_default=func.now())  # the last sign of life
    finished_at: Mapped[datetime | None] = mapped_column(When)
    stage: Mapped[str] = mapped_column(Text, server_default="")  # what is being done now
    done_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")  # written so far
    location: Mapped[str | None] = mapped_column(Text)  # URL of the dump; the other files are named after it
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(Text)
    encrypted_with: Mapped[str | None] = mapped_column(Text)  # fingerprint of the key
    artifacts: Mapped[int | None] = mapped_column(Integer)  # files beside the dump; NULL: they are not in it
    artifact_bytes: Mapped[int | None] = mapped_column(BigInteger)
    revision: Mapped[str | None] = mapped_column(Text)  # of the schema
    version: Mapped[str] = mapped_column(Text)  # of Callboard
    tables: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # {table: {rows, sum}}
    verify_started_at: Mapped[datetime | None] = mapped_column(When)
    verify_tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    verified_at: Mapped[datetime | None] = mapped_column(When)
    verify_seconds: Mapped[float | None] = mapped_column(Float)
    verify_error: Mapped[str | None] = mapped_column(Text)
    pruned_at: Mapped[datetime | None] = mapped_column(When)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("kind IN ('daily','manual','before_upgrade','before_restore')", name="kind"),
        CheckConstraint("status IN ('running','done','verified','failed','pruned')", name="status"),
        CheckConstraint("(kind = 'daily') = (slot_at IS NOT NULL)", name="slot_of_daily"),
        CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="finished"),
        CheckConstraint(
            "status IN ('running','failed') OR num_nulls(location, bytes, sha256, revision, tables) = 0",
            name="whole",
        ),
        CheckConstraint("status <> 'verified' OR verified_at IS NOT NULL", name="verified_since"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_why"),
        CheckConstraint("(status = 'pruned') = (pruned_at IS NOT NULL)", name="pruned_since"),
        # A daily one is made once; one that failed may be tried again.
        Index(
            "uq_backups_slot",
            "slot_at",
            unique=True,
            postgresql_where=text("slot_at IS NOT NULL AND status <> 'failed'"),
        ),
        Index("ix_backups_started", "started_at"),
    )
