"""Approval policies in whole attempts: before the start, before an effect, and at a sum of money."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.execute import AttemptFailed, run_next
from actors.middleware.dead_letter import bury
from actors.post import Post
from actors.runners.base import Context, Work
from app.approvals import policies, queries
from app.db import db
from app.errors import NotPermitted, PermanentError, TemporaryError
from app.jobs import intake, lifecycle
from app.workflows import asking as doors
from tests import acting
from tests.actors.questioning import answered, job, questions
from tests.actors.runners.playing_cli import ALL, HANG, UNTIL_THE_TOOL, Stage
from tests.actors.test_llm_attempt import provide
from tests.model_server import Say, UseTool
from tests.openai_server import chat_model

THREAD = {"isolation": "thread"}
PROCESS = {"isolation": "process", "limit_address_space": False}


def policy(name: str = "Ask first", **wish: Any) -> str:
    with db.transaction():
        return str(policies.create(by=None, name=name, **wish)["policy_id"])


def agent(call: str, how: dict[str, Any], **ours: Any) -> str:
    with db.quick():
        acting.agent("test-ruled", python={"call": f"tests.playing:{call}"} | how, **ours)
    return "test-ruled"


def submitted(agent_id: str = "test-ruled", **parameters: Any) -> str:
    with db.quick():
        return acting.submitted(agent_id, parameters=parameters)


def failing(post: Post) -> AttemptFailed:
    """The failure of the next attempt, whose job is settled as a worker does it."""
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    bury(failed.value)
    return failed.value


# -- before the start


def test_each_job_of_an_agent_is_asked_about_once(post: Post) -> None:
    agent("noop", THREAD)
    policy_id = policy(agents=["test-ruled"], deadline_minutes=60, escalate_minutes=30, escalate_to=["user"])
    first, second = submitted(n=1), submitted(n=2)
    run_next(post)
    run_next(post)

    (question,) = questions(first)
    assert (question["kind"], question["policy_id"], question["approvers"]) == (
        "policy",
        policy_id,
        ["admin"],
    )
    assert question["question"] == "May Test ruled run?"
    assert question["shown"] == {"policy": "Ask first", "agent": "test-ruled", "parameters": {"n": 1}}
    assert question["requested_by"] == acting.OWNER
    assert question["deadline_at"] is not None
    assert (question["escalate_at"] is not None, question["escalate_to"]) == (True, ["user"])
    answered(first)
    run_next(post)
    assert (job(first)["status"], job(second)["status"]) == ("completed", "awaiting_input")
    assert run_next(post) is False


def test_a_no_ends_the_job_with_the_policys_name_and_no_agent_runs(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    ran: list[str] = []
    run_with(lambda work, _context: ran.append(work.job_id) or {})
    policy(name="Four eyes", question="Has somebody looked at it?")
    agent("noop", THREAD)
    job_id = submitted()
    run_next(post)
    assert questions(job_id)[0]["question"] == "Has somebody looked at it?"
    answered(job_id, "reject", comment="Not today.")

    failed = failing(post)

    assert isinstance(failed.error, NotPermitted)
    assert failed.error.message == (
        "Not permitted by the policy 'Four eyes': ada@example.com said no: Not today."
    )
    row = job(job_id)
    assert (row["status"], row["status_reason"], row["error"]["code"]) == (
        "failed",
        "not_permitted",
        "not_permitted",
    )
    assert row["retry_count"] == 0
    with db.quick():
        assert db.value("SELECT user_error FROM dead_letters WHERE job_id = %(id)s", id=job_id) is True
    assert ran == []


def test_silence_is_the_answer_that_the_policy_says(post: Post) -> None:
    policy(deadline_minutes=1)
    agent("noop", THREAD)
    job_id = submitted()
    run_next(post)
    with db.transaction():
        db.run("UPDATE approvals SET deadline_at = now() - interval '1 s' WHERE job_id = %(id)s", id=job_id)
        (late,) = queries.due(10)
        assert doors.expire(late)

    assert "nobody answered in time" in failing(post).error.message


def test_a_retry_does_not_ask_again_and_new_parameters_do(post: Post) -> None:
    policy()
    agent("flaky", THREAD)
    job_id = submitted(failures=2)
    run_next(post)
    answered(job_id)
    with pytest.raises(AttemptFailed) as failed:
        run_next(post)
    with db.quick():
        lifecycle.retry_later(failed.value.claim, failed.value.error, 0.0)
        acting.make_due(job_id)
    run_next(post)
    assert (job(job_id)["status"], len(questions(job_id))) == ("completed", 1)

    with db.quick():  # as a new version of the agent, or anything else that is not what they said yes to
        db.run("UPDATE approvals SET digest = 'of other parameters' WHERE job_id = %(id)s", id=job_id)
    again = submitted(failures=0)
    run_next(post)
    assert job(again)["status"] == "awaiting_input"


def test_several_policies_are_asked_one_after_the_other(post: Post) -> None:
    policy(name="B", approvers=["bob@example.com"])
    policy(name="A", approvers=["user"])
    policy(name="C", agents=["test-noop"])
    agent("noop", THREAD)
    job_id = submitted()
    run_next(post)
    answered(job_id)
    run_next(post)
    answered(job_id)
    run_next(post)

    assert job(job_id)["status"] == "completed"
    assert [each["approvers"] for each in questions(job_id)] == [["user"], ["bob@example.com"]]


def test_a_policy_holds_for_jobs_that_waited_when_it_came_and_may_go_while_it_asks(post: Post) -> None:
    agent("noop", THREAD)
    job_id = submitted()
    policy_id = policy()
    run_next(post)
    assert job(job_id)["status"] == "awaiting_input"
    with db.transaction():
        policies.remove(policy_id)

    answered(job_id)
    run_next(post)

    assert job(job_id)["status"] == "completed"


def test_an_earlier_version_of_the_agent_gets_round_no_policy(post: Post) -> None:
    agent("noop", THREAD, team="LAB")
    first = submitted()
    run_next(post)
    agent("noop", THREAD, team="MAIL", effects=["send"])
    policy(name="By team", teams=["MAIL"])
    policy(name="By what it does", effects=["send"])
    with db.quick():
        again = str(intake.replay(first, by=acting.OWNER, version="pinned")["job_id"])

    for name in ("By team", "By what it does"):
        run_next(post)
        (question,) = questions(again, "open")
        assert question["shown"]["policy"] == name
        answered(again)
    run_next(post)
    assert job(again)["status"] == "completed"


# -- before an effect


def test_an_effect_that_nobody_announces_is_asked_about_before_the_start(post: Post) -> None:
    policy(effects=["send", "publish"])
    agent("noop", THREAD, effects=["publish", "draw"])
    job_id = submitted()
    run_next(post)

    (question,) = questions(job_id)
    assert question["question"] == "May Test ruled run? It has effects outside: publish."
    assert question["shown"]["effects"] == ["publish"]
    answered(job_id)
    run_next(post)
    assert job(job_id)["status"] == "completed"


@pytest.mark.parametrize("how", [THREAD, PROCESS])
def test_an_effect_that_is_announced_is_asked_about_at_its_moment(post: Post, how: dict[str, Any]) -> None:
    policy(effects=["publish"], question="The rule of the house.")
    agent("publisher", how, effects=["publish", "draw"], permits=["publish"])
    job_id = submitted(shown={"title": "News"}, effects=["draw", "publish"])
    run_next(post)

    (question,) = questions(job_id)
    assert question["question"] == "The rule of the house.\n\nMay I publish?"
    assert (question["shown"]["effect"], question["shown"]["what"]) == ("publish", {"title": "News"})
    answered(job_id)
    run_next(post)
    assert job(job_id)["result"] == {"published": True, "attempt": 2}


@pytest.mark.parametrize("how", [THREAD, PROCESS])
def test_a_no_to_an_effect_is_not_permitted(post: Post, how: dict[str, Any]) -> None:
    policy(effects=["publish"])
    agent("publisher", how, effects=["publish"], permits=["publish"], retry={"max_retries": 5})
    job_id = submitted()
    run_next(post)
    answered(job_id, "reject")

    assert isinstance(failing(post).error, NotPermitted)
    assert job(job_id)["status_reason"] == "not_permitted"


@pytest.mark.parametrize("how", [THREAD, PROCESS])
def test_without_a_policy_an_effect_is_permitted_at_once(post: Post, how: dict[str, Any]) -> None:
    policy(effects=["publish"], agents=["test-noop"])
    agent("publisher", how, effects=["publish"], permits=["publish"])
    job_id = submitted()
    run_next(post)

    assert job(job_id)["result"] == {"published": True, "attempt": 1}


def test_a_yes_for_what_was_shown_passes_nothing_else(
    post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]
) -> None:
    policy(effects=["publish"])
    shown = ["one"]
    run_with(lambda _work, context: context.permit("publish", "May I?", shown=shown[0]) or {})
    agent("noop", THREAD, effects=["publish"], permits=["publish"])
    job_id = submitted()
    run_next(post)
    answered(job_id)
    shown[0] = "another"

    run_next(post)

    assert [each["shown"]["what"] for each in questions(job_id)] == ["one", "another"]


def test_an_effect_has_a_name(post: Post, run_with: Callable[[Callable[[Work, Context], Any]], None]) -> None:
    run_with(lambda _work, context: context.permit("Anything at all!", "May I?") or {})
    agent("noop", THREAD)
    submitted()

    assert isinstance(failing(post).error, PermanentError)


# -- at a sum of money


@pytest.mark.parametrize("how", [THREAD, PROCESS])
def test_a_job_that_spent_the_sum_stops_and_goes_on_after_a_yes(post: Post, how: dict[str, Any]) -> None:
    policy(name="Cheap", over_usd=1)
    agent("buyer", how)
    job_id = submitted(times=5)
    run_next(post)

    row = job(job_id)
    assert row["status"] == "awaiting_input"
    assert len(row["checkpoint"]["bought"]) >= 3
    (question,) = questions(job_id)
    assert question["shown"]["over_usd"] == 1
    assert question["shown"]["spent_usd"] >= 1.2
    assert question["question"].startswith("May this job of Test ruled go on? It has spent $")
    answered(job_id)
    run_next(post)

    row = job(job_id)
    assert (row["status"], len(row["result"]["bought"])) == ("completed", 5)
    assert set(row["result"]["bought"]) == {1, 2}, "nothing was bought twice, and the yes holds"
    assert len(questions(job_id)) == 1


def test_a_no_ends_the_job_and_what_it_had_is_kept(post: Post) -> None:
    policy(name="Cheap", over_usd=1)
    agent("buyer", THREAD)
    job_id = submitted(times=9)
    run_next(post)
    assert job(job_id)["checkpoint"] == {"bought": [1, 1, 1]}
    answered(job_id, "reject")

    failed = failing(post)

    assert isinstance(failed.error, NotPermitted)
    assert "'Cheap'" in failed.error.message
    row = job(job_id)
    assert (row["status"], row["status_reason"]) == ("failed", "not_permitted")
    assert row["result"] == {"bought": [1, 1, 1, 2]}


def test_what_earlier_attempts_spent_counts(post: Post) -> None:
    """Each attempt alone stays below the sum."""
    policy(over_usd=1)

    agent("buyer", THREAD)
    job_id = submitted(times=4)
    with db.quick():
        db.run("UPDATE approval_policies SET enabled = false")
    policies.forget()
    # The first attempt buys two and fails.
    with pytest.raises(AttemptFailed) as failed, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.playing.buyer", two_then_fail)
        run_next(post)
    with db.quick():
        lifecycle.retry_later(failed.value.claim, failed.value.error, 0.0)
        acting.make_due(job_id)
        db.run("UPDATE approval_policies SET enabled = true")
    policies.forget()

    run_next(post)

    assert job(job_id)["checkpoint"] == {"bought": [1, 1, 2]}
    assert questions(job_id)[0]["shown"]["spent_usd"] == pytest.approx(1.2)


def two_then_fail(work: Work, context: Context) -> dict[str, Any]:
    from tests.playing import Decimal, Usage

    for n in range(2):
        cost = Decimal("0.40")
        context.meter(Usage(call_id=f"call-{n}", provider="toy", model="toy", output_tokens=1, cost_usd=cost))
    context.checkpoint({"bought": [work.attempt] * 2})
    raise TemporaryError("away")


def test_two_sums_are_asked_about_in_their_order(post: Post) -> None:
    policy(name="A", over_usd=1.5)
    policy(name="B", over_usd=0.5)
    agent("buyer", THREAD)
    job_id = submitted(times=6)
    run_next(post)
    answered(job_id)
    run_next(post)
    answered(job_id)
    run_next(post)

    assert job(job_id)["status"] == "completed"
    assert [each["shown"]["over_usd"] for each in questions(job_id)] == [0.5, 1.5]


def test_a_conversation_stops_between_its_turns_and_no_turn_is_paid_twice(post: Post) -> None:
    policy(over_usd=0.001)
    ask = UseTool("look", {"at": "nothing"}, input_tokens=2_000, output_tokens=1_000, cached_tokens=0)
    with chat_model(ask, Say("Done.")) as model:
        with db.transaction():
            provide(model, "llm-dear")
            db.run(
                """INSERT INTO prices (provider_id, model, valid_from, input_usd, output_usd, changed_by)
                   VALUES ('llm-dear', 'test-model', '2026-01-01', 1, 1, 'u1')"""
            )
            acting.agent("test-llm-ruled", runner="llm", llm={}, providers=["llm-dear"])
            job_id = acting.submitted("test-llm-ruled", parameters={"task": "Say hello."})
        run_next(post)
        assert (job(job_id)["status"], len(model.asked)) == ("awaiting_input", 1)

        answered(job_id)
        run_next(post)

    assert (job(job_id)["status"], len(model.asked)) == ("completed", 2)
    assert job(job_id)["result"]["result"] == "Done."


def test_a_conversation_that_may_not_go_on_keeps_what_it_said(post: Post) -> None:
    """The attempt that hears the no has said nothing itself."""
    policy(over_usd=0.001)
    look = UseTool("look", {"at": "nothing"}, text="I shall look.", input_tokens=2_000, output_tokens=1_000)
    with chat_model(look) as model:
        with db.transaction():
            provide(model, "llm-dear")
            db.run(
                """INSERT INTO prices (provider_id, model, valid_from, input_usd, output_usd, changed_by)
                   VALUES ('llm-dear', 'test-model', '2026-01-01', 1, 1, 'u1')"""
            )
            acting.agent("test-llm-ruled", runner="llm", llm={}, providers=["llm-dear"])
            job_id = acting.submitted("test-llm-ruled", parameters={"task": "Say hello."})
        run_next(post)
        (question,) = questions(job_id)
        assert question["shown"]["so_far"]["result"] == "I shall look."
        answered(job_id, "reject")
        failing(post)

    row = job(job_id)
    assert (row["status_reason"], row["result"]["result"]) == ("not_permitted", "I shall look.")
    assert len(model.asked) == 1


def test_a_cli_is_stopped_where_it_is_and_goes_on_with_its_session(post: Post, tmp_path: Path) -> None:
    policy(name="Cheap", over_usd=0.0001)
    stage = Stage(tmp_path / "stage", [[UNTIL_THE_TOOL, HANG], [ALL]])
    with db.quick():
        acting.agent("test-cli-ruled", runner="cli", cli=stage.work().config)
        job_id = acting.submitted("test-cli-ruled", parameters={"task": "Count the files."})
    run_next(post)
    assert job(job_id)["status"] == "awaiting_input"
    answered(job_id)
    run_next(post)

    row = job(job_id)
    assert (row["status"], row["result"]["result"]) == ("completed", "Done: one file.")
    assert "--resume" in stage.call(1)["argv"]
    assert len(questions(job_id)) == 1


def test_a_program_that_ends_before_it_hears_of_the_sum_has_ended(post: Post, tmp_path: Path) -> None:
    """The last thing a program says is often what it has cost."""
    policy(over_usd=0.0001)
    stage = Stage(tmp_path / "stage", [[ALL, {"run": ["sleep", "0.5"]}]])
    with db.quick():
        acting.agent("test-cli-ruled", runner="cli", cli=stage.work().config)
        job_id = acting.submitted("test-cli-ruled", parameters={"task": "Count the files."})
    run_next(post)

    assert (job(job_id)["status"], questions(job_id)) == ("completed", [])


# -- what it costs


def test_a_job_without_policies_costs_no_query(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    agent("noop", THREAD)
    submitted()
    run_next(post)  # whatever a process reads once
    submitted()
    statements: list[str] = []

    def counted(_seconds: float, statement: str) -> None:
        statements.append(statement)

    monkeypatch.setattr(db, "heard", counted)
    policies.in_force()  # as any attempt of the last seconds did
    before = len(statements)
    run_next(post)
    without = len(statements) - before
    monkeypatch.undo()

    submitted()
    monkeypatch.setattr(policies, "covering", lambda *_: [])
    monkeypatch.setattr(db, "heard", counted)
    before = len(statements)
    run_next(post)
    assert len(statements) - before == without
