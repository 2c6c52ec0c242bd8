"""The two agents of sessions: in whole attempts with a real claim and Postgres, with and without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.execute import AttemptFailed, run_next
from actors.post import Post
from app.accounts import users
from app.accounts.permissions import Principal
from app.agents import registry
from app.db import db
from app.providers import catalogue
from app.sessions import changes, events, memory, processing, summary, talk
from tests import acting
from tests.actors.builtin.desk import definition
from tests.model_server import Model, Say
from tests.openai_server import chat_model

SAID = [
    {"speaker": "Ada", "text": "The launch is on December 3rd. Carla, can you call the printer tomorrow?"},
    {"speaker": "Ben", "text": "I will send you the report by Friday. Who has the contract number?"},
    {"speaker": "Ada", "text": "We decided to print on recycled paper. My favourite colour is green."},
]
MINUTES = {
    "text": "The launch is near.",
    "action_items": [{"text": "Call the printer", "owner": "Carla", "due": "tomorrow"}],
    "decisions": [{"text": "Recycled paper"}],
    "questions": [],
    "topics": ["launch"],
}


@pytest.fixture(autouse=True)
def agents(post: Post) -> Iterator[None]:
    with db.transaction():
        for agent in processing.AGENTS:
            registry.install(definition(agent), "one test")
        registry.forget()
        db.run("UPDATE providers SET enabled = false")
    yield
    with db.transaction():
        db.run("UPDATE providers SET enabled = (source = 'settings')")


def somebody(name: str) -> Principal:
    with db.transaction():
        user = users.create(f"{name}@example.com", None, role="user")
    return Principal(user_id=str(user["user_id"]), email=user["email"], role="user")


def begun(session_id: str, who: Principal, *, said: list[dict[str, str]] = SAID, **metadata: Any) -> None:
    with db.transaction():
        changes.create(session_id, who=who, metadata=metadata)
        talk.add(session_id, said, by=who.user_id)


def submitted(agent: str, session_id: str, who: Principal, since: int = 0) -> str:
    with db.transaction():
        given = {"session_id": session_id, "since": since}
        return acting.submitted(agent, parameters=given, submitted_by=who.user_id)


def waiting(session_id: str) -> list[str]:
    with db.quick():
        rows = db.rows(
            "SELECT agent_id FROM jobs WHERE session_id = %(id)s AND status = 'queued' ORDER BY agent_id",
            id=session_id,
        )
    return [row["agent_id"] for row in rows]


def told_of(session_id: str) -> list[str]:
    with db.quick():
        return [event["type"] for event in events.after(session_id, 0, 100)[0]]


def memories(session_id: str) -> dict[str, str]:
    with db.quick():
        return {row["key"]: row["content"] for row in memory.page(session_id)}


def job(job_id: str) -> dict[str, Any]:
    with db.quick():
        return acting.job(job_id)


def provide(model: Model) -> None:
    with db.transaction():
        catalogue.add("minutes", {"title": "Minutes", "base_url": f"{model.url}/v1", "model": "test-model"})


def test_a_session_that_wants_it_hands_what_is_said_to_both_once_and_gets_all_back(post: Post) -> None:
    who = somebody("think-auto")
    begun("auto-1", who, process=True)
    with db.transaction():
        talk.add("auto-1", [{"speaker": "Ben", "text": "The launch has moved to Friday."}], by=who.user_id)
    assert waiting("auto-1") == sorted(processing.AGENTS)

    assert run_next(post)
    assert run_next(post)

    with db.quick():
        found = summary.of("auto-1", who)
    tasks = {(item["owner"], item["due"]) for item in found["action_items"]}
    assert tasks == {("Carla", "tomorrow"), ("Ben", "Friday")}
    assert [each["text"] for each in found["decisions"]] == ["We decided to print on recycled paper."]
    assert [each["text"] for each in found["questions"]] == ["Who has the contract number?"]
    assert (found["up_to"], found["new_messages"], found["kept"]) == (4, 0, True)
    kept = memories("auto-1")
    assert kept["date_launch"] == "The launch has moved to Friday."
    assert kept["ada_favourite_colour"] == "Ada: My favourite colour is green."
    assert told_of("auto-1").count("summary.made") == 1


def test_a_session_that_does_not_want_it_hands_out_nothing() -> None:
    begun("auto-2", somebody("think-quiet"))
    assert waiting("auto-2") == []


def test_a_repeated_attempt_changes_nothing(post: Post) -> None:
    who = somebody("think-again")
    begun("again-1", who)
    for agent in processing.AGENTS:
        job_id = submitted(agent, "again-1", who)
        assert run_next(post)
        before, kept = told_of("again-1"), memories("again-1")
        with db.transaction():  # as if the settle had been lost with its worker
            db.run("ALTER TABLE jobs DISABLE TRIGGER USER")
            db.run(
                """UPDATE jobs SET status = 'queued', finished_at = NULL, result = NULL, run_at = now()
                   WHERE job_id = %(id)s""",
                id=job_id,
            )
            db.run("ALTER TABLE jobs ENABLE TRIGGER USER")
        assert run_next(post)
        assert job(job_id)["status"] == "completed"
        assert (told_of("again-1"), memories("again-1")) == (before, kept)


def test_what_a_person_stored_stays_and_secrets_are_left_out(post: Post) -> None:
    who = somebody("think-person")
    begun(
        "person-1",
        who,
        said=[{"speaker": "Ada", "text": "My favourite colour is green. My password is hunter2."}],
    )
    with db.transaction():
        memory.store("person-1", key="ada_favourite_colour", content="Ada likes blue.", by=who.user_id)
    job_id = submitted("memory-keeper", "person-1", who)
    run_next(post)

    assert memories("person-1") == {"ada_favourite_colour": "Ada likes blue."}
    assert job(job_id)["result"]["known"] == ["ada_favourite_colour"]


@pytest.mark.parametrize("agent", processing.AGENTS)
def test_nobody_reads_a_session_of_others(post: Post, agent: str) -> None:
    session_id = f"private-{agent}"
    begun(session_id, somebody(f"owner-{agent}"))
    job_id = submitted(agent, session_id, somebody(f"stranger-{agent}"))
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)

    assert f"no session {session_id}" in failed.value.error.message
    assert "summary.made" not in told_of(session_id)
    assert job(job_id)["result"] is None


def test_a_model_writes_the_minutes_where_there_is_one(post: Post) -> None:
    who = somebody("think-model")
    begun("model-1", who)
    with chat_model(Say(json.dumps(MINUTES))) as model:
        provide(model)
        job_id = submitted("conversation-processor", "model-1", who)
        run_next(post)

    result = job(job_id)["result"]
    assert (result["summary"], result["produced_by"]) == ("The launch is near.", "Minutes - test-model")
    with db.quick():
        assert summary.of("model-1", who)["action_items"][0]["owner"] == "Carla"


def test_a_model_whose_memories_speak_of_secrets_is_not_believed(post: Post) -> None:
    who = somebody("think-keeper")
    begun("model-2", who)
    fact = {
        "key": "Launch date!",
        "content": "The launch is on December 3rd.",
        "type": "date",
        "tags": [],
        "importance": 8,
    }
    told = {"memories": [fact, fact | {"key": "x", "content": "The password is hunter2."}]}
    with chat_model(Say(json.dumps(told))) as model:
        provide(model)
        submitted("memory-keeper", "model-2", who)
        run_next(post)

    assert memories("model-2") == {"launch_date": "The launch is on December 3rd."}


def test_a_model_that_talks_nonsense_does_not_stop_the_minutes(post: Post) -> None:
    who = somebody("think-nonsense")
    begun("model-3", who)
    with chat_model(Say("I would rather not.")) as model:
        provide(model)
        job_id = submitted("conversation-processor", "model-3", who)
        run_next(post)

    row = job(job_id)
    assert (row["status"], row["result"]["produced_by"]) == ("completed", "offline tools, no model")
    assert len(row["result"]["action_items"]) == 2
