"""Tools for collaborative sessions: conversation, memories, artifacts and delegated tasks in one place."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from app.mcp.caller import Forbidden, ask, given, page
from app.mcp.shapes import JSON, Accepted
from app.mcp.tasks import Priority, once

MOST_EVENTS = 200
OF_A_TASK = ("task_id", "agent_id", "task_name", "status", "progress", "headline", "error")

SessionId = Annotated[str, Field(description="Chosen by whoever made it, like morning_meeting_001.")]


class Open(BaseModel):
    """What the API answers, whole: sessions carry what people put into them."""

    model_config = ConfigDict(extra="allow")


class Session(Open):
    """A session."""

    session_id: str
    title: str
    status: str = Field(description="active, paused or completed.")
    url: str = Field(description="Its page, for people.")


class Workspace(Session):
    """A session with what is in it."""

    conversation: list[JSON] = Field(default_factory=list, description="Its newest pieces, oldest first.")
    memories: list[JSON] = Field(default_factory=list, description="The most important first.")
    artifacts: list[JSON] = Field(default_factory=list, description="The newest first, without their texts.")
    tasks: list[JSON] = Field(default_factory=list, description="Delegated ones, the newest first.")


class Sessions(BaseModel):
    """A page of sessions, the latest change first."""

    sessions: list[Session]
    next_cursor: str | None = Field(None, description="Send it as `cursor` for the next page.")


class Chunk(BaseModel):
    """Something somebody said."""

    speaker: str
    text: str
    timestamp: str | None = Field(None, description="When it was said, like 2026-01-31T12:00:00Z.")
    metadata: JSON | None = None


class Added(Open):
    """What was added."""


class Memories(BaseModel):
    """Memories that fit."""

    memories: list[JSON]


class Events(BaseModel):
    """What happened in a session, oldest first."""

    events: list[JSON]
    cursor: int = Field(description="Send it as `after` the next time; nothing is lost or sent twice.")
    more: bool = Field(description="There are further events right now.")


class Summary(Open):
    """What a session was about."""


def list_sessions(
    status: Literal["active", "paused", "completed"] | None = None,
    words: Annotated[str | None, Field(description="In title or id.")] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before.")] = None,
) -> Sessions:
    """List the sessions that you own or take part in."""
    told = ask("GET", "/api/v1/sessions", query=given(status=status, q=words, limit=limit, cursor=cursor))
    return Sessions(
        sessions=[_session(each) for each in told["sessions"]], next_cursor=told.get("next_cursor")
    )


def get_session(
    session_id: SessionId,
    newest: Annotated[
        int, Field(ge=0, le=100, description="How many of its newest pieces of each kind to show.")
    ] = 20,
) -> Workspace:
    """Show a session with the end of its conversation, its memories, artifacts and delegated tasks."""
    found = ask("GET", _path(session_id))
    shown = _session(found).model_dump()
    if newest:
        shown |= _contents(session_id, found["message_count"], newest)
    return Workspace.model_validate(shown)


def create_session(
    session_id: SessionId,
    title: str = "",
    participants: Annotated[
        list[str] | None, Field(description="Names; the e-mail address of a user lets that user in.")
    ] = None,
    metadata: JSON | None = None,
    callback_url: Annotated[
        str | None, Field(description="Is told of every event of the session, signed.")
    ] = None,
) -> Session:
    """Begin a session under an id of your choice."""
    body = given(
        id=session_id, title=title, participants=participants, metadata=metadata, callback_url=callback_url
    )
    return _session(ask("POST", "/api/v1/sessions", body=body))


def update_session(
    session_id: SessionId,
    title: str | None = None,
    status: Literal["active", "paused", "completed"] | None = None,
    participants: list[str] | None = None,
    metadata: JSON | None = None,
) -> Session:
    """Change a session, pause it, complete it, or take it up again; what is left out stays as it is."""
    body = given(title=title, status=status, participants=participants, metadata=metadata)
    return _session(ask("PATCH", _path(session_id), body=body))


def add_conversation(
    session_id: SessionId, chunks: Annotated[list[Chunk], Field(min_length=1, max_length=100)]
) -> Added:
    """Append what was said to a session's conversation; all pieces or none."""
    said = [chunk.model_dump(exclude_none=True) for chunk in chunks]
    return Added.model_validate(ask("POST", _path(session_id, "messages"), body={"chunks": said}))


def store_memory(
    session_id: SessionId,
    key: Annotated[str, Field(description="A short name; storing under it again replaces what was there.")],
    content: str,
    type: Annotated[str | None, Field(description="Like fact, decision, preference, task.")] = None,  # noqa: A002
    tags: list[str] | None = None,
    importance: Annotated[int | None, Field(ge=1, le=10)] = None,
) -> Added:
    """Keep something worth knowing later."""
    body = given(key=key, content=content, type=type, tags=tags, importance=importance)
    return Added.model_validate(ask("POST", _path(session_id, "memories"), body=body))


def query_memories(
    session_id: SessionId,
    words: Annotated[str | None, Field(description="Left out: all, the most important first.")] = None,
    tags: Annotated[list[str] | None, Field(description="All of them must fit.")] = None,
    type: Annotated[str | None, Field(description="Like decision.")] = None,  # noqa: A002
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> Memories:
    """Look into what a session remembers, by words, tags or type."""
    query = given(q=words, tags=",".join(tags) if tags else None, type=type, limit=limit)
    told = ask("GET", _path(session_id, "memories"), query=query)
    return Memories(memories=told["memories"])


def delegate_task(
    session_id: SessionId,
    agent_id: Annotated[str, Field(description="Which agent; list_agents shows them.")],
    parameters: Annotated[JSON | None, Field(description="What the agent takes; get_agent shows it.")] = None,
    priority: Priority = "normal",
    idempotency_key: str | None = None,
) -> Accepted:
    """Let an agent work for a session. Its result comes back as an event of the session (get_session_events)."""
    body = given(agent_id=agent_id, parameters=parameters or {}, priority=priority)
    told = ask("POST", _path(session_id, "jobs"), body=body, headers=once(idempotency_key))
    return Accepted.model_validate(told | {"url": page(f"/jobs/{told['job_id']}")})


def add_artifact(
    session_id: SessionId,
    name: str,
    content: Annotated[str | None, Field(description="The text itself; or say url.")] = None,
    url: str | None = None,
    type: Annotated[str | None, Field(description="A media type, like text/markdown.")] = None,  # noqa: A002
    metadata: JSON | None = None,
) -> Added:
    """Put something that was made into a session: text, or the address where it is."""
    body = given(name=name, content=content, url=url, type=type, metadata=metadata)
    return Added.model_validate(ask("POST", _path(session_id, "artifacts"), body=body))


def get_session_events(
    session_id: SessionId,
    after: Annotated[int, Field(ge=0, description="`cursor` of the answer before; 0: from the start.")] = 0,
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 50,
) -> Events:
    """What happened in a session since a cursor: pieces said, memories, artifacts, results of delegated tasks."""
    told = ask("GET", _path(session_id, "events"), query={"after": after, "limit": limit})
    events: list[JSON] = told["events"]
    return Events(events=events, cursor=told["cursor"], more=told["more"])


def summarize_session(
    session_id: SessionId,
    anew: Annotated[
        bool, Field(description="Make it from all that was said up to now, and keep it in the session.")
    ] = False,
) -> Summary:
    """Say what a session was about: summary, decisions, action items, topics. `new_messages` came since it was made."""
    return Summary.model_validate(ask("POST" if anew else "GET", _path(session_id, "summary")))


def _path(session_id: str, what: str = "") -> str:
    return f"/api/v1/sessions/{quote(session_id, safe='')}" + (f"/{what}" if what else "")


def _contents(session_id: str, said: int, newest: int) -> JSON:
    """What the caller may see of it; the rest stays empty."""
    parts = {what: _part(session_id, what, {"limit": newest}) for what in ("memories", "artifacts", "jobs")}
    talk = _part(session_id, "messages", {"after": max(0, said - newest), "limit": newest})
    tasks = [{name: each.get(name) for name in OF_A_TASK} for each in parts.pop("jobs")]
    return {"conversation": talk, "tasks": tasks, **parts}


def _part(session_id: str, what: str, query: JSON) -> list[JSON]:
    try:
        return list(ask("GET", _path(session_id, what), query=query)[what])
    except Forbidden:
        return []


def _session(told: dict[str, Any]) -> Session:
    return Session.model_validate(told | {"url": page(f"/sessions/{quote(told['session_id'], safe='')}")})
