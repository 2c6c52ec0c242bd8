"""What the panels of the front page have in common: figures that all who may see them share for a moment, and their pace.

What is the same for all viewers, or for all that may see all jobs, is asked once in some seconds, however many look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.accounts.permissions import own_only
from app.dashboard.htmx import every
from app.dashboard.session import asking, settings
from app.db import Row
from app.jobs import stats
from app.kept import Kept
from app.workers import fleet

KEPT_SECONDS = 2.0

_kept = Kept(KEPT_SECONDS, most=500)
forget = _kept.forget


def shared(name: str, owner: str | None, make: Callable[[], Any]) -> Any:
    """What `make` says of `owner`, or of all (None); the same for everybody who asks within a moment."""
    return _kept.answer((name, owner), make)


def mine() -> str | None:
    """Whose jobs are meant: those of whoever asks, or None for all."""
    return own_only(asking(), "view_task")


def overview(owner: str | None) -> Row:
    """What stats.overview says of an owner's jobs, or of all."""
    found: Row = shared("overview", owner, lambda: stats.overview(owner))
    return found


def workers() -> Row:
    """What fleet.capacity says."""
    found: Row = shared("workers", None, fleet.capacity)
    return found


def pools() -> list[Row]:
    """What stats.by_pool says: pauses as they are this moment, counts a moment old."""
    return stats.by_pool(counts=shared("pools", None, stats.pool_counts))


def pace() -> str:
    """When to look again: after 5 s while something runs or waits, and half as often while nothing does."""
    figures = overview(mine())
    moving = figures["running"] or figures["waiting"] or figures["scheduled"]
    return every(settings().stats_refresh_ms * (1 if moving else 2))


def calm() -> str:
    """The same for what people read rather than watch."""
    return every(settings().stats_refresh_ms * 2)
