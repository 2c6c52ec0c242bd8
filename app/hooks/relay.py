"""What came in, in order, for whoever forwards it to a place that cannot be reached from outside."""

from __future__ import annotations

from app.accounts.permissions import Principal, own_only
from app.db import Row, db

LARGEST_PAGE = 8_000_000
"""Bytes of the bodies of one page; a larger one comes alone."""


def after(who: Principal, cursor: int, limit: int, hook: str | None = None) -> list[Row]:
    """Deliveries behind a position, oldest first, of the hooks that `who` may see, or of one by its slug.

    {position, delivery_id, hook, event, headers, body, received_at, replay_of}; raises Forbidden.
    """
    return db.rows(
        """WITH seen AS (
               SELECT d.delivery_id, d.position, h.slug, octet_length(d.body) AS size
               FROM hook_deliveries d JOIN hooks h USING (hook_id)
               WHERE d.position > %(cursor)s AND (%(owner)s::text IS NULL OR h.owner = %(owner)s)
                 AND (%(hook)s::text IS NULL OR h.slug = %(hook)s)
               ORDER BY d.position LIMIT %(limit)s),
           summed AS (SELECT *, sum(size) OVER (ORDER BY position) AS until FROM seen)
           SELECT d.position, d.delivery_id::text, s.slug AS hook, d.event, d.headers, d.body, d.received_at,
                  d.replay_of::text
           FROM summed s JOIN hook_deliveries d USING (delivery_id)
           WHERE s.until <= %(largest)s OR s.until = s.size ORDER BY d.position""",
        cursor=cursor,
        owner=own_only(who, "view_hooks"),
        hook=hook,
        limit=limit,
        largest=LARGEST_PAGE,
    )


def newest(who: Principal, hook: str | None = None) -> int:
    """The position of the newest delivery that `after` would answer; 0 if there is none."""
    return int(
        db.value(
            """SELECT coalesce(max(d.position), 0) FROM hook_deliveries d JOIN hooks h USING (hook_id)
               WHERE (%(owner)s::text IS NULL OR h.owner = %(owner)s)
                 AND (%(hook)s::text IS NULL OR h.slug = %(hook)s)""",
            owner=own_only(who, "view_hooks"),
            hook=hook,
        )
    )
