"""The Python client against a server on a real port: what it waits for, what it says again, what it never does twice."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

import app.client
from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.client import Away, CallFailed, Client, Job, NotFound, Refused, StillRunning
from app.db import db
from app.jobs import lifecycle
from app.limiter import limiter
from tests.app.api import world
from tests.app.serving import Served, served


@pytest.fixture(scope="module")
def server(app: Flask) -> Iterator[Served]:
    with served(app) as there:
        yield there


@dataclass
class Pauses:
    """What happens in the pauses of a client, in place of waiting."""

    taken: list[float] = field(default_factory=list)
    then: dict[int, Callable[[], object]] = field(default_factory=dict)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.then.pop(len(self.taken), lambda: None)()
        assert len(self.taken) < 50, "it waits for ever"


@dataclass
class Person:
    client: Client
    pauses: Pauses
    id: str


@pytest.fixture
def make(quick: Engine, server: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Person]]:
    for name in ("CALLBOARD_URL", "CALLBOARD_API_KEY", "CALLBOARD_JOB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    limiter.reset()
    server.asked.clear()
    clients: list[Client] = []

    def person(name: str = "ada", role: str = "admin") -> Person:
        with db.transaction():
            row = users.create(f"{name}@example.org", None, role=role)
            who = Principal(user_id=str(row["user_id"]), email=row["email"], role=role)
            key = api_keys.create(who, name="test")
        client, pauses = Client(server.url, key.text), Pauses()
        client._pause = pauses
        clients.append(client)
        return Person(client, pauses, who.user_id)

    yield person
    for client in clients:
        client.close()
    if server._server is None:
        server.start()


@pytest.fixture
def ada(make: Callable[..., Person]) -> Person:
    return make()


def jobs_there() -> int:
    with db.quick():
        return int(db.value("SELECT count(*) FROM jobs"))


def complete(claim: Any) -> None:
    with db.transaction():
        lifecycle.complete(claim, {"text": "done"})


def test_it_stands_alone() -> None:
    package = Path(app.client.__file__).parent
    for file in package.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            name = node.module if isinstance(node, ast.ImportFrom) else None
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else [name or ""]
            assert not [
                each
                for each in names
                if each.startswith(("app", "actors")) and not each.startswith("app.client")
            ], file


def test_a_job_is_submitted_looked_at_and_cancelled(ada: Person) -> None:
    accepted = ada.client.submit("test-echo", {"text": "hello"}, priority="high", tags=["a"], task_name="One")
    found = ada.client.job(accepted.job_id)
    assert (found.status, found.priority, found.tags, found.parameters) == (
        "queued",
        "high",
        ["a"],
        {"text": "hello"},
    )
    assert [job.job_id for job in ada.client.jobs(status="queued")] == [accepted.job_id]
    assert ada.client.explain(accepted.job_id).blockers[0].code == "no_worker"
    assert ada.client.cancel(accepted.job_id).status == "cancelled"
    again = ada.client.retry(accepted.job_id, priority="low")
    assert (again.retry_of_job_id, again.priority) == (accepted.job_id, "low")
    assert [agent.agent_id for agent in ada.client.agents() if agent.agent_id == "test-echo"] == ["test-echo"]
    assert "text" in ada.client.agent("test-echo").input_schema["properties"]


def test_a_lost_answer_never_makes_a_second_job(ada: Person, server: Served) -> None:
    server.lost = 2
    accepted = ada.client.submit("test-echo", {"text": "once"})
    assert [each[:2] for each in server.asked] == [("POST", "/api/v1/jobs")] * 3
    assert jobs_there() == 1
    assert ada.client.job(accepted.job_id).status == "queued"
    assert [round(seconds) for seconds in ada.pauses.taken] == [1, 2]


def test_what_has_no_key_is_not_said_twice(ada: Person, server: Served) -> None:
    job_id = world.submitted(ada.id)
    server.lost = 1
    with pytest.raises(Away):
        ada.client.cancel(job_id)
    assert ada.pauses.taken == []
    assert ada.client.job(job_id).status == "cancelled"


def test_many_are_submitted_in_chunks_each_judged_by_itself(ada: Person, server: Served) -> None:
    wishes = [{"agent_id": "test-echo", "parameters": {"n": n}} for n in range(130)]
    wishes[120] = {"agent_id": "test-echo", "parameters": {"nix": 1}}
    server.lost = 1
    results = ada.client.submit_many(wishes)
    assert [each.index for each in results] == list(range(130))
    assert [each.index for each in results if each.error] == [120]
    assert jobs_there() == 129
    assert len(list(ada.client.every_job())) == 129


def test_what_is_wrong_with_the_input_can_be_read(ada: Person) -> None:
    with pytest.raises(CallFailed) as wrong:
        ada.client.submit("test-echo", {"text": 1})
    assert (wrong.value.status, wrong.value.code) == (422, "invalid_parameters")
    assert wrong.value.errors[0][0] == "/parameters/text"
    assert "is not of type 'string'" in str(wrong.value)
    with pytest.raises(NotFound, match="There is no job"):
        ada.client.job(world.NOTHING)
    with pytest.raises(Refused):
        Client(ada.client.url, "cb_wrong").jobs()


def test_a_status_that_did_not_change_costs_nothing(ada: Person, server: Served) -> None:
    claim = world.running(ada.id)
    first = ada.client.status(claim.job_id)
    second = ada.client.status(claim.job_id)
    assert [each[2] for each in server.asked] == [200, 304]
    assert (second.status, second.version) == ("running", first.version)
    complete(claim)
    assert ada.client.status(claim.job_id).result == {"text": "done"}


def test_it_waits_by_the_hints_of_the_server(ada: Person) -> None:
    claim = world.running(ada.id)
    seen: list[Job] = []
    ada.pauses.then = {2: lambda: complete(claim)}
    done = ada.client.wait(claim.job_id, on_change=seen.append)
    assert (done.status, done.result) == ("completed", {"text": "done"})
    assert [job.status for job in seen] == ["running", "completed"]
    assert ada.pauses.taken == [2.0, 2.0]  # POLL_RUNNING_MS


def test_it_waits_through_a_restart_of_the_server(ada: Person, server: Served) -> None:
    claim = world.running(ada.id)
    troubles: list[float] = []

    def back() -> None:
        complete(claim)
        server.start()

    ada.pauses.then = {1: server.stop, 7: back}
    done = ada.client.wait(claim.job_id, on_trouble=lambda _failure, pause: troubles.append(pause))
    assert done.status == "completed"
    assert troubles[4:] == [15.0, 15.0]  # the fifth failure opens the breaker
    assert all(least <= pause <= least * 1.1 for least, pause in zip([1, 2, 4, 8], troubles[:4], strict=True))


def test_it_stops_waiting_at_the_deadline_and_at_what_no_waiting_mends(ada: Person) -> None:
    claim = world.running(ada.id)
    with pytest.raises(StillRunning) as late:
        ada.client.wait(claim.job_id, timeout=0)
    assert [job.status for job in late.value.jobs] == ["running"]
    with pytest.raises(NotFound):
        ada.client.wait(world.NOTHING)


def test_many_are_waited_for_together(ada: Person, server: Served) -> None:
    claims = [world.running(ada.id) for _ in range(3)]
    ada.pauses.then = {n + 1: (lambda claim=claim: complete(claim)) for n, claim in enumerate(claims)}
    ids = [claim.job_id for claim in claims]
    server.asked.clear()
    done = ada.client.wait_all(ids)
    assert list(done) == ids
    assert {each.status for each in done.values()} == {"completed"}
    assert sum(path == "/api/v1/jobs/status" for _, path, _ in server.asked) == 4
    with pytest.raises(NotFound):
        ada.client.wait_all([world.NOTHING])
    assert ada.client.wait_all([]) == {}


def test_who_asks_too_often_waits_as_long_as_the_server_says(
    ada: Person, configure: Callable[..., None]
) -> None:
    configure(rate_limit_per_minute=1)
    ada.client.submit("test-echo", {"text": "one"})
    ada.pauses.then = {1: limiter.reset}
    ada.client.submit("test-echo", {"text": "two"})
    assert jobs_there() == 2
    (pause,) = ada.pauses.taken
    assert 50 < pause <= 61
    configure(rate_limit_per_hour=1)
    limiter.reset()
    ada.client.submit("test-echo", {"text": "three"})
    ada.pauses.taken.clear()
    with pytest.raises(CallFailed) as limited:
        ada.client.submit("test-echo", {"text": "four"})
    assert (limited.value.status, ada.pauses.taken) == (429, [])  # an hour is for the caller to wait
    limiter.reset()


def test_a_log_is_followed_to_the_end_of_its_job(ada: Person) -> None:
    claim = world.running(ada.id)
    world.said(claim, "one", "two")
    ada.pauses.then = {
        1: lambda: world.said(claim, "three"),
        2: lambda: (world.said(claim, "four"), complete(claim)),
    }
    lines = list(ada.client.logs(claim.job_id, follow=True))
    assert [line.message for line in lines if line.message in ("one", "two", "three", "four")] == [
        "one",
        "two",
        "three",
        "four",
    ]
    assert [line.seq for line in lines] == sorted({line.seq for line in lines})
    after = next(ada.client.logs(claim.job_id, after=lines[0].seq))
    assert after.seq == lines[1].seq
    assert list(ada.client.events(claim.job_id))[-1].seq >= lines[-1].seq


def test_a_session_is_used(ada: Person) -> None:
    sessions = ada.client.sessions
    assert sessions.create("m_1", title="Monday", participants=["ada"]).session_id == "m_1"
    sessions.add_messages("m_1", [{"speaker": "ada", "text": "We ship on Friday."}])
    sessions.remember("m_1", "day", "Friday", tags=["plan"])
    sessions.add_artifact("m_1", "notes", content="# Notes")
    job = sessions.delegate("m_1", "test-echo", {"text": "go"})
    assert [each["text"] for each in sessions.messages("m_1")] == ["We ship on Friday."]
    assert [each["key"] for each in sessions.memories("m_1", tags="plan")] == ["day"]
    assert [each["name"] for each in sessions.artifacts("m_1")] == ["notes"]
    assert [each["job_id"] for each in sessions.jobs("m_1")] == [job.job_id]
    assert [each["type"] for each in sessions.events("m_1", limit=2)][:2] == [
        "session.created",
        "conversation.added",
    ]
    assert sessions.summary("m_1").plain()["session_id"] == "m_1"
    assert sessions.change("m_1", status="paused").status == "paused"
    assert sessions.export("m_1")["title"] == "Monday"
    assert sessions.command({"command": "resume_session", "session_id": "m_1"})["ok"]
    sessions.delete("m_1")
    with pytest.raises(NotFound):
        sessions.get("m_1")
    assert sessions.restore("m_1").title == "Monday"
    assert [each.session_id for each in sessions.list(q="Monday")] == ["m_1"]


def test_what_else_there_is(ada: Person) -> None:
    failed = world.failed(ada.id)
    (letter,) = ada.client.dlq.list()
    assert letter.job_id == failed
    (group,) = ada.client.dlq.groups()
    key = group.plain()["group_key"]
    assert ada.client.dlq.say(key, "resolve", note="mended").plain()["status"] == "resolved"
    assert ada.client.dlq.resubmit(letter.dlq_id).plain()["new_job_id"]
    budget = ada.client.budgets.create("all", scope="global", unit="usd", limit=5).plain()
    assert ada.client.budgets.change(budget["budget_id"], limit=6).plain()["limit"] == 6
    ada.client.budgets.delete(budget["budget_id"])
    key_made = ada.client.keys.create("laptop", scopes=["read"]).plain()
    assert Client(ada.client.url, key_made["api_key"]).users.me().plain()["email"] == "ada@example.org"
    ada.client.keys.revoke(key_made["key_id"])
    assert ada.client.queues.pause("general", reason="why").plain()["paused"]
    assert not ada.client.queues.resume("general").plain()["paused"]
    assert ada.client.workers.list().plain()["summary"]["total"] == 0
    job_id, approval_id = world.asking(ada.id)
    assert [each.job_id for each in ada.client.approvals()] == [job_id]
    assert ada.client.answer(approval_id, "approve", comment="fine").status == "approved"
    assert ada.client.health().plain()["checks"]["database"]["status"] == "healthy"
    assert "jobs" in ada.client.search("test", kinds=["jobs"])


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(CallFailed, match="begins with http"):
        Client("nowhere", "cb_x")
    with pytest.raises(CallFailed, match="copy it again"):
        Client("http://localhost", "cb_…")
