"""What an attempt tells besides its log, and the endings that are neither success nor failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from actors.attempt import brief
from actors.execute import AttemptFailed, run_next
from actors.middleware import dead_letter, retry
from actors.post import Post
from actors.runners.base import Context, Work
from app import clock
from app.db import db, dumps
from app.errors import Held, PermanentError, StoppedByBudget
from app.jobs import timeline
from tests import acting

RunWith = Callable[[Callable[[Work, Context], Any]], None]


def _submitted(*args: Any, **wish: Any) -> str:
    with db.quick():
        return acting.submitted(*args, **wish)


def test_turns_tools_and_pins_are_kept_in_order(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def agent(_work: Work, context: Context) -> dict[str, Any]:
        context.event("turn", "I shall look at the file", turn=1)
        context.tool_started("c1", "Read", {"path": "a.py"}, "a.py")
        context.tool_ended("c1", summary="12 lines")
        context.pin(model="small", session_id="s-1")
        context.pin(provider="ollama")
        return {}

    run_with(agent)
    run_next(post)

    with db.quick():
        story = timeline.events(job_id)
        (attempt,) = timeline.attempts(job_id)
    assert [(e["kind"], e["message"]) for e in story[:3]] == [
        ("turn", "I shall look at the file"),
        ("tool", "Read a.py"),
        ("tool_result", "12 lines"),
    ]
    assert story[1]["data"] == {"call_id": "c1", "name": "Read", "arguments": {"path": "a.py"}}
    assert attempt["pins"] == {"model": "small", "session_id": "s-1", "provider": "ollama"}


@pytest.mark.parametrize(
    "arguments",
    [
        "x" * 50_000,
        {"content": "x" * 50_000},
        {str(n): "x" * 1500 for n in range(50)},
        {"deep": ["x" * 1500] * 50},
    ],
)
def test_the_story_keeps_long_arguments_short_and_says_so(arguments: dict[str, Any] | str) -> None:
    short = brief(arguments)
    assert len(dumps(short)) < 9_000
    assert " characters)" in dumps(short)


def test_a_held_attempt_goes_back_and_its_agent_waits(post: Post, run_with: RunWith) -> None:
    with db.quick():
        acting.agent("needy", max_concurrent=2)
    job_id, other = _submitted("needy"), _submitted("needy")
    until = clock.now() + timedelta(hours=1)

    def agent(_work: Work, _context: Context) -> dict[str, Any]:
        raise Held("provider_open", "ollama is paused", until=until, agent_wide=True, subject="ollama")

    run_with(agent)

    assert run_next(post) is True
    assert run_next(post) is False  # the other one is not even claimed
    with db.quick():
        row = acting.job(job_id)
        hold = db.row("SELECT agent_id, code, subject, message, until FROM agent_holds")
        assert acting.status(other) == "queued"
    assert (row["status"], row["status_reason"], row["run_at"]) == ("retry", "provider_open", until)
    assert hold == {
        "agent_id": "needy", "code": "provider_open", "subject": "ollama", "message": "ollama is paused", "until": until,
    }  # fmt: skip


def test_a_hold_of_one_job_holds_no_other(post: Post, run_with: RunWith) -> None:
    first, second = _submitted(), _submitted()
    done: list[str] = []

    def agent(work: Work, _context: Context) -> dict[str, Any]:
        if work.job_id == first:
            raise Held("budget", "this job's own budget")
        done.append(work.job_id)
        return {}

    run_with(agent)
    while run_next(post):
        pass
    assert done == [second]


def test_what_was_done_before_the_budget_was_spent_is_kept(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def agent(_work: Work, context: Context) -> dict[str, Any]:
        context.partial({"result": "the first half"})
        raise StoppedByBudget("the budget of $1.00 is spent")

    run_with(agent)
    _run_and_decide(post)

    with db.quick():
        row = acting.job(job_id)
    assert (row["status"], row["status_reason"]) == ("failed", "stopped_budget")
    assert row["result"] == {"result": "the first half"}
    assert row["error"]["code"] == "stopped_budget"


def test_half_a_result_of_another_failure_is_kept_too(post: Post, run_with: RunWith) -> None:
    job_id = _submitted()

    def agent(_work: Work, context: Context) -> dict[str, Any]:
        context.partial({"result": "so far"})
        raise PermanentError("no")

    run_with(agent)
    _run_and_decide(post)

    with db.quick():
        row = acting.job(job_id)
    assert (row["status"], row["result"]) == ("failed", {"result": "so far"})


def _run_and_decide(post: Post) -> None:
    try:
        run_next(post)
    except AttemptFailed as failed:
        retry.decide(failed)
        if not failed.settled:
            dead_letter.bury(failed)
