"""Who called what, how often: counted by user, endpoint, answer, address and minute (AUD-06).

Polls and other reads are too many for an entry each. Every web process counts in its memory and writes the sums down
twice a minute, after an answer has gone out, and when it ends. Counting never fails a request: what cannot be written
waits for the next time, and what a flood of callers brings over MOST_KEYS is counted without their names.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import NamedTuple

from app.db import Row, db, storable

FLUSH_SECONDS = 30.0
MOST_KEYS = 5_000
"""So many different callers and endpoints are held by a process at once."""
KEPT_DAYS = 30
REFUSED = (401, 403, 429)
OTHERS = "(others)"
"""Stands for the endpoint of what was counted without names."""


class Key(NamedTuple):
    """What is counted together."""

    minute: int
    """Since 1970."""
    actor: str
    method: str
    endpoint: str
    status: int
    ip: str


class Counts:
    """The counters of one process."""

    def __init__(self, now: Callable[[], float] = time.time, most: int = MOST_KEYS) -> None:
        """Nothing is counted yet; `now` is in seconds since 1970."""
        self._now, self._most = now, most
        self._lock = Lock()
        self._counts: dict[Key, int] = {}
        self._flushed_at = now()

    def note(self, actor: str, method: str, endpoint_rule: str, status: int, ip: str | None) -> None:
        """Count one request; `actor` is '' for those nobody knows."""
        minute = int(self._now() // 60)
        key = Key(minute, actor, method[:20], endpoint_rule[:200], status, (ip or "")[:64])
        with self._lock:
            self._add(key, 1)

    def _add(self, key: Key, amount: int) -> None:
        if key not in self._counts and len(self._counts) >= self._most:
            key = Key(key.minute, "", "", OTHERS, key.status, "")
        self._counts[key] = self._counts.get(key, 0) + amount

    def due(self) -> bool:
        """Whether it is time to write down what was counted; says so to one caller only."""
        with self._lock:
            if not self._counts or self._now() - self._flushed_at < FLUSH_SECONDS:
                return False
            self._flushed_at = self._now()
            return True

    def flush(self) -> None:
        """Write down what was counted, in one statement; if that fails it is kept for the next time, and raised."""
        with self._lock:
            taken, self._counts = self._counts, {}
        try:
            keep(taken)
        except Exception:
            with self._lock:
                for key, amount in taken.items():
                    self._add(key, amount)
            raise

    def waiting(self) -> int:
        """How many different keys wait to be written down."""
        return len(self._counts)


def keep(counts: dict[Key, int]) -> None:
    """Add what was counted to the table."""
    if not counts:
        return
    db.insert_many(
        """INSERT INTO api_access (minute, actor, method, endpoint, status, ip, count) VALUES %s
           ON CONFLICT (minute, actor, method, endpoint, status, ip)
           DO UPDATE SET count = api_access.count + excluded.count""",
        # In one order everywhere, so that two processes never wait for each other.
        [
            (
                datetime.fromtimestamp(60 * key.minute, UTC),
                key.actor,
                storable(key.method),
                storable(key.endpoint),
                key.status,
                key.ip,
                count,
            )
            for key, count in sorted(counts.items())
        ],
    )


def refused(since: datetime, limit: int = 200) -> list[Row]:
    """What was refused since then, most first: {status, actor, ip, method, endpoint, count, last_at}; of REFUSED."""
    return db.rows(
        """SELECT status, actor, ip, method, endpoint, sum(count)::bigint AS count, max(minute) AS last_at
           FROM api_access WHERE minute >= date_trunc('minute', %(since)s) AND status = ANY(%(statuses)s)
           GROUP BY 1, 2, 3, 4, 5 ORDER BY count DESC, last_at DESC LIMIT %(limit)s""",
        since=since,
        statuses=list(REFUSED),
        limit=limit,
    )


def used(
    *,
    since: datetime,
    until: datetime,
    actor: str | None = None,
    status: int | None = None,
    limit: int = 200,
) -> list[Row]:
    """Who called what in a time, most first: {actor, method, endpoint, status, ip, count, first_at, last_at}."""
    return db.rows(
        """SELECT actor, method, endpoint, status, ip, sum(count)::bigint AS count,
                  min(minute) AS first_at, max(minute) AS last_at
           FROM api_access
           WHERE minute >= date_trunc('minute', %(since)s::timestamptz) AND minute <= %(until)s
             AND (%(actor)s::text IS NULL OR actor = %(actor)s)
             AND (%(status)s::int IS NULL OR status = %(status)s)
           GROUP BY 1, 2, 3, 4, 5 ORDER BY count DESC, last_at DESC, endpoint LIMIT %(limit)s""",
        since=since,
        until=until,
        actor=actor,
        status=status,
        limit=limit,
    )


def minutes(since: datetime, until: datetime, *, after: Row | None = None, limit: int = 2_000) -> list[Row]:
    """The counted minutes from `since` to before `until` in order, behind `after` (the last row of the page before)."""
    behind = after or {"minute": since, "actor": "", "method": "", "endpoint": "", "status": -1, "ip": ""}
    return db.rows(
        """SELECT minute, actor, method, endpoint, status, ip, count FROM api_access
           WHERE minute >= %(since)s AND minute < %(until)s
             AND (minute, actor, method, endpoint, status, ip)
                 > (%(minute)s, %(actor)s, %(method)s, %(endpoint)s, %(status)s, %(ip)s)
           ORDER BY minute, actor, method, endpoint, status, ip LIMIT %(limit)s""",
        since=since,
        until=until,
        limit=limit,
        **{name: behind[name] for name in ("minute", "actor", "method", "endpoint", "status", "ip")},
    )


def forget(days: int = KEPT_DAYS) -> int:
    """Remove minutes that are older; answers how many rows."""
    return db.run("DELETE FROM api_access WHERE minute < now() - %(days)s * interval '1 day'", days=days)


_here = Counts()
note = _here.note
due = _here.due
flush = _here.flush
waiting = _here.waiting
