"""A second Postgres that only reads: figures and searches may come from a standby of the first.

    @may_lag
    def figures(...): ...           # only reads, and may be some seconds behind

Without DATABASE_READ_URL, and while the standby is away, too far behind or no standby (it was promoted), the first one
answers as ever: nobody notices but it. What somebody just changed, and whatever decides something, is never read here.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from threading import Lock
from typing import ParamSpec, TypeVar

import psycopg2.errors
from sqlalchemy import Engine

from app.db import AWAY, db
from app.observe import logs

CHECK_SECONDS = 5.0
"""How long what was found of it is believed."""
AWAY_SECONDS = 30.0
"""How long it is left alone after it failed: each try may hang for a second."""

P = ParamSpec("P")
Found = TypeVar("Found")

log = logs.get("db")

# A standby ends a statement that needs what its first one has removed meanwhile.
_FAILS = (*AWAY, psycopg2.errors.SerializationFailure)

STANDING = """
    SELECT pg_is_in_recovery() AS is_standby,
           extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float AS behind"""
"""Asks a server whether it follows another one, and how many seconds ago what it has was written; None: nothing came."""


class Replica:
    """What this process knows of the standby."""

    def __init__(
        self, engine: Engine, most_behind: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """It is used while it is at most `most_behind` seconds behind, by its own clock."""
        self.engine, self._most_behind, self._now = engine, most_behind, now
        self._is_fit, self._until = False, float("-inf")
        self._why = "not looked at yet"
        self._looking = Lock()

    def is_fit(self) -> bool:
        """Whether it may be read; looked at anew every few seconds, by one thread."""
        if self._now() < self._until or not self._looking.acquire(blocking=False):
            return self._is_fit
        try:
            why = self._unfit()
            self._say(why, AWAY_SECONDS if why.startswith("away") else CHECK_SECONDS)
        finally:
            self._looking.release()
        return self._is_fit

    def failed(self, error: BaseException) -> None:
        """Leave it alone for a while."""
        self._say(f"away: {error}".strip().splitlines()[0], AWAY_SECONDS)

    def _unfit(self) -> str:
        """Why it must not be read; empty if it may be."""
        try:
            with db.elsewhere(self.engine):
                found = db.row(STANDING) or {}
        except _FAILS as error:
            return f"away: {error}".strip().splitlines()[0]
        if not found["is_standby"]:
            return "no standby: writes to the first one do not come to it"
        if found["behind"] is None or found["behind"] > self._most_behind:
            return f"behind by more than {self._most_behind:g} s, or nothing was written for so long"
        return ""

    def _say(self, why: str, seconds: float) -> None:
        was_fit, first = self._is_fit, self._until == float("-inf")
        self._is_fit, self._why, self._until = not why, why, self._now() + seconds
        if why and (was_fit or first):
            log.warning("replica.left", why=why)
        elif not why and not was_fit:
            log.info("replica.used")


_replica: Replica | None = None


def use(replica: Replica | None) -> None:
    """Read from this one where that may lag; None: from the first one only."""
    global _replica  # noqa: PLW0603 - one per process, like the database itself
    _replica = replica


def may_lag(read: Callable[P, Found]) -> Callable[P, Found]:
    """Let `read`, which changes nothing, be answered by the standby; where that fails, once more by the first one."""

    @functools.wraps(read)
    def answered(*values: P.args, **named: P.kwargs) -> Found:
        replica = _replica
        if replica is None or db.is_elsewhere or not replica.is_fit():
            return read(*values, **named)
        try:
            with db.elsewhere(replica.engine):
                return read(*values, **named)
        except _FAILS as error:
            replica.failed(error)
            return read(*values, **named)

    return answered
