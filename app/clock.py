"""The time, in one place, so that tests can hold it still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

APART = timedelta(minutes=10)
"""What one host signs is good on another whose clock is behind by no more than this."""


def now() -> datetime:
    """The present moment, aware, in UTC. Leases use the database's clock instead."""
    return datetime.now(UTC)


def least_id(moment: datetime) -> str:
    """What no id that is made from `moment` on is less than: ids are UUIDv7 and begin with their milliseconds."""
    return str(UUID(int=int(moment.timestamp() * 1000) << 80))


def iso(moment: datetime | None) -> str | None:
    """`moment` as ISO 8601 with milliseconds and `Z`; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
