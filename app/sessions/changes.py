"""What people do to a session as a whole: make, change, pause, complete, delete and restore it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from app import audit
from app.accounts import permissions
from app.accounts.permissions import Principal
from app.db import Row, as_json, db
from app.errors import Conflict
from app.sessions import access, events, shapes
from app.sessions.access import COLUMNS

JSON = dict[str, Any]


class Left(Enum):
    """Nothing was said of it."""

    OUT = 0


OUT = Left.OUT
MOST_AT_ONCE = 200
"""So many sessions are removed by one transaction."""
_EVENT_OF = {"active": "session.resumed", "paused": "session.paused", "completed": "session.completed"}


def create(
    session_id: str,
    *,
    who: Principal,
    title: str = "",
    participants: Sequence[str] = (),
    metadata: JSON | None = None,
    callback_url: str | None = None,
) -> Row:
    """A new session of `who` under an id of their choice; Conflict if it is taken, also by one that was deleted."""
    permissions.demand(who, "create_session")
    given = {
        "id": session_id,
        "title": title,
        "participants": list(participants),
        "metadata": metadata or {},
        "callback_url": callback_url,
    }
    new = shapes.read(shapes.CreateSession, given)
    made = db.row(
        f"""INSERT INTO sessions (session_id, title, owner, participants, metadata, callback_url, created_at, updated_at)
            VALUES (%(id)s, %(title)s, %(owner)s, %(participants)s, %(metadata)s, %(callback_url)s,
                    clock_timestamp(), clock_timestamp())
            ON CONFLICT (session_id) DO NOTHING RETURNING {COLUMNS}""",
        id=new.id,
        title=new.title,
        owner=who.user_id,
        participants=new.participants,
        metadata=as_json(new.metadata),
        callback_url=new.callback_url,
    )
    if made is None:
        raise Conflict(f"there is a session {new.id} already, perhaps a deleted one; choose another id")
    events.append(made["session_id"], "session.created", {"title": new.title}, who.user_id)
    _note("session.created", made["session_id"], who, {"participants": len(new.participants)})
    return _now(made["session_id"])


def change(
    session_id: str,
    *,
    who: Principal,
    title: str | None = None,
    participants: Sequence[str] | None = None,
    metadata: JSON | None = None,
    callback_url: str | Left | None = OUT,
    status: str | None = None,
) -> Row:
    """Change what is said and leave the rest; `callback_url` None: nobody is told any more.

    `status` active resumes a paused session and reopens a completed one; the status it has is no error.
    """
    people = None if participants is None else list(participants)
    said = {"title": title, "participants": people, "metadata": metadata, "status": status}
    given: JSON = {name: value for name, value in said.items() if value is not None}
    if callback_url is not OUT:
        given["callback_url"] = callback_url
    wish = shapes.read(shapes.UpdateSession, given)
    row = access.of(session_id, who, "manage_session", hold=True)
    _write(row, wish, who)
    _move(row, wish.status, who)
    return _now(session_id)


def _write(row: Row, wish: shapes.UpdateSession, who: Principal) -> None:
    """What is told of the session, with one event that names what became different."""
    told = wish.model_dump(exclude={"status"}, exclude_unset=True)
    new = {name: value for name, value in told.items() if value != row[name]}
    if not new:
        return
    values = row | new
    db.run(
        """UPDATE sessions SET title = %(title)s, participants = %(participants)s, metadata = %(metadata)s,
               callback_url = %(callback_url)s WHERE session_id = %(id)s""",
        id=row["session_id"],
        title=values["title"],
        participants=values["participants"],
        metadata=as_json(values["metadata"]),
        callback_url=values["callback_url"],
    )
    shown = {"title": new["title"]} if "title" in new else {}
    events.append(row["session_id"], "session.updated", {"changed": sorted(new)} | shown, who.user_id)
    _note("session.updated", row["session_id"], who, {"changed": sorted(new)})


def _move(row: Row, status: str | None, who: Principal) -> None:
    if status is None or status == row["status"]:
        return
    db.run(
        """UPDATE sessions SET status = %(status)s,
               completed_at = CASE WHEN %(status)s = 'completed' THEN clock_timestamp() END
           WHERE session_id = %(id)s""",
        id=row["session_id"],
        status=status,
    )
    told = {"status": status, "before": row["status"]}
    events.append(row["session_id"], _EVENT_OF[status], told, who.user_id)
    _note(_EVENT_OF[status], row["session_id"], who, told)


def delete(session_id: str, *, who: Principal) -> Row:
    """Take a session out of every list; it can be restored until retention removes it, and its id stays taken.

    Jobs that it handed out go on. Deleting twice is no error.
    """
    row = access.of(session_id, who, "manage_session", hold=True, deleted=True)
    if row["deleted_at"] is None:
        events.append(
            session_id, "session.deleted", {}, who.user_id
        )  # while its callback address still counts
        db.run(
            "UPDATE sessions SET deleted_at = clock_timestamp(), deleted_by = %(by)s WHERE session_id = %(id)s",
            id=session_id,
            by=who.user_id,
        )
        _note("session.deleted", session_id, who, {})
    return _now(session_id)


def restore(session_id: str, *, who: Principal) -> Row:
    """Bring a deleted session back as it was; restoring one that is there is no error."""
    row = access.of(session_id, who, "manage_session", hold=True, deleted=True)
    if row["deleted_at"] is not None:
        db.run(
            "UPDATE sessions SET deleted_at = NULL, deleted_by = NULL WHERE session_id = %(id)s",
            id=session_id,
        )
        events.append(session_id, "session.restored", {}, who.user_id)
        _note("session.restored", session_id, who, {})
    return _now(session_id)


def purge(days: int, limit: int = MOST_AT_ONCE) -> int:
    """Remove sessions that were deleted so many days ago, with all that is in them; answers how many.

    Jobs and runs that they handed out have a retention of their own. The ids are free again, so these forget whose they
    were: another session of that id must neither show them nor hear of them.
    """
    rows = db.rows(
        """DELETE FROM sessions WHERE session_id IN (
               SELECT session_id FROM sessions WHERE deleted_at < now() - %(days)s * interval '1 day'
               ORDER BY deleted_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING session_id""",
        days=days,
        limit=limit,
    )
    gone = [row["session_id"] for row in rows]
    for table in ("jobs", "workflows") if gone else ():
        db.run(f"UPDATE {table} SET session_id = NULL WHERE session_id = ANY(%(gone)s)", gone=gone)
    return len(gone)


def _now(session_id: str) -> Row:
    found = access.find(session_id)
    assert found is not None
    return found


def _note(action: str, session_id: str, who: Principal, details: JSON) -> None:
    audit.record(action, actor=who.user_id, subject=session_id, details=details)
