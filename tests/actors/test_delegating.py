"""Agents that hand out jobs, in whole attempts: real claims, real Postgres, agents in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actors.children import Children
from actors.execute import AttemptFailed, run_next
from actors.models import handing_out
from actors.post import Post
from actors.runners.base import Context, Work
from app.accounts import run_tokens, users
from app.budgets.usage import Usage
from app.db import db
from app.errors import StoppedByBudget
from app.jobs import delegation, lifecycle
from tests import acting
from tests.actors.questioning import job, submitted
from tests.actors.test_asking_models import claude_codes, told
from tests.actors.test_llm_attempt import provide
from tests.model_server import Model, Say, UseTool
from tests.openai_server import chat_model
from tests.waiting import until

HELPERS = ["test-helper", "test-helper"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent hands its place back at the first look that shows nothing running."""
    monkeypatch.setattr(Children, "patience", 0.0)


def boss(isolation: str = "thread", **ours: Any) -> str:
    with db.quick():
        acting.agent("test-helper")
        acting.agent(
            "test-boss",
            **{
                "python": {
                    "call": "tests.playing:delegator",
                    "isolation": isolation,
                    "limit_address_space": False,
                },
                "delegation": {"to": ["test-helper"]},
            }
            | ours,
        )
    return "test-boss"


def children(job_id: str) -> list[dict[str, Any]]:
    with db.quick():
        return delegation.outcomes(job_id)


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.usefixtures("at_once")
def test_a_single_worker_is_enough_for_a_parent_and_its_children(post: Post, isolation: str) -> None:
    job_id = submitted(boss(isolation), to=HELPERS)

    assert run_next(post) is True

    row = job(job_id)
    assert (row["status"], row["status_reason"], row["retry_count"]) == ("retry", "delegated", 0)
    assert [child["status"] for child in children(job_id)] == ["queued", "queued"]

    assert run_next(post) is True
    assert job(job_id)["status"] == "queued", "the first child that ends lets it go on"
    assert run_next(post) is True
    assert [child["status"] for child in children(job_id)] == ["completed", "completed"]
    assert run_next(post) is True

    row = job(job_id)
    assert (row["status"], row["result"]["attempt"]) == ("completed", 2)
    assert [child["result"] for child in row["result"]["children"]] == [{"ok": True}, {"ok": True}]
    assert len(children(job_id)) == 2, "the second attempt came by the same two"
    assert run_next(post) is False


def test_a_parent_keeps_its_place_while_a_child_runs(post: Post) -> None:
    job_id = submitted(boss(), to=["test-helper"])
    with ThreadPoolExecutor(1) as worker:
        parent = worker.submit(run_next, post)
        until(lambda: children(job_id))
        assert run_next(post) is True
        assert parent.result(10) is True
    row = job(job_id)
    assert (row["status"], row["fence"], row["current_step"]) == (
        "completed", 1, "waits for 1 delegated job of test-helper",
    )  # fmt: skip


def test_a_parent_that_waits_hears_that_it_is_cancelled(post: Post) -> None:
    job_id = submitted(boss(), to=["test-helper"])
    with ThreadPoolExecutor(1) as worker:
        parent = worker.submit(run_next, post)
        until(lambda: children(job_id))
        with db.transaction():
            lifecycle.cancel(job_id)
        for attempt in post.in_hand():
            attempt.cancel_asked = True  # as the heartbeat says it
        assert parent.result(10) is True
    assert [job(job_id)["status"], children(job_id)[0]["status"]] == ["cancelled", "cancelled"]


def test_an_agent_without_delegation_hands_out_nothing(post: Post) -> None:
    submitted(boss(delegation=None), to=["test-helper"])
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert "may not delegate" in failed.value.error.message


def test_what_is_set_aside_for_a_child_is_gone_for_its_parent(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    def spend(_work: Work, context: Context) -> dict[str, Any]:
        context.meter(usage("own", 300))
        context.delegate("test-helper", {}, budget={"tokens": 600})
        context.meter(usage("own", 350))
        context.checkpoint_due()
        context.meter(usage("more", 60))
        context.checkpoint_due()
        return {}

    run_with(spend)
    job_id = submitted(boss(budget={"tokens": 1000}))
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    assert isinstance(failed.value.error, StoppedByBudget)
    assert "410 tokens used, and 600 tokens counted for jobs it delegated" in failed.value.error.message
    assert len(children(job_id)) == 1


def usage(call: str, tokens: int) -> Usage:
    return Usage(call_id=call, provider="p", model="m", input_tokens=tokens)


def test_a_child_of_wrong_kinds_is_refused_in_words(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    said = []

    def wrongly(_work: Work, context: Context) -> dict[str, Any]:
        for given in ({"tags": "x"}, {"timeout": "soon"}, {"colour": "red"}, {"key": 1}):
            with pytest.raises(Exception, match="cannot be delegated") as refused:
                context.delegate("test-helper", {}, **given)
            said.append(str(refused.value))
        with pytest.raises(Exception, match="no job's id"):
            context.look_at_children(["x"])
        with pytest.raises(Exception, match="delegated no job"):
            context.look_at_children([lifecycle.new_id()])
        return {}

    run_with(wrongly)
    submitted(boss())
    assert run_next(post) is True
    assert len(said) == 4


# -- programs get a token


SHOW = 'env | grep CALLBOARD_ ; mkdir -p artifacts; env > artifacts/env.txt; echo "{\\"token\\": \\"$CALLBOARD_JOB_TOKEN\\"}"'


def program(**ours: Any) -> str:
    with db.transaction():
        user = users.create("ada@example.org", None, role="user")
        acting.agent("test-program", runner="command", command={"argv": ["sh", "-c", SHOW]}, **ours)
        return acting.submitted("test-program", submitted_by=str(user["user_id"]))


def test_a_program_that_may_delegate_finds_its_token_and_nobody_else_does(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    issue = run_tokens.issue
    monkeypatch.setattr(run_tokens, "issue", lambda *a, **k: made.append(issue(*a, **k)) or made[-1])
    job_id = program(delegation={"to": ["test-helper"]})

    assert run_next(post) is True

    [token] = made
    assert run_tokens.read(token, keys=post.settings.token_keys) == run_tokens.Run(
        job_id=job_id, fence=1, user_id=job(job_id)["submitted_by"]
    )
    with db.quick():
        lines = " ".join(
            row["message"]
            for row in db.rows("SELECT message FROM job_events WHERE job_id = %(id)s", id=job_id)
        )
        [kept] = db.rows("SELECT location FROM artifacts WHERE job_id = %(id)s", id=job_id)
        with post.store.open(kept["location"]) as file:
            environment = file.read().decode()
    assert f"CALLBOARD_URL={post.settings.public_url}" in environment
    assert "CALLBOARD_JOB_TOKEN=(a secret)" in environment
    assert "CALLBOARD_JOB_TOKEN=(a secret)" in lines
    assert job(job_id)["result"]["token"] == "(a secret)"
    for text in (environment, lines, str(job(job_id))):
        assert token not in text


def test_other_programs_get_none(post: Post) -> None:
    job_id = program()
    assert run_next(post) is True
    assert job(job_id)["result"]["token"] == ""


# -- models get a tool


@pytest.mark.usefixtures("at_once")
def test_a_model_hands_out_a_job_and_is_told_its_result(post: Post) -> None:
    wants = UseTool(handing_out.NAME, {"agent_id": "test-helper", "parameters": {"text": "x"}})
    with chat_model(wants, Say("Helped.")) as model:
        job_id = thinking(model, "delegate")
        for _ in range(3):  # until the child is queued, the child, and on with its result
            assert run_next(post) is True

        assert '{"ok": true}' in told(model, 1)
        assert len(model.asked) == 2, "no turn is paid twice"
        offered = {tool["function"]["name"] for tool in model.asked[0]["tools"]}
        assert offered == {"delegate", "wait_for_jobs"}
    row = job(job_id)
    assert (row["status"], row["result"]["result"]) == ("completed", "Helped.")
    assert [child["status"] for child in children(job_id)] == ["completed"]


def test_a_model_hands_out_several_and_hears_why_one_may_not_be(post: Post) -> None:
    given = {"agent_id": "test-helper", "parameters": {}, "wait": False}
    with chat_model(
        UseTool(handing_out.NAME, given),
        UseTool(handing_out.NAME, given | {"agent_id": "test-echo"}),
        Say("Done."),
    ) as model:
        job_id = thinking(model, "Task")
        assert run_next(post) is True
        assert told(model, 1).startswith("Handed out as job ")
        assert "may delegate to test-helper, not to test-echo" in told(model, 2)
    assert [child["status"] for child in children(job_id)] == ["queued"]


def test_a_model_without_the_tool_is_not_offered_it(post: Post) -> None:
    with chat_model(Say("Alone.")) as model:
        thinking(model, "Read")
        assert run_next(post) is True
        assert not model.asked[0].get("tools")


def thinking(model: Model, tools: str) -> str:
    with db.transaction():
        provide(model, "llm-asking")
        acting.agent("test-helper")
        keys = {"runner": "llm", "providers": ["llm-asking"], "delegation": {"to": ["test-helper"]}}
        claude_codes("test-thinker", tools, keys)
        return acting.submitted("test-thinker", parameters={"task": "Get help."})
