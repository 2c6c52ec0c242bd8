"""GET /sessions: the workspaces that people and assistants share, and the forms to open one and to say what it is."""

from __future__ import annotations

import secrets
from typing import Any

from flask import flash, make_response, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand, may
from app.dashboard import https, sessions_seen
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Conflict, Invalid
from app.sessions import changes, queries

REFRESH_MS = 5_000
PAGE_SIZE = 50
FIELDS = ("title", "session_id", "participants", "callback_url")
LONGEST_CURSOR = 500
LONGEST = 200

_CURL = """curl -X POST {base}/api/v1/webhooks/session \\
  -H "Authorization: Bearer $CALLBOARD_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{"command": "create_session", "session_id": "morning_meeting_001",
       "payload": {{"id": "morning_meeting_001", "title": "Morning meeting", "participants": ["Ada", "Assistant"]}}}}'"""


def page() -> str:
    """GET /sessions, narrowed by `status` and `q`."""
    demand(asking(), "view_session")
    wanted, cursor = _wanted(), _cursor()
    return render_template(
        "sessions/page.html",
        listing=LISTING.embed({**wanted, **({"cursor": cursor} if cursor else {})}),
        wanted=wanted,
        looks=_looks(),
    )


def _wanted() -> dict[str, str]:
    """What the address asks for; unknown words are ignored."""
    found = {
        "q": asked().get("q", "").replace("\x00", "").strip()[:LONGEST],
        "status": asked().get("status", ""),
    }
    return {name: word for name, word in found.items() if word and (name == "q" or word in _looks())}


def _looks() -> dict[str, Look]:
    """The states one may ask for; those that were deleted only who may bring them back."""
    manages = may(asking(), "manage_session")
    return {name: seen for name, seen in sessions_seen.STANDS.items() if manages or name != "deleted"}


def _cursor() -> str | None:
    return asked().get("cursor", "").replace("\x00", "")[:LONGEST_CURSOR] or None


def _listing() -> Context:
    wanted, cursor = _wanted(), _cursor()
    status, deleted = wanted.get("status"), wanted.get("status") == "deleted"
    found = queries.page(
        asking(),
        status=None if deleted else status,
        q=wanted.get("q"),
        limit=PAGE_SIZE,
        cursor=cursor,
        deleted=deleted,
    )
    return {
        "sessions": [sessions_seen.shown(row) for row in found["items"]],
        "next": found["next_cursor"],
        "cursor": cursor,
        "wanted": wanted,
        "curl": _CURL.format(base=https.root()),
        "poll": every(REFRESH_MS),
    }


# -- forms


def new() -> str:
    """GET /new-session: an id is suggested."""
    demand(asking(), "create_session")
    return _form(None, {"session_id": _suggested()}, {})


def _suggested() -> str:
    return f"session_{clock.now():%Y%m%d}_{secrets.token_hex(2)}"


def creating() -> AnyResponse:
    """POST /new-session: the session's page, or the form again with what is wrong with it."""
    demand(asking(), "create_session")
    typed = sessions_seen.typed(*FIELDS)
    try:
        row = changes.create(
            typed["session_id"],
            who=asking(),
            title=typed["title"],
            participants=sessions_seen.words(typed["participants"]),
            callback_url=typed["callback_url"] or None,
        )
    except (Invalid, Conflict) as wrong:
        return _again(None, typed, wrong)
    db.session.commit()
    flash("The session is open.", "green")
    return redirect(url_for("dashboard.session", session_id=row["session_id"]), 303)


def edit(session_id: str) -> str:
    """GET /sessions/<session_id>/edit."""
    row = _mine(session_id)
    return _form(row, row | {"participants": ", ".join(row["participants"])}, {})


def changing(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/edit."""
    row, typed = _mine(session_id), sessions_seen.typed(*FIELDS)
    try:
        changes.change(
            row["session_id"],
            who=asking(),
            title=typed["title"],
            participants=sessions_seen.words(typed["participants"]),
            callback_url=typed["callback_url"] or None,
        )
    except (Invalid, Conflict) as wrong:
        return _again(row, typed, wrong)
    db.session.commit()
    flash("The session is changed.", "green")
    return redirect(url_for("dashboard.session", session_id=row["session_id"]), 303)


def _mine(session_id: str) -> Row:
    return sessions_seen.held(session_id, "manage_session")


def _again(row: Row | None, typed: dict[str, str], wrong: Invalid | Conflict) -> AnyResponse:
    db.session.rollback()
    taken = wrong if isinstance(wrong, Invalid) else Invalid(wrong.message, [("/session_id", wrong.message)])
    said = sessions_seen.by_field(taken)
    if "id" in said:
        said["session_id"] = said.pop("id")
    return make_response(_form(row, typed, said), 422)


def _form(row: Row | None, typed: dict[str, Any], wrong: dict[str, str]) -> str:
    shown = sessions_seen.shown(row) if row else None
    return render_template("sessions/form.html", session=shown, typed=typed, wrong=wrong)


LISTING = Panel(name="sessions", template="sessions/_list.html", read=_listing)
