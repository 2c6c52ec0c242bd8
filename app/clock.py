"""The time, in one place, so that tests can hold it still."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC. Leases use the database's clock instead."""
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """`moment` as ISO 8601 with milliseconds and `Z`; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
