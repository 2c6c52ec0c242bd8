"""The chain: every entry of the audit log sealed by a digest that has the one before in it (X31).

    digest(n) = SHA-256( digest(n-1) + canonical(entry) )        digest(0) = 32 zero bytes

`canonical` is JSON of all columns of the entry that are not NULL, sorted, without spaces. Whoever changes, removes or
reorders an entry breaks every digest from there on; whoever computes them all anew ends at another head than the one
that somebody noted elsewhere (an anchor).

Entries are sealed a moment after they were written, by one process at a time. Transactions commit in another order
than their ids were given, so what is not sealed yet is found by looking, among all entries that are younger than an
hour before the newest sealed one; no transaction is open for so long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg2

from app.db import Row, db

COLUMNS = ("id", "at", "actor", "action", "subject", "correlation_id", "details", "ip", "user_agent")
NOTHING = bytes(32)
LATE_SECONDS = 3600
"""What comes later than this behind the newest sealed entry is not sealed any more, and found by `verify`."""

BATCH = 1_000

# Text is what stays the same in every dump and every version: numbers of jsonb have more digits than floats have.
_AS_TEXT = """a.id, to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, a.actor, a.action,
    a.subject, a.correlation_id, a.details::text AS details, a.ip, a.user_agent"""


class Head(NamedTuple):
    """The end of the chain, or any other link of it: what is noted elsewhere as an anchor."""

    position: int
    digest: bytes

    def __str__(self) -> str:
        """As `verify` takes it: `1234:9f86d0…`."""
        return f"{self.position}:{self.digest.hex()}"


EMPTY = Head(0, NOTHING)


def canonical(entry: Row) -> bytes:
    """The bytes of an entry that are sealed; `entry` has the columns as text, with the id as a number."""
    told = {name: entry[name] for name in COLUMNS if entry[name] is not None}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(before: bytes, entry: Row) -> bytes:
    """The digest of the link that seals `entry` behind the link with the digest `before`."""
    return hashlib.sha256(before + canonical(entry)).digest()


def head() -> Head:
    """The newest link; EMPTY if there is none."""
    row = db.row("SELECT position, digest FROM audit_chain ORDER BY position DESC LIMIT 1")
    return Head(row["position"], bytes(row["digest"])) if row else EMPTY


def seal(limit: int = BATCH) -> int:
    """Append a link for each of up to `limit` entries that have none; answers how many.

    One process at a time: whoever calls holds a lock until the transaction ends.
    """
    entries = db.rows(
        f"""SELECT {_AS_TEXT} FROM audit_log a LEFT JOIN audit_chain c ON c.audit_id = a.id
            WHERE c.audit_id IS NULL AND a.at >= %(floor)s ORDER BY a.id LIMIT %(limit)s""",
        limit=limit,
        floor=_floor(),
    )
    if not entries:
        return 0
    position, before = head()
    links: list[tuple[object, ...]] = []
    for place, entry in enumerate(entries, position + 1):
        before = digest(before, entry)
        links.append((place, entry["id"], psycopg2.Binary(before)))
    db.insert_many("INSERT INTO audit_chain (position, audit_id, digest) VALUES %s", links)
    return len(links)


def _floor() -> datetime | str:
    """From when on entries are sealed. Asked apart: only then Postgres knows how few they are, and uses its indexes."""
    # A clock that once ran ahead must not keep everything after it from being sealed: the floor is never over now.
    floor: datetime | None = db.value(
        """SELECT least(newest.at, now()) - %(late)s * interval '1 second'
             FROM audit_chain last JOIN audit_log newest ON newest.id = last.audit_id
            ORDER BY last.position DESC LIMIT 1""",
        late=LATE_SECONDS,
    )
    return floor or "-infinity"


def state() -> Row:
    """How far the chain is: {position, digest (hex), sealed_at, waiting, oldest_waiting_at}; `waiting` counts to 10,000."""
    last = db.row(
        "SELECT position, encode(digest, 'hex') AS digest, sealed_at FROM audit_chain ORDER BY position DESC LIMIT 1"
    )
    waiting = db.row(
        """SELECT count(*) AS waiting, min(at) AS oldest_waiting_at FROM (
              SELECT a.at FROM audit_log a LEFT JOIN audit_chain c ON c.audit_id = a.id
              WHERE c.audit_id IS NULL AND a.at >= %(floor)s LIMIT 10000) unsealed""",
        floor=_floor(),
    )
    return {**(last or {"position": 0, "digest": "", "sealed_at": None}), **(waiting or {})}


def links(after: int, limit: int) -> list[Row]:
    """The links behind a position, each with its entry; an entry that is gone has id None."""
    return db.rows(
        f"""SELECT c.position, c.audit_id, c.digest, c.sealed_at, {_AS_TEXT}
            FROM audit_chain c LEFT JOIN audit_log a ON a.id = c.audit_id
            WHERE c.position > %(after)s ORDER BY c.position LIMIT %(limit)s""",
        after=after,
        limit=limit,
    )


def behind(limit: int = 1) -> Sequence[Row]:
    """Entries that were written behind the sealed ones: too old to be sealed any more, {id, at, action}."""
    return db.rows(
        """SELECT a.id, a.at, a.action FROM audit_log a LEFT JOIN audit_chain c ON c.audit_id = a.id
            WHERE c.audit_id IS NULL AND a.at < %(floor)s ORDER BY a.id LIMIT %(limit)s""",
        limit=limit,
        floor=_floor(),
    )
