"""From where the present request comes: bound by the doors, read by whoever writes it down.

Rooms know nothing of HTTP; what they write into the audit log says nevertheless from which address, by which program
and under which correlation id it was done. Where no door has bound anything (scheduler, workers) all of it is None.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from app.db import storable

MOST_USER_AGENT = 200


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where something comes from; None is what nobody knows."""

    ip: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None
    via: str | None = None
    """The door: `api`, `page`, `mcp` or `cli`."""


NOWHERE = Origin()
_present: ContextVar[Origin] = ContextVar("audit_origin", default=NOWHERE)


def bind(
    *,
    ip: str | None = None,
    user_agent: str | None = None,
    correlation_id: str | None = None,
    via: str | None = None,
) -> None:
    """Say where everything comes from that this thread does until `clear`."""
    _present.set(
        Origin(
            ip=ip or None,
            user_agent=brief(user_agent),
            correlation_id=correlation_id or None,
            via=via,
        )
    )


def clear() -> None:
    """The request is over: what this thread does now comes from nowhere."""
    _present.set(NOWHERE)


def current() -> Origin:
    """Where the present request comes from."""
    return _present.get()


def brief(user_agent: str | None) -> str | None:
    """The name of a program as it is kept: storable, and not longer than MOST_USER_AGENT."""
    return storable(user_agent[:MOST_USER_AGENT]) if user_agent else None
