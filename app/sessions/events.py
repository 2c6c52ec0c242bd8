"""What happens in a session, in order: numbered without gaps under the lock of the session's row, read by a cursor.

Whoever has read up to a number misses nothing later: the next number is not given before this one is committed. Each
is also sent, signed, to the session's callback address, by the courier and after the commit.
"""

from __future__ import annotations

from typing import Any

from app import clock
from app.db import Row, as_json, db
from app.errors import NotFound
from app.notify import deliveries, messages
from app.notify.events import Event
from app.notify.messages import News

JSON = dict[str, Any]

TYPES: dict[str, str] = {
    "session.created": "The session was made",
    "session.updated": "The session was changed",
    "session.paused": "The session was paused",
    "session.resumed": "The session goes on",
    "session.completed": "The session was completed",
    "session.deleted": "The session was deleted",
    "session.restored": "The session was restored",
    "conversation.added": "Something was said",
    "memory.stored": "Something was remembered",
    "memory.forgotten": "Something was forgotten",
    "artifact.added": "Something was made",
    "artifact.removed": "Something made was removed",
    "job.delegated": "A job was handed out",
    "job.completed": "A job is done",
    "job.failed": "A job failed",
    "job.cancelled": "A job was cancelled",
    "summary.made": "A summary was made",
    "workflow.started": "A workflow was started",
    "workflow.finished": "A workflow is over",
}
"""Every event has a title here, and one that is not here is a programming error."""
MOST_AT_ONCE = 500


def append(session_id: str, type: str, data: JSON, by: str = "", *, also_to: str | None = None) -> int:  # noqa: A002
    """Write down that something happened, and answer its number; NotFound if there is no such session.

    It holds the session's row until the end of the transaction, and sends it to the session's callback address unless
    the session was deleted, and to `also_to`. Put neither parameters nor secrets into `data`, and keep it below 15 kB:
    of a larger one nothing but its type and number is sent.
    """
    if type not in TYPES:
        msg = f"there is no event {type!r} of sessions; app/sessions/events.py lists them"
        raise ValueError(msg)
    row = db.row(
        """WITH told AS (
               UPDATE sessions SET last_seq = last_seq + 1, updated_at = clock_timestamp()
               WHERE session_id = %(id)s RETURNING session_id, last_seq, owner,
                   CASE WHEN deleted_at IS NULL THEN callback_url END AS callback_url)
           INSERT INTO session_events AS e (session_id, seq, type, data, by)
           SELECT session_id, last_seq, %(type)s, %(data)s, %(by)s FROM told
           RETURNING seq, at, (SELECT owner FROM told), (SELECT callback_url FROM told)""",
        id=session_id,
        type=type,
        data=as_json(data),
        by=by,
    )
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    event = {"seq": row["seq"], "type": type, "data": data, "by": by, "at": row["at"]}
    addresses = dict.fromkeys(filter(None, (row["callback_url"], also_to)))
    deliveries.add([_callback(session_id, row["owner"], event, url) for url in addresses])
    return int(row["seq"])


def send(session_id: str, url: str, *, after: int) -> int:
    """Send what happened behind the number `after` to another address as well; answers how many there were.

    Nothing, if it is the session's own callback address, which has been told.
    """
    row = db.row("SELECT owner, callback_url FROM sessions WHERE session_id = %(id)s", id=session_id)
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    rows = _behind(session_id, after, MOST_AT_ONCE) if row["callback_url"] != url else []
    deliveries.add([_callback(session_id, row["owner"], each, url) for each in rows])
    return len(rows)


def after(session_id: str, cursor: int = 0, limit: int = 100) -> tuple[list[Row], int]:
    """What happened behind the number `cursor`, oldest first: {seq, type, data, by, at}, and the next cursor."""
    rows = _behind(session_id, max(0, cursor), limit)
    return rows, rows[-1]["seq"] if rows else max(0, cursor)


def newest(session_id: str, limit: int = 100) -> list[Row]:
    """What happened last, oldest first."""
    rows = db.rows(
        """SELECT seq, type, data, by, at FROM session_events
           WHERE session_id = %(id)s ORDER BY seq DESC LIMIT %(limit)s""",
        id=session_id,
        limit=limit,
    )
    return rows[::-1]


def _behind(session_id: str, cursor: int, limit: int) -> list[Row]:
    return db.rows(
        """SELECT seq, type, data, by, at FROM session_events
           WHERE session_id = %(id)s AND seq > %(cursor)s ORDER BY seq LIMIT %(limit)s""",
        id=session_id,
        cursor=min(cursor, 2**63 - 1),
        limit=max(1, min(limit, MOST_AT_ONCE)),
    )


def _callback(session_id: str, owner: str, event: JSON, url: str) -> Row:
    """An event as it is sent: the session's id with it, its time as text; signed with the owner's callback secret."""
    news = News(
        event=Event(event["type"], TYPES[event["type"]]),
        title=TYPES[event["type"]],
        audience=owner,
        owner=owner,
        subject=("session", session_id),
    )
    told = {name: event[name] for name in ("seq", "type", "by", "data")}
    return messages.callback(news, url, {"session_id": session_id, "at": clock.iso(event["at"])} | told)
