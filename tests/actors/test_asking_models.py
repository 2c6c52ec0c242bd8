"""Language agents that ask people by the tool `ask_person`: a model server on this machine, real claims and Postgres."""

from __future__ import annotations

from typing import Any

import pytest

from actors.execute import AttemptFailed, run_next
from actors.models.wish import Person, Wish
from actors.post import Post
from app.db import db
from app.errors import PermanentError
from app.jobs import timeline
from tests import acting
from tests.actors.test_asking import answered, job, questions
from tests.actors.test_llm_attempt import provide
from tests.model_server import Model, Reply, Say, UseTool
from tests.openai_server import chat_model

WHICH = {"question": "Which colour?", "choices": ["red", "blue"]}


def submitted(model: Model, tools: str | None = None, **llm: Any) -> str:
    with db.transaction():
        provide(model, "llm-asking")
        keys = {"runner": "llm", "llm": llm, "providers": ["llm-asking"], "retry": {"max_retries": 0}}
        if tools is None:
            acting.agent("test-asking", **keys)
        else:
            claude_codes("test-asking", tools, keys)
        return acting.submitted("test-asking", parameters={"task": "Paint it."})


def claude_codes(agent_id: str, tools: str, keys: dict[str, Any]) -> None:
    from app.agents import registry
    from app.agents.definition import parse

    head = f"name: {agent_id}\ndescription: Paints.\ntools: {tools}\nx-callboard: {keys}"
    registry.install(parse(agent_id, f"---\n{head}\n---\nPaint.\n"), "one test")
    registry.forget()


def told(model: Model, call: int) -> str:
    """What the last message of the model's n-th request says: a tool's answer."""
    message = model.asked[call]["messages"][-1]
    assert message["role"] == "tool"
    return str(message["content"])


def test_the_answer_is_the_tools_result_and_no_turn_is_paid_again(post: Post) -> None:
    with chat_model(UseTool("ask_person", WHICH), Say("Painted blue.")) as model:
        job_id = submitted(model, ask={"approvers": ["user"], "deadline_minutes": 60})
        run_next(post)

        assert job(job_id)["status"] == "awaiting_input"
        (question,) = questions(job_id)
        assert (question["question"], question["kind"], question["approvers"]) == (
            "Which colour?",
            "agent",
            ["user"],
        )
        assert question["form"]["properties"]["answer"]["enum"] == ["red", "blue"]
        assert question["deadline_at"] is not None
        answered(job_id, answer={"answer": "blue"}, comment="light blue")
        run_next(post)

        assert len(model.asked) == 2
        assert told(model, 1) == "They answered: blue\nThey added: light blue"
    row = job(job_id)
    assert (row["status"], row["result"]["result"]) == ("completed", "Painted blue.")
    with db.quick():
        kinds = [(each["kind"], each["message"]) for each in timeline.events(job_id)]
        calls = db.value(
            "SELECT count(DISTINCT (fence, call_id)) FROM usage_events WHERE job_id = %(id)s", id=job_id
        )
    assert calls == 2
    assert ("tool", "ask_person Which colour?") in kinds


def test_without_choices_they_write_what_they_like_and_may_refuse(post: Post) -> None:
    ask = UseTool("ask_person", {"question": "What is your name?"})
    with chat_model(ask, Say("As you like.")) as model:
        job_id = submitted(model, ask=True)
        run_next(post)
        assert questions(job_id)[0]["form"]["properties"]["answer"]["type"] == "string"
        answered(job_id, "reject")
        run_next(post)

        assert told(model, 1) == "They would not answer this."
    assert job(job_id)["status"] == "completed"


def test_silence_is_told_as_such(post: Post) -> None:
    with chat_model(UseTool("ask_person", WHICH), Say("I chose red.")) as model:
        job_id = submitted(model, ask={"deadline_minutes": 1})
        run_next(post)
        from app.approvals import queries
        from app.workflows import asking as doors

        with db.transaction():
            db.run(
                "UPDATE approvals SET deadline_at = now() - interval '1 s' WHERE job_id = %(id)s", id=job_id
            )
            (late,) = queries.due(10)
            assert doors.expire(late)
        run_next(post)

        assert told(model, 1).startswith("Nobody answered in time.")


def test_two_questions_of_a_conversation_are_two_even_in_the_same_words(post: Post) -> None:
    script: list[Reply] = [UseTool("ask_person", WHICH), UseTool("ask_person", WHICH), Say("Done.")]
    with chat_model(*script) as model:
        job_id = submitted(model, ask=True)
        for colour in ("red", "blue"):
            run_next(post)
            answered(job_id, answer={"answer": colour})
        run_next(post)

        assert [told(model, 1), told(model, 2)] == ["They answered: red", "They answered: blue"]
    assert len(questions(job_id)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"question": "  "}, "This cannot be asked: question:"),
        ({"question": "?", "choices": "red"}, "This cannot be asked: choices:"),
        ({}, "This cannot be asked: question:"),
    ],
)
def test_what_cannot_be_asked_is_told_to_the_model(post: Post, arguments: dict[str, Any], said: str) -> None:
    with chat_model(UseTool("ask_person", arguments), Say("Then not.")) as model:
        job_id = submitted(model, ask=True)
        run_next(post)

        assert said in told(model, 1)
    assert (job(job_id)["status"], questions(job_id)) == ("completed", [])


def test_the_tool_of_claude_code_offers_it_and_nothing_else_does(post: Post) -> None:
    for tools, offered in (("Read, AskUserQuestion", ["ask_person"]), ("Read", [])):
        with chat_model(Say("Done.")) as model:
            with db.transaction():
                db.run("DELETE FROM jobs; DELETE FROM providers")
            submitted(model, tools)
            run_next(post)
            names = [tool["function"]["name"] for tool in model.asked[0].get("tools", [])]
            assert names == offered


def test_a_model_that_was_not_offered_it_asks_nobody(post: Post) -> None:
    with chat_model(UseTool("ask_person", WHICH), Say("Alone, then.")) as model:
        job_id = submitted(model)
        run_next(post)

        assert "There are no tools here." in told(model, 1)
    assert questions(job_id) == []


def test_a_conversation_too_long_to_keep_goes_on_without_asking(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.models.conversation.MOST_KEPT_BYTES", 10)
    with chat_model(UseTool("ask_person", WHICH), Say("Alone, then.")) as model:
        job_id = submitted(model, ask=True)
        run_next(post)

        assert "too long to wait" in told(model, 1)
    assert questions(job_id) == []


def test_approvers_that_nobody_can_be_end_the_job(post: Post) -> None:
    with chat_model(UseTool("ask_person", WHICH)) as model:
        submitted(model, ask={"approvers": ["the boss"]})
        with pytest.raises(AttemptFailed) as failed:
            run_next(post)

    assert "approvers/0 'the boss' is neither" in failed.value.error.message


def test_the_wish_says_whom() -> None:
    assert Wish.of({}).person is None
    assert Wish.of({"ask": False, "tools": ["AskUserQuestion"]}).person is None
    assert Wish.of({"ask": True}).person == Person()
    assert Wish.of({"ask": {"approvers": ["admin"]}}).person == Person(approvers=["admin"])
    with pytest.raises(PermanentError, match="llm.ask"):
        Wish.of({"ask": {"whom": "admin"}})
