"""The table of how polling went, minute by minute."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Float, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class PollingMinute(Base):
    """One minute of polls as the server answered them, or as pages felt them; processes and pages add to it."""

    __tablename__ = "polling_minutes"

    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    seen_by: Mapped[str] = mapped_column(Text, primary_key=True)  # server, client
    polls: Mapped[int] = mapped_column(Integer, server_default="0")
    unchanged: Mapped[int] = mapped_column(Integer, server_default="0")  # answered 304
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    timeouts: Mapped[int] = mapped_column(Integer, server_default="0")  # of the failures
    ms_sum: Mapped[float] = mapped_column(Float, server_default="0")
    ms_most: Mapped[float] = mapped_column(Float, server_default="0")
    # How many took up to 10, 25, 50, 100, 250, 500, 1000, 2500, 5000 ms, and longer.
    ms_spread: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{0,0,0,0,0,0,0,0,0,0}")
    recoveries: Mapped[int] = mapped_column(Integer, server_default="0")
    recovery_seconds_sum: Mapped[float] = mapped_column(Float, server_default="0")
    recovery_seconds_most: Mapped[float] = mapped_column(Float, server_default="0")
    queries: Mapped[int] = mapped_column(Integer, server_default="0")  # to Postgres, while answering
    query_ms_sum: Mapped[float] = mapped_column(Float, server_default="0")
    query_ms_most: Mapped[float] = mapped_column(Float, server_default="0")
    pages: Mapped[int] = mapped_column(Integer, server_default="0")  # reports of open pages in that minute

    __table_args__ = (CheckConstraint("seen_by IN ('server','client')", name="seen_by"),)
