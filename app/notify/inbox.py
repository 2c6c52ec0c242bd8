"""The inbox: what a person was told, and, for admins, what all admins were told; read by each for themselves.

A notification that counts up after somebody has read it is unread again: what they saw was less.
"""

from __future__ import annotations

from app.db import Row, db
from app.errors import NotFound

_UNREAD = "(r.at IS NULL OR r.at < n.updated_at)"
_FROM = """FROM notifications n
    LEFT JOIN notification_reads r ON r.notification_id = n.notification_id AND r.user_id = %(user_id)s
    WHERE n.audience = ANY(%(audiences)s)"""
# No bubble needs to say more than that; among so many of the newest is counted, so that asking stays cheap.
MOST_COUNTED = 1000


def audiences(user_id: str, *, is_admin: bool) -> list[str]:
    """Whose news somebody reads."""
    return [user_id, "admins"] if is_admin else [user_id]


def page(
    user_id: str, *, is_admin: bool, unread: bool = False, before: str | None = None, limit: int = 50
) -> list[Row]:
    """Notifications, the newest first, each with `unread`; `before` is the last id of the page before."""
    return db.rows(
        f"""SELECT n.notification_id::text, n.event, n.severity, n.title, n.body, n.link, n.audience, n.subject_type,
                   n.subject_id, n.count, n.data, n.created_at, n.updated_at, {_UNREAD} AS unread
            {_FROM} AND (%(before)s::uuid IS NULL OR n.notification_id < %(before)s::uuid)
              AND (NOT %(only)s OR {_UNREAD})
            ORDER BY n.notification_id DESC LIMIT %(limit)s""",
        user_id=user_id,
        audiences=audiences(user_id, is_admin=is_admin),
        before=before,
        only=unread,
        limit=limit,
    )


def one(notification_id: str, user_id: str, *, is_admin: bool) -> Row:
    """{notification_id, title, severity, link} of one of theirs; raises NotFound for any other."""
    row = db.row(
        f"SELECT n.notification_id::text, n.title, n.severity, n.link {_FROM} AND n.notification_id = %(one)s::uuid",
        user_id=user_id,
        audiences=audiences(user_id, is_admin=is_admin),
        one=notification_id,
    )
    if row is None:
        raise NotFound(f"There is no notification {notification_id}.")
    return row


def unread(user_id: str, *, is_admin: bool) -> int:
    """How many are unread among the newest MOST_COUNTED; every page asks, again and again."""
    return int(
        db.value(
            f"""SELECT count(*) FROM (
                    SELECT f.* FROM unnest(%(audiences)s) AS a(audience) CROSS JOIN LATERAL (
                        SELECT notification_id, updated_at FROM notifications WHERE audience = a.audience
                        ORDER BY notification_id DESC LIMIT {MOST_COUNTED}) f
                    ORDER BY f.notification_id DESC LIMIT {MOST_COUNTED}) n
                WHERE coalesce((SELECT r.at FROM notification_reads r WHERE r.notification_id = n.notification_id
                                AND r.user_id = %(user_id)s) < n.updated_at, true)""",
            user_id=user_id,
            audiences=audiences(user_id, is_admin=is_admin),
        )
    )


def mark_read(notification_id: str, user_id: str, *, is_admin: bool) -> None:
    """Somebody has seen one, as far as it has counted now; raises NotFound for what is not theirs."""
    if not _mark("AND n.notification_id = %(one)s::uuid", user_id, is_admin=is_admin, one=notification_id):
        raise NotFound(f"There is no notification {notification_id}.")


def mark_all_read(user_id: str, *, is_admin: bool) -> int:
    """Somebody has seen all there is now; answers how many were unread."""
    return _mark(f"AND {_UNREAD}", user_id, is_admin=is_admin)


def _mark(which: str, user_id: str, *, is_admin: bool, one: str | None = None) -> int:
    return db.run(
        f"""INSERT INTO notification_reads (notification_id, user_id, at)
            SELECT n.notification_id, %(user_id)s, n.updated_at {_FROM} {which}
            ON CONFLICT (notification_id, user_id) DO UPDATE SET at = excluded.at""",
        user_id=user_id,
        audiences=audiences(user_id, is_admin=is_admin),
        one=one,
    )
