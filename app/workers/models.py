"""The table of worker processes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Boolean, CheckConstraint, DateTime, Integer, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

When = DateTime(timezone=True)


class Worker(Base):
    """One worker process: what it serves, and when it was last heard of."""

    __tablename__ = "workers"

    worker_id: Mapped[str] = mapped_column(Text, primary_key=True)
    hostname: Mapped[str] = mapped_column(Text)
    process_id: Mapped[int] = mapped_column(Integer)
    pools: Mapped[list[str]] = mapped_column(ARRAY(Text))
    threads: Mapped[int] = mapped_column(Integer)
    release: Mapped[str] = mapped_column(Text)
    draining: Mapped[bool] = mapped_column(Boolean, server_default="false")
    redis_away: Mapped[bool] = mapped_column(Boolean, server_default="false")
    started_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(When, server_default=func.now())
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)  # of its whole tree of processes
    # What somebody wants of it: drain (finish what runs, take nothing more), stop (drain and exit); NULL: to work.
    wanted: Mapped[str | None] = mapped_column(Text)
    wanted_by: Mapped[str | None] = mapped_column(Text)
    wanted_at: Mapped[datetime | None] = mapped_column(When)

    __table_args__ = (CheckConstraint("wanted IN ('drain','stop')", name="wanted"),)
