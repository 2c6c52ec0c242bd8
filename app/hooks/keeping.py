"""Writing down what came in, so that whoever reads by position misses nothing.

A position is given under a lock that is held until the commit: nothing appears behind a position that somebody has
already seen. It is taken last, when the rules have run, so that deliveries wait for each other no longer than a commit.
"""

from __future__ import annotations

from typing import Any

import uuid_utils.compat

from app.db import Row, as_json, db
from app.hooks.reading import Message

POSITIONS_LOCK = 0x0CA11B20
MOST_AT_ONCE = 1000


def new_id() -> str:
    """The id of a delivery."""
    return str(uuid_utils.compat.uuid7())


def again(hook_id: str, external_id: str) -> Row | None:
    """The delivery that has this id of the provider's already, counted once more; None for a new one.

    Whoever else brings the same one at this moment waits until the present transaction ends.
    """
    db.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))", name=f"hook/{hook_id}/{external_id}"
    )
    return db.row(
        """UPDATE hook_deliveries SET times_received = times_received + 1
           WHERE hook_id = %(hook)s AND external_id = %(external)s AND replay_of IS NULL
           RETURNING delivery_id::text, event, status, results""",
        hook=hook_id,
        external=external_id,
    )


def keep(
    delivery_id: str,
    hook: Row,
    message: Message,
    *,
    headers: dict[str, Any],
    body: bytes,
    status: str,
    results: list[dict[str, Any]],
    ip: str | None,
    replay_of: str | None = None,
    replayed_by: str | None = None,
) -> None:
    """Write a delivery down; the transaction should end right after it."""
    if replay_of is None:
        db.run(
            "UPDATE hooks SET last_received_at = clock_timestamp() WHERE hook_id = %(id)s", id=hook["hook_id"]
        )
    db.run("SELECT pg_advisory_xact_lock(%(lock)s)", lock=POSITIONS_LOCK)
    db.run(
        """INSERT INTO hook_deliveries (delivery_id, hook_id, external_id, event, headers, body, status, results, ip,
                                        replay_of, replayed_by, received_at)
           VALUES (%(id)s, %(hook)s, %(external)s, %(event)s, %(headers)s, %(body)s, %(status)s, %(results)s, %(ip)s,
                   %(replay_of)s, %(replayed_by)s, clock_timestamp())""",
        id=delivery_id,
        hook=hook["hook_id"],
        external=message.external_id,
        event=message.event,
        headers=as_json(headers),
        body=body,
        status=status,
        results=as_json(results),
        ip=ip,
        replay_of=replay_of,
        replayed_by=replayed_by,
    )


def purge(days: int) -> int:
    """Forget what came in more than so many days ago, at most MOST_AT_ONCE; answers how many."""
    return db.run(
        """DELETE FROM hook_deliveries WHERE delivery_id IN (
               SELECT delivery_id FROM hook_deliveries WHERE received_at < now() - %(days)s * interval '1 day'
               ORDER BY received_at LIMIT %(most)s)""",
        days=days,
        most=MOST_AT_ONCE,
    )
