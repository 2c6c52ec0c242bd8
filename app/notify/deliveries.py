"""Messages on their way: taken by couriers under a lease, settled by what came back, shown to people.

A delivery whose courier died comes due again when its lease ends: `next_at` of one that is under way is that end. So
each arrives at least once, under the same id.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from app.db import Row, as_json, db, storable
from app.errors import NotFound
from app.notify import setup

STATUSES = ("pending", "delivered", "failed", "skipped")
CHANNELS = ("email", "chat", "webhook")

# After each failure; together they take a day. Each is lengthened or shortened by up to a fifth.
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
LONGEST_RETRY_AFTER = 86_400
SPREAD = 0.2
# An endpoint to which nothing got through for so long is switched off.
ENDPOINT_DAYS = 5
MOST_EXCERPT = 1000
MOST_AT_ONCE = 5000
"""So many notifications, and as many deliveries, are forgotten by one transaction."""

BRIEF = """delivery_id::text, notification_id::text, endpoint_id::text, event, channel, target, callback, owner,
    subject_type, subject_id, status, reason, attempts, next_at, lease_until, created_at, finished_at"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one try."""

    delivered: bool = False
    skipped: str | None = None
    """Why it is not sent at all."""
    error: str | None = None
    final: bool = False
    """Another try would not help."""
    gone: bool = False
    """The endpoint wants no more (410)."""
    interrupted: bool = False
    """Our own process ends: it costs no try."""
    status_code: int | None = None
    response: str | None = None
    retry_after: float | None = None
    duration_ms: int | None = None


def add(drafts: list[Row], notification_id: str | None = None) -> None:
    """Write down what app/notify/messages.py made, and wake the courier when it is committed."""
    if not drafts:
        return
    db.run(
        """INSERT INTO deliveries (delivery_id, notification_id, endpoint_id, event, channel, target, lane, callback,
               owner, subject_type, subject_id, payload, status, reason, next_at, finished_at)
           SELECT d.delivery_id, %(notification_id)s, d.endpoint_id, d.event, d.channel, d.target, d.lane, d.callback,
               d.owner, d.subject_type, d.subject_id, d.payload,
               CASE WHEN d.reason IS NULL THEN 'pending' ELSE 'skipped' END, d.reason,
               CASE WHEN d.reason IS NULL THEN clock_timestamp() END,
               CASE WHEN d.reason IS NOT NULL THEN clock_timestamp() END
           FROM jsonb_to_recordset(%(drafts)s) AS d(delivery_id uuid, endpoint_id uuid, event text, channel text,
               target text, lane text, callback boolean, owner text, subject_type text, subject_id text, payload jsonb,
               reason text)""",
        notification_id=notification_id,
        drafts=as_json(drafts),
    )
    db.after_commit(setup.wake)


def take(
    *,
    limit: int,
    lease_seconds: float,
    per_lane: int,
    busy: Mapping[str, int],
    per_owner: int | None = None,
    owners: Mapping[str, int] | None = None,
) -> list[Row]:
    """Up to `limit` due deliveries under a lease, what was never tried first; one statement, for `db.quick()`.

    No more than `per_lane` of one lane at once, with those in `busy` (lane → how many): whoever does not answer
    holds up nobody else, however much waits for them. So it is with what one person owns, however many hosts they
    name: no more than `per_owner` (None: any number), with those in `owners`.
    """
    return db.rows(
        """WITH RECURSIVE hop AS (
               (SELECT lane FROM deliveries WHERE status = 'pending'
                AND EXISTS (SELECT 1 FROM deliveries WHERE status = 'pending' AND next_at <= now())
                ORDER BY lane LIMIT 1)
               UNION ALL
               SELECT (SELECT d.lane FROM deliveries d WHERE d.status = 'pending' AND d.lane > hop.lane
                       ORDER BY d.lane LIMIT 1)
               FROM hop WHERE hop.lane IS NOT NULL
           ), open AS (
               SELECT f.*, row_number() OVER (PARTITION BY f.owner ORDER BY f.retries > 0, f.next_at) AS place
               FROM hop CROSS JOIN LATERAL (
                   SELECT d.delivery_id, d.owner, d.retries, d.next_at FROM deliveries d
                   WHERE d.status = 'pending' AND d.lane = hop.lane AND d.next_at <= now()
                     AND coalesce((%(owners)s::jsonb ->> d.owner)::integer < %(per_owner)s, true)
                   ORDER BY d.next_at
                   LIMIT greatest(0, %(per_lane)s - coalesce((%(busy)s::jsonb ->> hop.lane)::integer, 0))
                   FOR UPDATE SKIP LOCKED) f
           ), due AS (
               SELECT delivery_id FROM open
               WHERE owner IS NULL
                  OR coalesce(place + coalesce((%(owners)s::jsonb ->> owner)::integer, 0) <= %(per_owner)s, true)
               ORDER BY retries > 0, next_at LIMIT %(limit)s
           ), taken AS (
               UPDATE deliveries d SET lease_id = gen_random_uuid(), attempts = d.attempts + 1,
                   lease_until = now() + %(lease)s * interval '1 s', next_at = now() + %(lease)s * interval '1 s'
               FROM due WHERE d.delivery_id = due.delivery_id
               RETURNING d.*
           ), lost AS (
               UPDATE delivery_attempts a SET error = 'The courier was lost.', duration_ms = 0
               FROM taken t WHERE a.delivery_id = t.delivery_id AND a.duration_ms IS NULL
           ), tried AS (
               INSERT INTO delivery_attempts (delivery_id, number, at)
               SELECT delivery_id, attempts, clock_timestamp() FROM taken
           )
           SELECT delivery_id::text, lease_id::text, endpoint_id::text, event, channel, target, lane, callback, owner,
                  subject_type, subject_id, payload, attempts, retries, created_at
           FROM taken ORDER BY retries > 0, created_at""",
        limit=limit,
        lease=lease_seconds,
        per_lane=per_lane,
        busy=as_json(busy),
        per_owner=per_owner,
        owners=as_json(owners or {}),
    )


def settle(taken: Row, outcome: Outcome) -> str | None:
    """Write down what came of a try, in a transaction; answers the new status, None if the lease was lost."""
    pause = None if outcome.final else pause_after(taken["retries"], outcome.retry_after)
    status, reason, wait = _verdict(outcome, pause)
    held = db.run(
        """UPDATE deliveries SET status = %(status)s, reason = %(reason)s, lease_id = NULL, lease_until = NULL,
               retries = retries + %(counts)s,
               next_at = clock_timestamp() + %(wait)s * interval '1 s',
               finished_at = CASE WHEN %(status)s <> 'pending' THEN clock_timestamp() END
           WHERE delivery_id = %(id)s AND lease_id = %(lease_id)s""",
        status=status,
        reason=reason and storable(reason),
        counts=int(outcome.error is not None and not outcome.interrupted),
        wait=wait,
        id=taken["delivery_id"],
        lease_id=taken["lease_id"],
    )
    if not held:
        return None
    _note_attempt(taken, outcome)
    if taken["endpoint_id"] is not None and not outcome.skipped and not outcome.interrupted:
        _note_endpoint(taken["endpoint_id"], outcome)
    return status


def pause_after(retries: int, retry_after: float | None) -> float | None:
    """Seconds until the next try, after so many in vain; None: there is none."""
    if retries >= len(PAUSES):
        return None
    pause = PAUSES[retries] * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - to spread them, not to hide
    return max(pause, min(retry_after or 0, LONGEST_RETRY_AFTER))


def _verdict(outcome: Outcome, pause: float | None) -> tuple[str, str | None, float | None]:
    """Status, reason, and in how many seconds it is due again."""
    if outcome.delivered:
        return "delivered", None, None
    if outcome.skipped:
        return "skipped", outcome.skipped, None
    if outcome.interrupted:
        return "pending", None, 0.0
    if pause is None:
        return "failed", outcome.error, None
    return "pending", outcome.error, pause


def _note_attempt(taken: Row, outcome: Outcome) -> None:
    db.run(
        """UPDATE delivery_attempts SET duration_ms = %(duration_ms)s, status_code = %(status_code)s,
               error = %(error)s, response = %(response)s
           WHERE delivery_id = %(id)s AND number = %(number)s""",
        duration_ms=outcome.duration_ms or 0,
        status_code=outcome.status_code,
        error=storable(outcome.error or outcome.skipped or "") or None,
        response=storable(outcome.response or "")[:MOST_EXCERPT] or None,
        id=taken["delivery_id"],
        number=taken["attempts"],
    )


def _note_endpoint(endpoint_id: str, outcome: Outcome) -> None:
    """Whether anything gets through to it; one that wants no more, or was dead for days, is switched off."""
    if outcome.delivered:
        db.run(
            "UPDATE webhook_endpoints SET failing_since = NULL WHERE endpoint_id = %(id)s AND failing_since IS NOT NULL",
            id=endpoint_id,
        )
        return
    db.run(
        """UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, now()),
               enabled = enabled AND NOT (%(gone)s OR coalesce(failing_since < now() - %(days)s * interval '1 day', false)),
               disabled_reason = CASE
                   WHEN NOT enabled THEN disabled_reason
                   WHEN %(gone)s THEN 'It answered 410 Gone.'
                   WHEN failing_since < now() - %(days)s * interval '1 day'
                       THEN 'Nothing got through for %(days)s days; the last error: ' || %(error)s
               END
           WHERE endpoint_id = %(id)s""",
        gone=outcome.gone,
        days=ENDPOINT_DAYS,
        error=storable(outcome.error or "unknown"),
        id=endpoint_id,
    )


def page(
    *,
    owner: str | None = None,
    status: str | None = None,
    channel: str | None = None,
    endpoint_id: str | None = None,
    subject: tuple[str, str] | None = None,
    notification_id: str | None = None,
    event: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Row]:
    """Deliveries, the newest first, without payload; `before` is the last id of the page before."""
    wanted = {
        "owner = %(owner)s": owner,
        "status = %(status)s": status,
        "channel = %(channel)s": channel,
        "endpoint_id = %(endpoint_id)s": endpoint_id,
        "subject_type = %(subject_type)s": subject and subject[0],
        "subject_id = %(subject_id)s": subject and subject[1],
        "notification_id = %(notification_id)s": notification_id,
        "event = %(event)s": event,
        "delivery_id < %(before)s": before,
    }
    where = " AND ".join(["true", *(said for said, value in wanted.items() if value is not None)])
    return db.rows(
        f"SELECT {BRIEF} FROM deliveries WHERE {where} ORDER BY delivery_id DESC LIMIT %(limit)s",
        owner=owner,
        status=status,
        channel=channel,
        endpoint_id=endpoint_id,
        subject_type=subject and subject[0],
        subject_id=subject and subject[1],
        notification_id=notification_id,
        event=event,
        before=before,
        limit=limit,
    )


def counts(*, owner: str | None = None) -> dict[str, int]:
    """How many deliveries there are of each status."""
    found = db.rows(
        """SELECT status, count(*) AS n FROM deliveries
           WHERE %(owner)s::text IS NULL OR owner = %(owner)s GROUP BY status""",
        owner=owner,
    )
    return dict.fromkeys(STATUSES, 0) | {row["status"]: row["n"] for row in found}


def get(delivery_id: str) -> Row:
    """One delivery with its payload; raises NotFound."""
    row = db.row(f"SELECT {BRIEF}, payload FROM deliveries WHERE delivery_id = %(id)s", id=delivery_id)
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return row


def attempts(delivery_id: str) -> list[Row]:
    """The tries of a delivery in order: {number, at, duration_ms, status_code, error, response}."""
    return db.rows(
        """SELECT number, at, duration_ms, status_code, error, response FROM delivery_attempts
           WHERE delivery_id = %(id)s ORDER BY number""",
        id=delivery_id,
    )


def redeliver(delivery_id: str) -> Row:
    """Send it again at once, whatever became of it, under its old id and with all its tries; raises NotFound.

    One that is under way stays as it is.
    """
    db.run(
        """UPDATE deliveries SET status = 'pending', reason = NULL, retries = 0, next_at = clock_timestamp(),
               finished_at = NULL, lease_id = NULL, lease_until = NULL
           WHERE delivery_id = %(id)s AND (lease_until IS NULL OR lease_until < clock_timestamp())""",
        id=delivery_id,
    )
    db.after_commit(setup.wake)
    return get(delivery_id)


def purge(days: float, *, limit: int = MOST_AT_ONCE) -> int:
    """Forget up to `limit` each of notifications and deliveries that are older than `days`; answers how many."""
    return sum(
        db.run(
            f"""DELETE FROM {table} WHERE {key} IN (
                    SELECT {key} FROM {table} WHERE {column} < now() - %(days)s * interval '1 day'
                    ORDER BY {column} LIMIT %(limit)s)""",
            days=days,
            limit=limit,
        )
        for table, key, column in (
            ("deliveries", "delivery_id", "created_at"),
            ("notifications", "notification_id", "created_at"),
        )
    )
