"""What people do in a session: say, remember, forget, make, hand out; and pause, complete, delete or sum it up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.agents import registry
from app.dashboard import forms, sessions_seen
from app.dashboard.session import asking
from app.dashboard.sessions_detail import again
from app.db import Row, db
from app.errors import CallboardError, Conflict, Invalid, NotFound
from app.sessions import changes, delegating, made, memory, summary, talk

JOIN, MANAGE = "join_session", "manage_session"


def say(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/messages."""
    row = sessions_seen.held(session_id, JOIN)
    typed = sessions_seen.typed("speaker", "text")
    try:
        talk.add(row["session_id"], [typed], by=asking().user_id)
    except (Invalid, Conflict) as wrong:
        return _again(row, "conversation", typed, wrong, under="/chunks/0")
    return _done(row, "conversation", "")


def remember(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/memories: what stands under the same key is replaced."""
    row = sessions_seen.held(session_id, JOIN)
    typed = sessions_seen.typed("key", "content", "type", "tags", "importance")
    try:
        memory.store(
            row["session_id"],
            key=typed["key"],
            content=typed["content"],
            type=typed["type"] or "fact",
            tags=sessions_seen.words(typed["tags"]),
            importance=typed["importance"] or 5,
            by=asking().user_id,
        )
    except (Invalid, Conflict) as wrong:
        return _again(row, "memories", typed, wrong)
    return _done(row, "memories", f"{typed['key']} is remembered.")


def forget(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/memories/forget: the memory under `key`."""
    key = request.form.get("key", "").replace("\x00", "")
    row = sessions_seen.held(session_id, JOIN)
    return _tried(
        row,
        "memories",
        lambda: memory.forget(row["session_id"], key, by=asking().user_id),
        f"{key} is forgotten.",
    )


def make(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/artifacts: a text, or where something is."""
    row = sessions_seen.held(session_id, JOIN)
    typed = sessions_seen.typed("name", "type", "content", "url")
    try:
        made.add(
            row["session_id"],
            name=typed["name"],
            type=typed["type"] or "text/plain",
            content=typed["content"] or None,
            url=typed["url"] or None,
            by=asking().user_id,
        )
    except (Invalid, Conflict) as wrong:
        return _again(row, "artifacts", typed, wrong)
    return _done(row, "artifacts", f"{typed['name']} is added.")


def delegate(session_id: str) -> AnyResponse:
    """POST /sessions/<session_id>/delegate: a job for an agent, with the fields of its schema."""
    row = sessions_seen.held(session_id, JOIN)
    demand(asking(), "submit_task")
    agent = registry.get(request.form.get("agent_id", ""))
    typed = forms.typed(agent.schema, request.form)
    priority = request.form.get("priority", "normal")
    try:
        delegating.delegate(
            row["session_id"],
            agent_id=agent.agent_id,
            parameters=forms.parameters(agent.schema, typed),
            priority=priority,
            who=asking(),
        )
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        said = _complaints(wrong)
        kept = {"agent_id": agent.agent_id, "parameters": typed, "priority": priority, "complaints": said}
        return again(row["session_id"], "jobs", kept, said)
    return _done(row, "jobs", f"{agent.agent_name} has it now.")


def _complaints(wrong: Invalid | Conflict) -> dict[str, str]:
    return forms.complaints(wrong if isinstance(wrong, Invalid) else Invalid(wrong.message))


# -- the session as a whole


def act(session_id: str, verb: str) -> AnyResponse:
    """POST /sessions/<session_id>/<verb>: pause, resume, complete, delete, restore or summary."""
    if verb not in _VERBS:
        raise NotFound
    needs, does, words = _VERBS[verb]
    row = sessions_seen.held(session_id, needs, deleted=verb == "restore")
    return _tried(row, "conversation", lambda: does(row["session_id"]), words)


def _status(status: str) -> Callable[[str], Any]:
    return lambda session_id: changes.change(session_id, who=asking(), status=status)


_VERBS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "pause": (MANAGE, _status("paused"), "The session is paused."),
    "resume": (MANAGE, _status("active"), "The session goes on."),
    "complete": (MANAGE, _status("completed"), "The session is completed."),
    "delete": (
        MANAGE,
        lambda session_id: changes.delete(session_id, who=asking()),
        "The session is deleted.",
    ),
    "restore": (MANAGE, lambda session_id: changes.restore(session_id, who=asking()), "The session is back."),
    "summary": (JOIN, lambda session_id: summary.make(session_id, by=asking().user_id), "It is summed up."),
}


def _tried(row: Row, tab: str, does: Callable[[], Any], words: str) -> AnyResponse:
    """Do it and lead back; what is refused is said there, and is no success."""
    try:
        does()
    except CallboardError as refused:
        db.session.rollback()
        flash(f"Not done: {refused.message.rstrip('.')}.", "red")
        return _back(row, tab)
    return _done(row, tab, words)


def _done(row: Row, tab: str, words: str) -> AnyResponse:
    db.session.commit()
    if words:
        flash(words, "green")
    return _back(row, tab)


def _back(row: Row, tab: str) -> AnyResponse:
    part = None if tab == "conversation" else tab
    return redirect(url_for("dashboard.session", session_id=row["session_id"], tab=part), 303)


def _again(
    row: Row, tab: str, typed: dict[str, str], wrong: Invalid | Conflict, *, under: str = ""
) -> AnyResponse:
    db.session.rollback()
    taken = wrong if isinstance(wrong, Invalid) else Invalid(wrong.message)
    return again(row["session_id"], tab, dict(typed), sessions_seen.by_field(taken, under=under))
