"""Collaborative sessions: make, find, change, delete, restore and export them; follow what happens in them."""

from __future__ import annotations

import re
from typing import Any

from flask import Response

from app import clock
from app.accounts import queries as accounts
from app.api import conditional
from app.api.answers import Answer, dumps
from app.api.auth import current_principal
from app.api.glue import op
from app.api.pace import come_back, pace
from app.api.session_shapes import (
    PartsQuery,
    SessionEventsOut,
    SessionId,
    SessionOut,
    SessionsOut,
    SessionsQuery,
    SummaryOut,
)
from app.db import Row
from app.errors import Invalid
from app.polling import hints
from app.sessions import access, changes, delegating, events, queries, summary
from app.sessions.shapes import CreateSession, UpdateSession
from app.sessions.sources import FORMAT

JSON = dict[str, Any]


@op("GET", "/api/v1/sessions", verb="view_session", out=SessionsOut, errors=(422,))
def list_sessions(query: SessionsQuery) -> JSON:
    """List the sessions that you own or take part in, the one that changed last first; admins and viewers see all."""
    found = queries.page(
        current_principal(),
        status=query.status,
        q=query.q,
        limit=query.limit,
        cursor=query.cursor,
        deleted=query.deleted,
    )
    return {"sessions": [_linked(each) for each in found["items"]], "next_cursor": found["next_cursor"]}


@op(
    "POST",
    "/api/v1/sessions",
    verb="create_session",
    out=SessionOut,
    status=201,
    errors=(409,),
    idempotent=True,
)
def create_session(body: CreateSession) -> Answer:
    """Make a session under an id of your choice; an id that was ever taken stays taken."""
    if body.id is None:
        raise Invalid("A session needs an id.", [("/id", "is required")])
    told = body.model_dump(exclude={"id"})
    row = changes.create(body.id, who=current_principal(), **told)
    shown = _shown(row)
    return Answer(shown, headers={"Location": shown["links"]["self"]})


@op(
    "GET",
    "/api/v1/sessions/<session_id>",
    verb="view_session",
    out=SessionOut,
    errors=(404,),
    conditional=True,
)
def get_session(session_id: SessionId) -> Answer:
    """Show a session with its figures; who may only know that it is there sees nothing of what stands in it."""
    row = access.of(session_id, current_principal(), "view_session")
    return conditional.answer(f'"{row["last_seq"]}"', lambda: _shown(row))


@op("PATCH", "/api/v1/sessions/<session_id>", verb="manage_session", out=SessionOut, errors=(404, 409))
def change_session(session_id: SessionId, body: UpdateSession) -> JSON:
    """Change title, participants, metadata, callback address or status; what is left out stays.

    The status `paused` takes nothing new until it is `active` again; `completed` is the end, and `active` reopens it.
    """
    row = changes.change(session_id, who=current_principal(), **body.model_dump(exclude_unset=True))
    return _shown(row)


@op("DELETE", "/api/v1/sessions/<session_id>", verb="manage_session", out=SessionOut, errors=(404,))
def delete_session(session_id: SessionId) -> JSON:
    """Delete a session; it can be restored until it is removed for good. Jobs that it handed out go on."""
    return _shown(changes.delete(session_id, who=current_principal()))


@op("POST", "/api/v1/sessions/<session_id>/restore", verb="manage_session", out=SessionOut, errors=(404,))
def restore_session(session_id: SessionId) -> JSON:
    """Bring a deleted session back as it was."""
    return _shown(changes.restore(session_id, who=current_principal()))


@op(
    "GET",
    "/api/v1/sessions/<session_id>/events",
    verb="view_session_content",
    out=SessionEventsOut,
    errors=(404,),
    conditional=True,
)
def list_session_events(session_id: SessionId, query: PartsQuery) -> Answer:
    """Follow a session: everything that happened behind a cursor, oldest first, and when to ask again.

    Send the `cursor` of the last answer as `after`: nothing is lost and nothing comes twice, however many listen.
    """
    row = access.of(session_id, current_principal())
    poll = _poll(row)

    def made() -> JSON:
        found, cursor = events.after(session_id, query.after, query.limit)
        told = {"events": found, "cursor": cursor, "more": cursor < row["last_seq"]}
        return {"session_id": session_id, **told, "poll": poll}

    return conditional.answer(f'"{row["last_seq"]}{row["status"][0]}"', made, come_back(poll))


@op(
    "GET",
    "/api/v1/sessions/<session_id>/summary",
    verb="view_session_content",
    out=SummaryOut,
    errors=(404,),
)
def get_session_summary(session_id: SessionId) -> JSON:
    """Read what the conversation comes to; made for this answer if nobody has made one yet."""
    return {"session_id": session_id, **summary.of(session_id, current_principal())}


@op(
    "POST",
    "/api/v1/sessions/<session_id>/summary",
    verb="join_session",
    out=SummaryOut,
    errors=(404, 409),
)
def make_session_summary(session_id: SessionId) -> JSON:
    """Make the summary anew and keep it, without a model; the agent conversation-processor makes one with it."""
    who = current_principal()
    access.of(session_id, who, "join_session")
    summary.make(session_id, by=who.user_id)
    return {"session_id": session_id, **summary.of(session_id, who)}


@op(
    "GET",
    "/api/v1/sessions/<session_id>/export",
    verb="view_session_content",
    out="application/json",
    errors=(404,),
)
def export_session(session_id: SessionId) -> Response:
    """Download all of a session as one JSON file, which can be imported elsewhere."""
    whole = queries.document(session_id, current_principal(), most=None)
    head = {"format": FORMAT, "exported_at": clock.now()}
    response = Response(dumps(head | whole), mimetype="application/json")
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", session_id)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return response


def _shown(row: Row) -> JSON:
    who, names = current_principal(), accounts.emails([row["owner"]])
    return _linked(queries.shown(row | queries.counts(row["session_id"]), who, names))


def _linked(shown: JSON) -> JSON:
    here = f"/api/v1/sessions/{shown['session_id']}"
    parts = ("messages", "memories", "artifacts", "jobs", "events", "summary", "export")
    links = {"self": here, "page": f"/sessions/{shown['session_id']}"}
    return shown | {"links": links | {part: f"{here}/{part}" for part in parts}}


def _poll(row: Row) -> JSON:
    """When to ask again: as of a running job while one is under way, and never when all is over."""
    busy = bool(delegating.jobs(row["session_id"], limit=1, unfinished=True))
    state = "running" if busy else "over" if row["status"] == "completed" else "queued"
    quiet = max(0.0, (clock.now() - row["updated_at"]).total_seconds())
    after = hints.next_after_ms(state, quiet, pace())
    return {"next_after_ms": after, "terminal": after is None}
