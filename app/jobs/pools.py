"""Pausing a pool and letting it go on: what waits there stays where it is, what runs there runs to its end."""

from __future__ import annotations

from datetime import datetime

from app import clock
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.jobs import dispatch, stats

LONGEST_REASON = 200
MOST_RINGS = 32  # more bells than that find nobody who is not awake yet


def pause(pool: str, *, by: str, reason: str | None = None, until: datetime | None = None) -> Row:
    """Claim nothing more from `pool`, until that moment or until somebody resumes it; answers its line of stats.

    Pausing again replaces reason and end. NotFound for a pool there is not, Invalid for an end that has passed.
    """
    if until is not None and until <= clock.now():
        raise Invalid("A pause must end in the future.", [("/until", "must lie in the future")])
    _set(pool, paused=True, until=until, reason=(reason or "").strip() or None, by=by)
    return line(pool)


def resume(pool: str) -> Row:
    """Let `pool` go on and ring its workers for what has waited; answers its line of stats. Twice is no harm."""
    _set(pool, paused=False, until=None, reason=None, by=None)
    found = line(pool)
    if found["waiting"]:
        dispatch.ring_after_commit(pool, min(found["waiting"], MOST_RINGS))
    return found


def line(pool: str) -> Row:
    """What stats.by_pool says of this one; NotFound if there is none."""
    for found in stats.by_pool():
        if found["pool"] == pool:
            return found
    raise NotFound(f"There is no pool {pool!r}.")


def _set(pool: str, *, paused: bool, until: datetime | None, reason: str | None, by: str | None) -> None:
    changed = db.run(
        """UPDATE queues SET paused = %(paused)s, paused_until = %(until)s, pause_reason = %(reason)s, paused_by = %(by)s
           WHERE pool = %(pool)s""",
        pool=pool,
        paused=paused,
        until=until,
        reason=reason,
        by=by,
    )
    if not changed:
        raise NotFound(f"There is no pool {pool!r}.")
