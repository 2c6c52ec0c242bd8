"""Reading sessions: lists, one with everything in it, and figures. Who sees what is decided in access.py."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from app.accounts import queries as accounts
from app.accounts.permissions import Principal
from app.db import Row, db, literal, storable
from app.errors import Invalid
from app.jobs import document as jobs
from app.sessions import access, delegating, events, made, memory, talk
from app.sessions.access import COLUMNS

JSON = dict[str, Any]
MOST = 100
STATUSES = ("active", "paused", "completed")
_COUNTS = """(SELECT count(*) FROM memories m WHERE m.session_id = s.session_id) AS memory_count,
    (SELECT count(*) FROM session_artifacts a WHERE a.session_id = s.session_id) AS artifact_count,
    (SELECT count(*) FROM jobs j WHERE j.session_id = s.session_id) AS job_count,
    (SELECT count(*) FROM jobs j WHERE j.session_id = s.session_id AND j.finished_at IS NULL) AS open_job_count"""
_CONTENT = ("participants", "metadata", "callback_url", "summary")
EVERYTHING = 1_000_000_000


def page(
    who: Principal,
    *,
    status: str | None = None,
    q: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    deleted: bool = False,
) -> JSON:
    """The sessions that `who` may see, the one that changed last first: {items, next_cursor}.

    `q` is looked for in titles and ids; `deleted` lists instead those that can be restored. Raises Invalid for a
    status or a cursor that cannot be.
    """
    verb = "manage_session" if deleted else "view_session"
    seen, values = access.seen_by(who, verb, table="s", deleted=deleted)
    if status is not None and status not in STATUSES:
        words = f"must be one of {', '.join(STATUSES)}"
        raise Invalid(f"status {words}", [("/status", words)])
    behind = _read(cursor) if cursor else None
    plain = storable(q or "").strip()
    rows = db.rows(
        f"""SELECT {COLUMNS}, {_COUNTS} FROM sessions s
            WHERE {seen} AND (%(status)s::text IS NULL OR status = %(status)s)
              AND (%(at)s::timestamptz IS NULL OR (updated_at, session_id) < (%(at)s, %(id)s))
              AND (%(q)s = '' OR words @@ websearch_to_tsquery('simple', %(q)s)
                   OR session_id ILIKE %(like)s OR title ILIKE %(like)s)
            ORDER BY updated_at DESC, session_id DESC LIMIT %(limit)s""",
        **values,
        status=status,
        at=behind and behind[0],
        id=behind and behind[1],
        q=plain,
        like=f"%{literal(plain)}%",
        limit=(most := max(1, min(limit, MOST))) + 1,
    )
    more = len(rows) > most
    names = accounts.emails(list({row["owner"] for row in rows}))
    items = [shown(row, who, names) for row in rows[:most]]
    return {"items": items, "next_cursor": _mark(rows[most - 1]) if more else None}


def one(session_id: str, who: Principal) -> JSON:
    """A session as lists show it, with its figures; NotFound if there is none for them."""
    row = access.of(session_id, who, "view_session")
    return shown(row | counts(session_id), who, accounts.emails([row["owner"]]))


def shown(row: Row, who: Principal, names: dict[str, str]) -> JSON:
    """What `who` may see of a row; `names` are the addresses of owners. Its callback address is for those who manage it."""
    facts = {name: value for name, value in row.items() if name not in _CONTENT}
    facts["owner_email"] = names.get(row["owner"])
    if access.may(row, who, "view_session_content"):
        facts |= {name: row[name] for name in _CONTENT if name != "callback_url"}
        manages = access.may(row, who, "manage_session")
        facts["callback_url"] = row["callback_url"] if manages else None
        facts["has_callback"] = row["callback_url"] is not None
    facts["actions"] = actions(row, who)
    return facts


def actions(row: Row, who: Principal) -> list[str]:
    """What `who` may do with the session now."""
    possible = []
    if row["deleted_at"] is not None:
        return ["restore"] if access.may(row, who, "manage_session") else []
    if row["status"] == "active" and access.may(row, who, "join_session"):
        possible.append("add")
    if access.may(row, who, "manage_session"):
        moves = {"active": ["pause", "complete"], "paused": ["resume", "complete"], "completed": ["reopen"]}
        possible += ["update", *moves[row["status"]], "delete"]
    return possible


def counts(session_id: str) -> Row:
    """How much there is of what: {memory_count, artifact_count, job_count, open_job_count}."""
    found = db.row(f"SELECT {_COUNTS} FROM (SELECT %(id)s::text AS session_id) s", id=session_id)
    assert found is not None
    return found


def document(session_id: str, who: Principal, *, most: int | None = 500) -> JSON:
    """The whole session: its facts, and messages, memories, artifacts, jobs and events of it.

    Of each kind the newest `most`; None: all, with the texts of the artifacts. `left_out` says how many more there are.
    """
    row = access.of(session_id, who, "view_session_content")
    limit = EVERYTHING if most is None else most
    facts = shown(row | counts(session_id), who, accounts.emails([row["owner"]]))
    parts: dict[str, list[Row]] = {
        "messages": talk.newest(session_id, limit),
        "memories": memory.page(session_id, limit=limit),
        "artifacts": made.page(session_id, limit=limit, texts=most is None),
        "jobs": [jobs.brief(job, who) for job in delegating.jobs(session_id, limit=limit)],
        "events": events.newest(session_id, limit),
    }
    there = {
        "messages": row["message_count"],
        "memories": facts["memory_count"],
        "artifacts": facts["artifact_count"],
        "jobs": facts["job_count"],
        "events": row["last_seq"],
    }
    left_out = {name: more for name, part in parts.items() if (more := there[name] - len(part)) > 0}
    return {**facts, **parts, "left_out": left_out}


def _mark(row: Row) -> str:
    mark = f"{row['updated_at'].astimezone(UTC).isoformat()}|{row['session_id']}"
    return base64.urlsafe_b64encode(mark.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, _, session_id = text.partition("|")
        return datetime.fromisoformat(moment).astimezone(UTC), storable(session_id)
    except (ValueError, binascii.Error, OverflowError) as error:
        raise Invalid("The cursor is not one of ours.", [("/cursor", "take next_cursor as it is")]) from error
