"""The client, put together from its groups of calls."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Self
from urllib.parse import quote

import httpx2

from app.client.calls import JSON, Away
from app.client.jobs import Jobs, listed
from app.client.others import Budgets, DeadLetters, Keys, Queues, Users, Workers
from app.client.sessions import Sessions
from app.client.shapes import Agent, Approval, Page, Shape
from app.client.workflows import Schedules, Workflows


class Client(Jobs):
    """A connection to one server in one person's name; to be closed, or used with `with`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
    ) -> None:
        """Left out, `url` is CALLBOARD_URL (else this machine) and `key` is CALLBOARD_API_KEY; `timeout` in seconds.

        Calls that do no harm when they arrive twice are tried so many times in all (`attempts`).
        """
        super().__init__(url, key, transport=transport, timeout=timeout, attempts=attempts)
        self._seen = OrderedDict()
        self.sessions = Sessions(self)
        self.dlq = DeadLetters(self)
        self.budgets = Budgets(self)
        self.keys = Keys(self)
        self.users = Users(self)
        self.queues = Queues(self)
        self.workers = Workers(self)
        self.workflows = Workflows(self)
        self.schedules = Schedules(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def agents(self, team: str | None = None) -> list[Agent]:
        """What can be run."""
        said = self.call("GET", "/api/v1/agents", query={"team": team})
        return [Agent.model_validate(each) for each in said["agents"]]

    def agent(self, agent_id: str) -> Agent:
        """One agent, with the schema of its parameters."""
        return Agent.model_validate(self.call("GET", f"/api/v1/agents/{quote(agent_id, safe='')}"))

    def search(
        self,
        q: str,
        *,
        kinds: list[str] | None = None,
        limit: int | None = None,
        session_id: str | None = None,
        semantic: bool = False,
    ) -> dict[str, list[JSON]]:
        """What fits the words, or the beginning of an id, by kind; of one session, and by its meaning, if wanted."""
        query = {"q": q, "type": kinds, "limit": limit, "session_id": session_id}
        if semantic:
            query["semantic"] = True
        found: dict[str, list[JSON]] = self.call("GET", "/api/v1/search", query=query)["results"]
        return found

    def approvals(self, **filters: Any) -> Page[Approval]:
        """The open questions that you may answer; `filters`: status, kind, job_id, mine, limit, offset."""
        said = self.call("GET", "/api/v1/approvals", query=filters)
        return Page[Approval].model_validate(listed(said, "approvals"))

    def approval(self, approval_id: str) -> Approval:
        """A question, with what the job that asks was to do."""
        return Approval.model_validate(self.call("GET", f"/api/v1/approvals/{approval_id}"))

    def answer(self, approval_id: str, decision: str, **more: Any) -> Approval:
        """Answer a question: approve, reject, edit or ask_back; `more`: answer, edited, comment."""
        body = {"decision": decision} | {name: value for name, value in more.items() if value is not None}
        return Approval.model_validate(
            self.call("POST", f"/api/v1/approvals/{approval_id}/answer", body=body)
        )

    def health(self) -> Shape:
        """How everything is; needs no key. Answers also while the server says that it is not well."""
        try:
            return Shape.model_validate(self.call("GET", "/api/health"))
        except Away as unwell:
            if "checks" not in unwell.problem:
                raise
            return Shape.model_validate(unwell.problem)
