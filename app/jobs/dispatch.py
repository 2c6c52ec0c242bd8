"""The bell: telling the workers of a pool that there may be work, after the commit that made it true.

The room does not know Redis or Dramatiq. A process gives it a `ring(pool, times)` at start
(`dispatch.use(actors.broker.ring)`); without one nothing is rung, and the sweep or the workers' own looking
finds the work. A ring that fails is logged by the ringer and forgotten: a lost bell costs seconds, never a job.
"""

from __future__ import annotations

from collections.abc import Callable

from app.db import db

Ring = Callable[[str, int], None]


def _silent(_pool: str, _times: int) -> None:
    """Nobody to ring: tests, the command line without Redis."""


_ring: Ring = _silent


def use(ring: Ring) -> None:
    """From now on ring with `ring(pool, times)`."""
    global _ring  # noqa: PLW0603 - one bell per process, set once at start
    _ring = ring


def ring_after_commit(pool: str, times: int = 1) -> None:
    """Ring `pool` for `times` new jobs when the present transaction has committed."""
    db.after_commit(lambda: _ring(pool, times))
