"""What comes back into a session: the end of a job with what it left, at once, signed, once, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors import delivery, followups, sweeps
from actors.delivery import Courier
from actors.execute import AttemptFailed, run_next
from actors.middleware import dead_letter
from actors.post import Post
from actors.runners.base import Context, Work
from app.accounts import users
from app.accounts.permissions import Principal
from app.db import Row, db
from app.errors import PermanentError
from app.jobs import intake, lifecycle
from app.notify import secrets, setup
from app.notify.setup import Setup
from app.sessions import changes, commands, events, made, news
from app.settings import Settings
from tests import acting
from tests.waiting import until
from tests.webhook_receiver import Receiver, receiving

RunWith = Callable[[Callable[[Work, Context], Any]], None]


@pytest.fixture
def ada(post: Post) -> Principal:
    """The owner of a session s1."""
    with db.transaction():
        row = users.create("ada@sessions.test", None, role="user", name="Ada")
        who = Principal(user_id=str(row["user_id"]), email="ada@sessions.test", role="user")
        changes.create("s1", who=who)
    return who


@pytest.fixture
def courier(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Courier]:
    """One that delivers until the end of the test, also to this machine."""
    monkeypatch.setattr(setup, "_setup", Setup(allow_private=True))
    monkeypatch.setattr(setup, "_wake", setup._nobody)
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 600)  # what is not woken by a commit does not arrive
    made_now = Courier(settings.model_copy(update={"http_allow_private": True}))
    made_now.start()
    yield made_now
    made_now.stop()


@pytest.fixture
def receiver(ada: Principal) -> Iterator[Receiver]:
    with db.transaction():
        secret = secrets.of_callbacks(ada.user_id)
    with receiving(secret) as listening:
        yield listening


def delegate(who: Principal, agent_id: str = "test-noop", **more: Any) -> str:
    payload = {"agent_id": agent_id, "parameters": more.pop("parameters", {})}
    envelope = {"command": "delegate_task", "session_id": "s1", "payload": payload} | more
    with db.transaction():
        return str(commands.carry_out(envelope, who).body["ids"][0])


def told(*, after: int = 2) -> list[Row]:
    with db.quick():
        return events.after("s1", after)[0]


def test_the_result_comes_back_with_its_headline_text_cost_and_files(
    post: Post, ada: Principal, run_with: RunWith
) -> None:
    def write(_work: Work, context: Context) -> dict[str, Any]:
        context.artifact("tides.md", b"# Tides", "text/markdown")
        return {"headline": {"text": "Tides explained"}, "content": "Twice a day.", "n": 1}

    run_with(write)
    job_id = delegate(ada)
    assert run_next(post)
    artifact, end = told()
    assert (artifact["type"], artifact["data"]["name"]) == ("artifact.added", "tides.md")
    assert end["type"] == "job.completed"
    data = end["data"]
    assert (data["job_id"], data["agent_id"], data["status"]) == (job_id, "test-noop", "completed")
    assert (data["headline"], data["excerpt"]) == ("Tides explained", "Twice a day.")
    assert [file["name"] for file in data["artifacts"]] == ["tides.md"]
    with db.quick():
        (row,) = made.page("s1")
    assert (row["job_id"], row["size_bytes"]) == (job_id, 7)


def test_a_failure_comes_back_with_what_went_wrong(post: Post, ada: Principal, run_with: RunWith) -> None:
    def fail(_work: Work, _context: Context) -> None:
        raise PermanentError("no such tide")

    run_with(fail)
    delegate(ada)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    dead_letter.bury(failed.value)
    followups.attend()
    (end,) = told()
    assert end["type"] == "job.failed"
    assert end["data"]["error"] == {"type": "PermanentError", "message": "no such tide"}
    assert "excerpt" not in end["data"]


def test_one_that_is_cancelled_while_it_waits_is_told_by_the_sweep(ada: Principal) -> None:
    job_id = delegate(ada)
    with db.transaction():
        lifecycle.cancel(job_id)
    assert told() == []
    followups.attend()
    assert [row["type"] for row in told()] == ["job.cancelled"]


def test_it_is_told_once_however_often_it_is_followed_up(post: Post, ada: Principal) -> None:
    job_id = delegate(ada)
    run_next(post)
    for _ in range(2):
        with db.transaction():
            news.job_settled(job_id)
    assert [row["type"] for row in told()] == ["job.completed"]


def test_the_end_comes_back_into_a_session_that_is_over_or_deleted_and_breaks_nothing_without_one(
    post: Post, ada: Principal
) -> None:
    first, second = delegate(ada), delegate(ada)
    with db.transaction():
        changes.change("s1", who=ada, status="completed", callback_url="https://example.com/in")
    run_next(post)
    with db.transaction():
        changes.delete("s1", who=ada)
    run_next(post)
    assert {row["data"]["job_id"] for row in told() if row["type"] == "job.completed"} == {first, second}
    with db.quick():
        sent = db.rows("SELECT event FROM deliveries WHERE subject_type = 'session' ORDER BY delivery_id")
    assert [row["event"] for row in sent] == [
        "session.updated", "session.completed", "job.completed", "session.deleted",
    ]  # fmt: skip
    with db.transaction():
        db.run("DELETE FROM sessions")
        news.job_settled(first)
        news.job_settled("01890000-0000-7000-8000-000000000000")


def test_secret_parameters_and_results_are_in_no_event(post: Post, ada: Principal, run_with: RunWith) -> None:
    with db.transaction():
        acting.agent(
            "test-secretive",
            parameters={"type": "object", "properties": {"token": {"type": "string", "x-secret": True}}},
            output={"type": "object", "properties": {"text": {"type": "string", "x-secret": True}}},
        )
    run_with(lambda _work, _context: {"text": "opensesame-result", "n": 1})
    delegate(ada, "test-secretive", parameters={"token": "opensesame-parameter"})
    run_next(post)
    assert [row["type"] for row in told()] == ["job.completed"]
    with db.quick():
        everything = db.value("SELECT string_agg(data::text, ' ') FROM session_events")
    assert "opensesame" not in everything


def test_one_that_is_run_again_comes_back_too_and_a_replay_for_comparison_does_not(
    post: Post, ada: Principal
) -> None:
    job_id = delegate(ada)
    run_next(post)
    with db.transaction():
        again = intake.again(job_id, by=ada.user_id)["job_id"]
        intake.replay(job_id, by=ada.user_id)
    run_next(post)
    run_next(post)
    assert [row["data"]["job_id"] for row in told()] == [job_id, again]


def test_the_hourly_sweep_removes_what_was_deleted_long_ago(ada: Principal, settings: Settings) -> None:
    with db.transaction():
        changes.create("s2", who=ada)
        for session_id in ("s1", "s2"):
            changes.delete(session_id, who=ada)
        db.run("UPDATE sessions SET deleted_at = deleted_at - interval '31 days' WHERE session_id = 's1'")
    sweeps.purge(settings)
    with db.quick():
        assert [row["session_id"] for row in db.rows("SELECT session_id FROM sessions")] == ["s2"]


def test_the_files_that_a_session_shows_outlive_the_retention_of_their_job(
    post: Post, ada: Principal, settings: Settings, run_with: RunWith
) -> None:
    run_with(lambda _work, context: {"kept": context.artifact("tides.md", b"# Tides")})
    job_id = delegate(ada)
    run_next(post)

    def swept() -> int:
        sweeps.purge(settings.model_copy(update={"job_retention_days": -1}))
        with db.quick():
            return int(db.value("SELECT count(*) FROM jobs WHERE job_id = %(id)s", id=job_id))

    assert swept() == 1
    with db.transaction():
        db.run("DELETE FROM sessions")
    assert swept() == 0


def test_a_job_of_no_session_tells_none(post: Post, ada: Principal) -> None:
    with db.quick():
        acting.submitted()
    run_next(post)
    assert told() == []


def test_a_run_that_a_batch_started_is_told_of_when_it_is_over(post: Post, ada: Principal) -> None:
    steps = [{"step_id": "a", "agent_id": "test-echo", "parameters": {"text": "tide"}}]
    with db.transaction():
        envelope = {
            "command": "batch_workflow",
            "session_id": "s1",
            "payload": {"steps": steps, "name": "One"},
        }
        workflow_id = commands.carry_out(envelope, ada).body["ids"][0]
    run_next(post)
    followups.attend()
    followups.attend()
    (end,) = told()
    assert end["type"] == "workflow.finished"
    assert (end["data"]["workflow_id"], end["data"]["status"]) == (workflow_id, "completed")
    assert "tide" in end["data"]["excerpt"]


def test_signed_callbacks_leave_at_once_with_the_commit_and_nothing_is_in_the_inbox(
    post: Post, ada: Principal, courier: Courier, receiver: Receiver
) -> None:
    with db.transaction():
        changes.change("s1", who=ada, callback_url=f"{receiver.url}/session")
    job_id = delegate(ada, callback_url=f"{receiver.url}/command")
    run_next(post)

    def heard(path: str) -> list[Any]:
        return [each for each in receiver.got if each.path == path and each.json["type"] == "job.completed"]

    until(lambda: heard("/session") and heard("/command"))
    with db.quick():
        finished = db.value(
            "SELECT extract(epoch FROM finished_at)::float8 FROM jobs WHERE job_id = %(id)s", id=job_id
        )
        inbox = db.value("SELECT count(*) FROM notifications")
    for path in ("/session", "/command"):
        (got,) = heard(path)
        assert got.verified
        assert got.json["data"]["session_id"] == "s1"
        assert got.json["data"]["data"]["job_id"] == job_id
        assert (
            got.at - finished < 5
        )  # milliseconds at rest (tests/bench/sessions.py); machines of tests are busy
    assert inbox == 0
