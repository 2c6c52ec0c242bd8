"""What is said in a session: pieces of a conversation, each at its place, 1, 2, 3 … without gaps."""

from __future__ import annotations

from typing import Any

import uuid_utils.compat

from app import clock
from app.db import Row, as_json, db
from app.errors import Invalid
from app.sessions import access, events, processing, shapes

JSON = dict[str, Any]
MOST_CHARACTERS = 2_000_000
"""Of one batch."""
_EXCERPT = 300
_MOST_TOLD = 100
"""Ids in one event; of a larger batch the places say which they are."""
_SHOWN = "message_id::text, place, speaker, text, said_at, metadata, added_by, added_at"


def add(session_id: str, chunks: list[JSON], *, by: str) -> list[str]:
    """Say something: {speaker, text, timestamp?, metadata?} each; answers their ids, in their order.

    All of them or none, one after the other whatever else is said at the same time; one event for all of them. Invalid
    names wrong places below /chunks; a paused or completed session is a Conflict.
    """
    said = shapes.read(shapes.ConversationBatch, {"chunks": chunks}).chunks
    if sum(len(each.text) for each in said) > MOST_CHARACTERS:
        words = f"must be at most {MOST_CHARACTERS:,} characters together; send them in several batches"
        raise Invalid(f"/chunks: {words}", [("/chunks", words)])
    session = access.open_to_content(session_id)
    first = session["message_count"] + 1
    now = clock.now()
    ids = [str(uuid_utils.compat.uuid7()) for _ in said]
    db.insert_many(
        """INSERT INTO session_messages
               (message_id, session_id, place, speaker, text, said_at, metadata, added_by, added_at) VALUES %s""",
        [
            (
                message_id,
                session_id,
                place,
                each.speaker,
                each.text,
                each.timestamp,
                as_json(each.metadata),
                by,
                now,
            )
            for place, (message_id, each) in enumerate(zip(ids, said, strict=True), first)
        ],
    )
    db.run(
        "UPDATE sessions SET message_count = message_count + %(more)s WHERE session_id = %(id)s",
        id=session_id,
        more=len(ids),
    )
    last = said[-1]
    told = {
        "message_ids": ids[:_MOST_TOLD],
        "count": len(ids),
        "first_place": first,
        "last_place": first + len(ids) - 1,
        "speakers": list(dict.fromkeys(each.speaker for each in said))[:20],
        "excerpt": last.text[:_EXCERPT],
    }
    events.append(session_id, "conversation.added", told, by)
    processing.after_batch(session, by=by, first_place=first)
    return ids


def page(session_id: str, after: int = 0, limit: int = 100) -> list[Row]:
    """What was said behind the place `after`: {message_id, place, speaker, text, said_at, metadata, added_by, added_at}."""
    return db.rows(
        f"""SELECT {_SHOWN} FROM session_messages WHERE session_id = %(id)s AND place > %(after)s
            ORDER BY place LIMIT %(limit)s""",
        id=session_id,
        after=after,
        limit=limit,
    )


def newest(session_id: str, limit: int = 100) -> list[Row]:
    """What was said last, oldest first."""
    rows = db.rows(
        f"""SELECT {_SHOWN} FROM session_messages WHERE session_id = %(id)s ORDER BY place DESC LIMIT %(limit)s""",
        id=session_id,
        limit=limit,
    )
    return rows[::-1]
