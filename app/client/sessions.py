"""Collaborative sessions: conversation, memories, artifacts and delegated jobs in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.client.calls import JSON, Calls
from app.client.jobs import listed
from app.client.shapes import Accepted, Page, Session, Shape

BASE = "/api/v1/sessions"

Rows = list[JSON]


class Sessions:
    """What one can do with sessions: `callboard.sessions`."""

    def __init__(self, calls: Calls) -> None:
        """They are reached by `calls`."""
        self._calls = calls

    def list(self, **filters: Any) -> Page[Session]:
        """A page of sessions, newest first; `filters`: status, q, limit, cursor."""
        return Page[Session].model_validate(listed(self._calls.call("GET", BASE, query=filters), "sessions"))

    def create(self, session_id: str, *, title: str = "", **more: Any) -> Session:
        """Begin a session under an id of your choice; `more`: participants, metadata, callback_url."""
        body = {"id": session_id, "title": title} | more
        return Session.model_validate(self._calls.create(BASE, body))

    def get(self, session_id: str) -> Session:
        """A session with what is in it."""
        return Session.model_validate(self._calls.call("GET", f"{BASE}/{session_id}"))

    def change(self, session_id: str, **change: Any) -> Session:
        """Change title, participants, metadata, callback_url or status (active, paused, completed)."""
        return Session.model_validate(self._calls.call("PATCH", f"{BASE}/{session_id}", body=change))

    def delete(self, session_id: str) -> None:
        """Delete a session; it may be restored."""
        self._calls.call("DELETE", f"{BASE}/{session_id}")

    def restore(self, session_id: str) -> Session:
        """Take a deleted session back."""
        return Session.model_validate(self._calls.call("POST", f"{BASE}/{session_id}/restore"))

    def messages(self, session_id: str, *, after: int = 0, limit: int = 100) -> Rows:
        """What was said, from a place on."""
        query = {"after": after, "limit": limit}
        said: Rows = self._calls.call("GET", f"{BASE}/{session_id}/messages", query=query)["messages"]
        return said

    def add_messages(self, session_id: str, chunks: Rows) -> JSON:
        """Add to the conversation: {speaker, text, timestamp, metadata} each."""
        said: JSON = self._calls.create(f"{BASE}/{session_id}/messages", {"chunks": chunks})
        return said

    def memories(self, session_id: str, **filters: Any) -> Rows:
        """What is remembered; `filters`: q, tags, type, min_importance, limit."""
        said: Rows = self._calls.call("GET", f"{BASE}/{session_id}/memories", query=filters)["memories"]
        return said

    def remember(self, session_id: str, key: str, content: Any, **more: Any) -> JSON:
        """Keep a memory under `key`; `more`: type, tags, importance."""
        said: JSON = self._calls.create(
            f"{BASE}/{session_id}/memories", {"key": key, "content": content} | more
        )
        return said

    def artifacts(self, session_id: str) -> Rows:
        """What was made in it."""
        said: Rows = self._calls.call("GET", f"{BASE}/{session_id}/artifacts")["artifacts"]
        return said

    def add_artifact(self, session_id: str, name: str, **more: Any) -> JSON:
        """Add something that was made; `more`: type, content or url, metadata."""
        said: JSON = self._calls.create(f"{BASE}/{session_id}/artifacts", {"name": name} | more)
        return said

    def delegate(
        self, session_id: str, agent_id: str, parameters: JSON | None = None, *, priority: str = "normal"
    ) -> Accepted:
        """Let an agent work for the session; the result comes back as an event of it."""
        body = {"agent_id": agent_id, "parameters": parameters or {}, "priority": priority}
        return Accepted.model_validate(self._calls.create(f"{BASE}/{session_id}/jobs", body))

    def jobs(self, session_id: str) -> Rows:
        """The jobs that were delegated from it."""
        said: Rows = self._calls.call("GET", f"{BASE}/{session_id}/jobs")["jobs"]
        return said

    def events(self, session_id: str, *, after: int = 0, limit: int = 100) -> Iterator[JSON]:
        """What happened in it, from a cursor (`seq`) on, up to now."""
        while True:
            query = {"after": after, "limit": limit}
            said = self._calls.call("GET", f"{BASE}/{session_id}/events", query=query)
            yield from said["events"]
            if len(said["events"]) < limit:
                return
            after = said["events"][-1]["seq"]

    def summary(self, session_id: str, *, make: bool = False) -> Shape:
        """What it comes to: text, topics, decisions, action items; with `make` it is made anew, and kept."""
        method = "POST" if make else "GET"
        return Shape.model_validate(self._calls.call(method, f"{BASE}/{session_id}/summary"))

    def export(self, session_id: str) -> JSON:
        """The whole session as JSON, as the import takes it."""
        said: JSON = self._calls.call("GET", f"{BASE}/{session_id}/export")
        return said

    def command(self, envelope: JSON) -> JSON:
        """Carry out a session command: {command, session_id, request_id, payload}; the same request_id does it once."""
        said: JSON = self._calls.create("/api/v1/webhooks/session", envelope)
        return said
