"""What can be read of hooks, their rules and what came in; never a secret."""

from __future__ import annotations

from typing import Any

import orjson

from app.db import Row, db
from app.errors import CallboardError, NotFound
from app.hooks import reading

COLUMNS = """hook_id::text, slug, name, provider, owner, ip_allowlist, enabled,
    CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS previous_until,
    last_received_at, last_refused_at, last_refusal, created_at, updated_at"""
RULE = (
    "rule_id::text, hook_id::text, place, name, events, conditions, action, enabled, created_at, updated_at"
)
_DELIVERY = """d.delivery_id::text, d.position, d.hook_id::text, h.slug AS hook, d.external_id, d.event, d.status,
    d.results, d.times_received, d.replay_of::text, d.replayed_by, d.ip, d.received_at,
    octet_length(d.body) AS size"""


def page(owner: str | None = None) -> list[Row]:
    """All hooks, or those of one owner, by slug; with `rules` and `day`, how many rules and deliveries of a day each has."""
    return db.rows(
        f"""SELECT {COLUMNS}, (SELECT count(*) FROM hook_rules r WHERE r.hook_id = h.hook_id) AS rules,
                   (SELECT count(*) FROM hook_deliveries d WHERE d.hook_id = h.hook_id
                       AND d.received_at > now() - interval '1 day') AS day
            FROM hooks h WHERE %(owner)s::text IS NULL OR owner = %(owner)s ORDER BY slug""",
        owner=owner,
    )


def get(hook_id: str) -> Row:
    """One hook; raises NotFound."""
    row = db.row(f"SELECT {COLUMNS} FROM hooks WHERE hook_id = %(id)s", id=hook_id)
    if row is None:
        raise NotFound(f"There is no hook {hook_id}.")
    return row


def by_slug(slug: str) -> Row:
    """One hook by its address; raises NotFound."""
    row = db.row(f"SELECT {COLUMNS} FROM hooks WHERE slug = %(slug)s", slug=slug)
    if row is None:
        raise NotFound(f"There is no hook {slug}.")
    return row


def rules(hook_id: str) -> list[Row]:
    """The rules of a hook, in their order."""
    return db.rows(
        f"SELECT {RULE} FROM hook_rules WHERE hook_id = %(id)s ORDER BY place, rule_id", id=hook_id
    )


def rule(hook_id: str, rule_id: str) -> Row:
    """One rule of a hook; raises NotFound."""
    row = db.row(
        f"SELECT {RULE} FROM hook_rules WHERE hook_id = %(hook)s AND rule_id = %(rule)s",
        hook=hook_id,
        rule=rule_id,
    )
    if row is None:
        raise NotFound(f"There is no rule {rule_id}.")
    return row


def deliveries(
    hook_id: str,
    *,
    status: str | None = None,
    event: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Row]:
    """What came in, newest first, without the bodies; `before` is the position of the last of the page before."""
    return db.rows(
        f"""SELECT {_DELIVERY} FROM hook_deliveries d JOIN hooks h USING (hook_id)
            WHERE d.hook_id = %(hook)s AND (%(status)s::text IS NULL OR d.status = %(status)s)
              AND (%(event)s::text IS NULL OR d.event = %(event)s)
              AND (%(before)s::bigint IS NULL OR d.position < %(before)s)
            ORDER BY d.position DESC LIMIT %(limit)s""",
        hook=hook_id,
        status=status,
        event=event,
        before=before,
        limit=limit,
    )


def delivery(hook_id: str, delivery_id: str) -> Row:
    """One delivery with `headers` and `body` (JSON as it was understood, else text); raises NotFound."""
    row = whole(delivery_id)
    if row is None or row["hook_id"] != hook_id:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return row | {"body": _shown(row)}


def whole(delivery_id: str) -> Row | None:
    """One delivery with its headers and the bytes of its body; None if there is none."""
    row = db.row(
        f"""SELECT {_DELIVERY}, d.headers, d.body FROM hook_deliveries d JOIN hooks h USING (hook_id)
            WHERE d.delivery_id = %(id)s""",
        id=delivery_id,
    )
    return row | {"body": bytes(row["body"])} if row else None


def _shown(row: Row) -> Any:
    try:
        body = reading.again(row["event"], row["headers"], row["body"], row["external_id"]).body
        orjson.dumps({"body": body})  # more levels can be read than written
    except (CallboardError, orjson.JSONEncodeError):
        return row["body"].decode(errors="replace")
    return body
