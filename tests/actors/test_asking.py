"""Agents that ask people, in whole attempts: real claims, real Postgres, Python agents in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.execute import AttemptFailed, run_next
from actors.post import Post
from actors.runners.base import Context, Work
from app.approvals import asking
from app.db import db
from app.errors import PermanentError, TemporaryError
from app.jobs import lifecycle, timeline
from tests import acting
from tests.actors.questioning import answered, job, questions, submitted

ISOLATIONS = ("process", "thread")


def asker(isolation: str, agent_id: str = "test-asker", call: str = "asker", **ours: Any) -> str:
    with db.quick():
        acting.agent(
            agent_id, python={"call": f"tests.playing:{call}", "isolation": isolation, "limit_address_space": False},
            **ours,
        )  # fmt: skip
    return agent_id


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_job_waits_for_a_person_and_goes_on_with_what_they_said(post: Post, isolation: str) -> None:
    form = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    job_id = submitted(
        asker(isolation), ask={"question": "Which colour?", "form": form, "shown": {"a": [1, 2]}}
    )

    assert run_next(post) is True

    row = job(job_id)
    assert (row["status"], row["status_reason"], row["lease_id"], row["worker_id"]) == (
        "awaiting_input", "approval", None, None,
    )  # fmt: skip
    assert (row["checkpoint"]["steps"], row["retry_count"]) == ([1], 0)
    (question,) = questions(job_id)
    assert (question["status"], question["kind"], question["fence"]) == ("open", "agent", 1)
    assert (question["question"], question["shown"], question["form"]) == (
        "Which colour?",
        {"a": [1, 2]},
        form,
    )
    assert question["requested_by"] == acting.OWNER
    assert run_next(post) is False, "nobody may claim a job that waits"

    answered(job_id, answer={"colour": "blue"}, comment="as the sea")
    assert job(job_id)["status"] == "queued"
    assert run_next(post) is True

    row = job(job_id)
    assert row["status"] == "completed"
    assert row["result"] == {
        "decision": "approve", "answer": {"colour": "blue"}, "edited": None, "by": "ada@example.com",
        "comment": "as the sea", "attempt": 2, "steps": [1], "comments": [],
    }  # fmt: skip
    assert len(questions(job_id)) == 1
    with db.quick():
        story = [(each["attempt"], each["message"]) for each in timeline.story(job_id)]
    assert story == [(1, "Asks: Which colour?")]
    with db.quick():
        outcomes = db.rows("SELECT outcome FROM job_attempts WHERE job_id = %(id)s ORDER BY fence", id=job_id)
    assert [each["outcome"] for each in outcomes] == ["asked", "completed"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_a_person_edited_is_the_answer_and_a_large_text_comes_through(
    post: Post, isolation: str
) -> None:
    ask = {
        "question": "Like this?", "options": ["approve", "edit", "reject"], "editable": {"text": "Dear all"},
        "approvers": ["ada@example.com"], "deadline_seconds": 3600, "on_timeout": "approve",
    }  # fmt: skip
    job_id = submitted(asker(isolation), ask=ask)
    run_next(post)
    (question,) = questions(job_id)
    assert (question["editable"], question["approvers"]) == ({"text": "Dear all"}, ["ada@example.com"])
    assert question["deadline_at"] is not None
    edited = "Dear colleagues, " + "é" * 199_000  # more than a socket holds at once

    answered(job_id, "edit", edited=edited)
    run_next(post)

    assert job(job_id)["result"]["edited"] == edited


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_asking_back_is_answered_by_another_question_and_no_is_an_answer(post: Post, isolation: str) -> None:
    ask = {"question": "Fine?", "options": ["approve", "reject", "ask_back"]}
    job_id = submitted(asker(isolation), ask=ask)
    run_next(post)
    answered(job_id, "ask_back", comment="Shorter, please.")

    run_next(post)

    assert job(job_id)["status"] == "awaiting_input"
    answered(job_id, "reject")
    run_next(post)
    result = job(job_id)["result"]
    assert (result["decision"], result["comments"], result["steps"]) == ("reject", ["Shorter, please."], [1])
    assert [each["status"] for each in questions(job_id)] == ["sent_back", "rejected"]


BAD = {
    "question must be a text": {"question": "  "},
    "question must have at most 10,000": {"question": "x" * 10_001},
    "form/type must be `object`": {"question": "?", "form": {"type": "string"}},
    "form/properties/a/type not a JSON Schema": {
        "question": "?",
        "form": {"properties": {"a": {"type": "x"}}},
    },
    "form must be a JSON Schema": {"question": "?", "form": [1]},
    "form/$ref is not allowed": {"question": "?", "form": {"$ref": "https://example.com/a"}},
    "options must name some of approve, reject, edit, ask_back": {"question": "?", "options": ["shrug"]},
    "options must let somebody say yes": {"question": "?", "options": ["reject"]},
    "editable is required": {"question": "?", "options": ["approve", "edit"]},
    "editable must be": {"question": "?", "editable": {"texts": "a"}},
    "editable/text must be a text": {"question": "?", "editable": {"text": 7}},
    "approvers/1 'nobody' is neither": {"question": "?", "approvers": ["admin", "nobody"]},
    "approvers must be a list": {"question": "?", "approvers": "admin"},
    "deadline_seconds must be more than 0": {"question": "?", "deadline_seconds": -1},
    "on_timeout must be approve or reject": {"question": "?", "on_timeout": "shrug"},
    "escalate_seconds is required": {"question": "?", "escalate_to": ["admin"]},
    "escalate_to is required": {"question": "?", "escalate_seconds": 60},
}


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_asked_ends_the_job_and_says_why(post: Post, said: str) -> None:
    job_id = submitted(asker("thread"), ask=BAD[said])

    with pytest.raises(AttemptFailed) as failed:
        run_next(post)

    assert isinstance(failed.value.error, PermanentError)
    assert f"This cannot be asked: {said}" in failed.value.error.message
    assert questions(job_id) == []


@pytest.mark.parametrize(
    ("said", "ask"),
    [
        ("ask() takes no policy_id", {"question": "?", "policy_id": "x"}),
        ("ask() takes no kind", {"question": "?", "kind": "gate"}),
        ("deadline_seconds must be more than 0", {"question": "?", "deadline_seconds": 0}),
    ],
)
def test_a_process_may_not_ask_as_somebody_else(post: Post, said: str, ask: dict[str, Any]) -> None:
    submitted(asker("process"), ask=ask)

    with pytest.raises(AttemptFailed) as failed:
        run_next(post)

    assert f"This cannot be asked: {said}" in failed.value.error.message
    assert failed.value.error.error_class == "permanent"


def test_another_job_of_the_agent_runs_while_one_waits(post: Post) -> None:
    """Neither the agent's only place nor a worker is held."""
    asker("thread", max_concurrent=1)
    waiting = submitted("test-asker", ask={"question": "Well?"})
    run_next(post)
    with db.quick():
        assert db.value("SELECT count(*) FROM agent_slots WHERE job_id IS NOT NULL") == 0
    other = submitted("test-asker", ask={"question": "And this?"})

    assert run_next(post) is True

    assert (job(waiting)["status"], job(other)["status"]) == ("awaiting_input", "awaiting_input")
    answered(other)
    run_next(post)
    assert (job(waiting)["status"], job(other)["status"]) == ("awaiting_input", "completed")
    assert post.in_hand() == []


def test_a_question_holds_for_what_was_shown_only(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    asker("thread")
    shown = ["the first draft"]
    run_with(lambda _work, context: {"said": context.ask("Publish?", shown=shown[0]).decision})
    job_id = submitted("test-asker")
    run_next(post)
    answered(job_id)
    shown[0] = "another draft"

    run_next(post)

    assert job(job_id)["status"] == "awaiting_input"
    assert [(each["shown"], each["status"]) for each in questions(job_id)] == [
        ("the first draft", "approved"),
        ("another draft", "open"),
    ]


def test_a_retry_after_an_answer_does_not_ask_again(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    asker("thread")

    def ask_then_fail_once(work: Work, context: Context) -> dict[str, Any]:
        said = context.ask("Go on?").decision
        if work.attempt == 2:
            raise TemporaryError("away")
        return {"said": said}

    run_with(ask_then_fail_once)
    job_id = submitted("test-asker")
    run_next(post)
    answered(job_id)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    with db.quick():
        lifecycle.retry_later(failed.value.claim, failed.value.error, 0.0)
        acting.make_due(job_id)

    run_next(post)

    assert job(job_id)["result"] == {"said": "approve"}
    assert len(questions(job_id)) == 1


def test_a_job_that_was_cancelled_meanwhile_asks_nobody(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    asker("thread")

    def ask(work: Work, context: Context) -> dict[str, Any]:
        with db.transaction():
            lifecycle.cancel(work.job_id)
        return {"said": context.ask("Too late?").decision}

    run_with(ask)
    job_id = submitted("test-asker")

    run_next(post)

    assert job(job_id)["status"] == "cancelled"
    assert questions(job_id) == []


def test_a_worker_that_lost_its_job_asks_nobody(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    asker("thread")

    def ask(work: Work, context: Context) -> dict[str, Any]:
        with db.quick():
            db.run(
                "UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE job_id = %(id)s",
                id=work.job_id,
            )
            lifecycle.rescue(10, max_lost=3, backoff_seconds=0)
        return {"said": context.ask("From beyond?").decision}

    run_with(ask)
    job_id = submitted("test-asker")

    run_next(post)

    assert job(job_id)["status"] in ("queued", "retry")
    assert questions(job_id) == []


def test_the_question_and_the_waiting_are_one_transaction(
    post: Post,
    run_with: Callable[[Callable[[Work, Context], Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing waits for a question that was never put."""
    asker("thread")
    run_with(lambda _work, context: {"said": context.ask("Well?").decision})
    job_id = submitted("test-asker")

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "ask_for_job", crash)
    with pytest.raises(KeyboardInterrupt):
        run_next(post)

    assert job(job_id)["status"] == "running"
    assert questions(job_id) == []


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_agent_that_catches_its_own_question_may_go_on_without_an_answer(
    post: Post, isolation: str
) -> None:
    asker(isolation, call="careless")
    job_id = submitted("test-asker")

    run_next(post)

    assert job(job_id)["result"] == {"went_on": True}
    assert questions(job_id) == []
