"""What every part of a session's page begins with: its row, who may see it, and how it is shown."""

from __future__ import annotations

from flask import request

from app.dashboard import links
from app.dashboard.htmx import every, once
from app.dashboard.session import asking, settings
from app.dashboard.words import Look, look
from app.db import Row
from app.errors import Invalid, NotFound
from app.sessions import access

CONTENT = "view_session_content"
RESTING_MS = 10_000
"""Between two looks at a session in which nothing is expected to happen."""

STANDS = {
    "active": Look("Active", "play", "green"),
    "paused": Look("Paused", "pause", "amber"),
    "completed": Look("Completed", "check", "grey"),
    "deleted": Look("Deleted", "slash", "red"),
}


def visible(session_id: str) -> Row:
    """The session's row, if it is there and may be seen; one that was deleted only by who may bring it back."""
    return once(("session", session_id), lambda: _found(session_id, "view_session"))


def readable(session_id: str) -> Row:
    """The session's row, if what was said and made there may be seen too."""
    return once(("session content", session_id), lambda: _found(session_id, CONTENT))


def _found(session_id: str, verb: str) -> Row:
    row = access.of(clean(session_id), asking(), verb, deleted=True)
    if row["deleted_at"] is not None and not allowed(row, "manage_session"):
        raise NotFound
    return row


def held(session_id: str, verb: str, *, deleted: bool = False) -> Row:
    """The session's row for a form that changes it: NotFound or Forbidden for those who may not `verb` it."""
    return access.of(clean(session_id), asking(), verb, deleted=deleted)


def allowed(row: Row, verb: str) -> bool:
    """Whether whoever asks may `verb` this session, which they were given."""
    return access.may(row, asking(), verb)


def takes(row: Row) -> bool:
    """Whether whoever asks may add to it as it is now."""
    return row["deleted_at"] is None and row["status"] == "active" and allowed(row, "join_session")


def clean(session_id: str) -> str:
    """An id from an address; NotFound for one that no text in the database can be."""
    if "\x00" in session_id:
        raise NotFound
    return session_id


def shown(row: Row) -> Row:
    """A session for lists and heads."""
    status = "deleted" if row["deleted_at"] else row["status"]
    return row | {
        "stands": status,
        "look": look(status, STANDS),
        "name": row["title"] or row["session_id"],
        "by": links.person(row["owner"]),
        "participants": row.get("participants", []),  # a viewer's row has none
    }


def pace(row: Row) -> str:
    """When to look again: soon while the session is active."""
    return every(settings().poll_running_ms if row["status"] == "active" else RESTING_MS)


def typed(*names: str) -> dict[str, str]:
    """What stands in these fields of the form that was sent, without line ends of other systems."""
    return {
        name: request.form.get(name, "").replace("\r\n", "\n").replace("\x00", "").strip() for name in names
    }


def words(text: str) -> list[str]:
    """A list that was typed with commas, semicolons or lines between."""
    parts = text.replace(";", ",").replace("\n", ",").split(",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def by_field(wrong: Invalid, *, under: str = "") -> dict[str, str]:
    """What is wrong by the name of the field, from pointers that begin with `under`; what fits none is under ""."""
    found: dict[str, list[str]] = {}
    for pointer, message in wrong.fields or [("", wrong.message)]:
        head = pointer.removeprefix(under).strip("/").partition("/")[0]
        found.setdefault(head, []).append(message)
    return {name: "; ".join(dict.fromkeys(messages)) for name, messages in found.items()}
