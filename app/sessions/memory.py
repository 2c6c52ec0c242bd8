"""What a session remembers: a text under a key, found again by words, tags and importance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uuid_utils.compat

from app.db import Row, as_json, db, literal, storable
from app.errors import NotFound
from app.sessions import access, events, shapes

JSON = dict[str, Any]
_SHOWN = """memory_id::text, key, content, type, tags, importance, metadata, stored_by, version, created_at,
    updated_at"""
_EXCERPT = 300


def store(
    session_id: str,
    *,
    key: str,
    content: str,
    type: str = "fact",  # noqa: A002 - as the command has it
    tags: Sequence[str] = (),
    importance: int | str = 5,
    metadata: JSON | None = None,
    by: str,
) -> Row:
    """Remember `content` under `key`; what was there before is replaced, and its version counted up.

    `importance` is 1 (trifle) to 10, or low, medium, high, critical. A paused or completed session is a Conflict.
    """
    given = {
        "key": key,
        "content": content,
        "type": type,
        "tags": list(tags),
        "importance": importance,
        "metadata": metadata or {},
    }
    new = shapes.read(shapes.StoreMemory, given)
    access.open_to_content(session_id)
    row = db.row(
        f"""INSERT INTO memories AS m (memory_id, session_id, key, content, type, tags, importance, metadata, stored_by,
                created_at, updated_at)
            VALUES (%(memory_id)s, %(id)s, %(key)s, %(content)s, %(type)s, %(tags)s, %(importance)s, %(metadata)s,
                %(by)s, clock_timestamp(), clock_timestamp())
            ON CONFLICT (session_id, key) DO UPDATE SET content = excluded.content, type = excluded.type,
                tags = excluded.tags, importance = excluded.importance, metadata = excluded.metadata,
                stored_by = excluded.stored_by, version = m.version + 1, updated_at = clock_timestamp()
            RETURNING {_SHOWN}""",
        memory_id=str(uuid_utils.compat.uuid7()),
        id=session_id,
        key=new.key,
        content=new.content,
        type=new.type,
        tags=list(dict.fromkeys(new.tags)),
        importance=new.importance,
        metadata=as_json(new.metadata),
        by=by,
    )
    assert row is not None
    told = {name: row[name] for name in ("memory_id", "key", "type", "tags", "importance", "version")}
    events.append(session_id, "memory.stored", told | {"excerpt": new.content[:_EXCERPT]}, by)
    return row


def page(
    session_id: str,
    *,
    query: str = "",
    tags: Sequence[str] = (),
    type: str | None = None,  # noqa: A002
    min_importance: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Memories that have all the tags and the words; the best fit first, else the most important and newest.

    `query` is what people type into a search: words, "phrases", -without, or. Part of a key also fits.
    """
    return db.rows(
        f"""SELECT {_SHOWN} FROM memories
            WHERE session_id = %(id)s AND tags @> %(tags)s::text[]
              AND (%(type)s::text IS NULL OR type = %(type)s)
              AND (%(least)s::integer IS NULL OR importance >= %(least)s)
              AND (%(query)s = '' OR words @@ websearch_to_tsquery('english', %(query)s)
                   OR words @@ websearch_to_tsquery('simple', %(query)s) OR key ILIKE %(like)s)
            ORDER BY CASE WHEN %(query)s <> ''
                     THEN ts_rank(words, websearch_to_tsquery('english', %(query)s)) ELSE 0 END DESC,
                     importance DESC, updated_at DESC, memory_id
            LIMIT %(limit)s OFFSET %(offset)s""",
        id=session_id,
        tags=[storable(tag) for tag in tags],
        type=type,
        least=min_importance,
        query=(plain := storable(query).strip()),
        like=f"%{literal(plain)}%",
        limit=limit,
        offset=offset,
    )


def get(session_id: str, key: str) -> Row:
    """The memory under `key`; NotFound if there is none."""
    row = db.row(
        f"SELECT {_SHOWN} FROM memories WHERE session_id = %(id)s AND key = %(key)s",
        id=session_id,
        key=storable(key),
    )
    if row is None:
        raise _nothing(session_id, key)
    return row


def forget(session_id: str, key: str, *, by: str) -> None:
    """Remove the memory under `key` for good; NotFound if there is none."""
    access.open_to_content(session_id)
    if not db.value(
        """WITH gone AS (DELETE FROM memories WHERE session_id = %(id)s AND key = %(key)s RETURNING memory_id),
                meaning AS (DELETE FROM session_vectors USING gone WHERE kind = 'memory' AND subject_id = memory_id)
           SELECT memory_id FROM gone""",
        id=session_id,
        key=storable(key),
    ):
        raise _nothing(session_id, key)
    events.append(session_id, "memory.forgotten", {"key": key}, by)


def _nothing(session_id: str, key: str) -> NotFound:
    return NotFound(f"the session {session_id} remembers nothing under {key[:100]!r}")
