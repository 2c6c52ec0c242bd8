"""Who may do what with a session: its owner, who takes part in it, and the roles (app/accounts/permissions.py).

Whoever takes part is a name; if it is the e-mail address of a user, that user may look at everything and take part,
and only the owner and admins may say who takes part, pause, complete and delete.
"""

from __future__ import annotations

from app.accounts import permissions
from app.accounts.permissions import Access, Principal
from app.db import Row, db, storable
from app.errors import Conflict, Forbidden, NotFound

COLUMNS = """session_id, title, status, owner, participants, metadata, callback_url, summary, last_seq, message_count,
    created_at, updated_at, completed_at, deleted_at, deleted_by"""
OWNERS_ONLY = "manage_session"
_FORBIDDEN = (
    "Only the owner of a session changes, pauses, completes, deletes or restores it; you take part in it."
)


def of(
    session_id: str,
    who: Principal,
    verb: str = "view_session_content",
    *,
    hold: bool = False,
    deleted: bool = False,
) -> Row:
    """The session, if `who` may `verb` it; NotFound if there is none for them, Forbidden if their role has no such verb.

    `hold` locks its row until the end of the transaction; `deleted` also finds one that was deleted.
    """
    permissions.demand(who, verb)
    if who.job_id is not None:
        _demand_own(session_id, who, verb)
    row = find(session_id, hold=hold)
    if row is None or not (_owns(row, who, verb) or _takes_part(row, who)):
        raise NotFound(f"there is no session {session_id[:100]}")
    if row["deleted_at"] is not None and not deleted:
        raise NotFound(f"the session {session_id} was deleted; its owner can restore it")
    if verb == OWNERS_ONLY and not _owns(row, who, verb):
        raise Forbidden(_FORBIDDEN)
    return row


def _demand_own(session_id: str, who: Principal, verb: str) -> None:
    """The token of a running job is good for the session that the job works for, and not for what its owner decides."""
    if db.value("SELECT session_id FROM jobs WHERE job_id = %(job)s", job=who.job_id) != session_id:
        raise NotFound(f"there is no session {session_id[:100]}")
    if verb == OWNERS_ONLY:
        raise Forbidden("The token of a running job takes part in its session; it does not change or end it.")


def find(session_id: str, *, hold: bool = False) -> Row | None:
    """The session whoever asks, also a deleted one; None if there is none."""
    lock = " FOR NO KEY UPDATE" if hold else ""
    return db.row(
        f"SELECT {COLUMNS} FROM sessions WHERE session_id = %(id)s{lock}",
        id=storable(session_id),
    )


def living(session_id: str) -> Row:
    """The session, held until the end of the transaction, whoever asks; NotFound if there is none or it was deleted."""
    row = find(session_id, hold=True)
    if row is None or row["deleted_at"] is not None:
        raise NotFound(f"there is no session {session_id[:100]}")
    return row


def open_to_content(session_id: str) -> Row:
    """The session, held until the end of the transaction, if anything may be added to it; a Conflict says what to do."""
    row = living(session_id)
    if row["status"] == "paused":
        raise Conflict(
            f"the session {session_id} is paused; resume it before you add to it", allowed=["resume"]
        )
    if row["status"] == "completed":
        said = f"the session {session_id} is completed; set its status to active before you add to it"
        raise Conflict(said, allowed=["reopen"])
    return row


def seen_by(
    who: Principal, verb: str = "view_session", *, table: str = "sessions", deleted: bool = False
) -> tuple[str, dict[str, object]]:
    """A condition of SQL for the sessions that `who` may `verb`, and its values; `deleted`: only those that were.

    `table` is what the statement calls the table. Raises Forbidden for those who may not see any.
    """
    there = f"{table}.deleted_at IS {'NOT ' if deleted else ''}NULL"
    owner = permissions.own_only(who, verb)
    if owner is None:
        return there, {}
    mine = f"{table}.owner = %(seen_by)s"
    if verb == OWNERS_ONLY:
        return f"{there} AND {mine}", {"seen_by": owner}
    takes_part = f"{table}.participants @> ARRAY[%(seen_by_email)s::text]"
    return f"{there} AND ({mine} OR {takes_part})", {"seen_by": owner, "seen_by_email": who.email.lower()}


def _owns(row: Row, who: Principal, verb: str) -> bool:
    return permissions.may(who, verb, row["owner"])


def _takes_part(row: Row, who: Principal) -> bool:
    return bool(who.email) and who.email.lower() in row["participants"]


def may(row: Row, who: Principal, verb: str) -> bool:
    """Whether `who` may `verb` a session that they were given (`of`)."""
    if permissions.may(who, verb, row["owner"]):
        return True
    takes_part = permissions.access(who, verb) is Access.OWNER and _takes_part(row, who)
    return takes_part and verb != OWNERS_ONLY
