"""Steps that wait for a person."""

from __future__ import annotations

from typing import Any

import pytest

from app.accounts.permissions import Principal
from app.approvals import queries as approvals
from app.errors import Conflict, Forbidden, Invalid
from app.workflows import asking, runs
from tests import acting
from tests.acting import OWNER, expire_questions
from tests.app.workflows.playing import breaks, ends, jobs_of, parallel, row, run, started, statuses, step

pytestmark = pytest.mark.usefixtures("here")

MINE = Principal(user_id=OWNER, email="ada@example.com", role="user")
BOSS = Principal(user_id="u-boss", email="boss@example.com", role="user")
ADMIN = Principal(user_id="u-admin", email="root@example.com", role="admin")


def question(**keys: Any) -> dict[str, Any]:
    return {"step_id": "ask", "type": "approval", "question": "Send {{inputs.what}}?"} | keys


def asked(*after: dict[str, Any], **keys: Any) -> tuple[str, str]:
    run_id = started(question(**keys), *after, inputs={"what": "it"})
    return run_id, row(run_id, "ask")["approval_id"]


def test_a_question_holds_no_worker_and_its_answer_goes_on() -> None:
    run_id, approval_id = asked(
        step("z", parameters={"by": "{{steps.ask.output.by}}", "n": "{{steps.ask.output.answer.n}}"}),
        shown={"what": "{{inputs.what}}"},
        form={"type": "object", "properties": {"n": {"type": "integer", "default": 3}}},
    )
    open_ = approvals.get(approval_id)
    assert (open_["question"], open_["shown"], open_["status"]) == ("Send it?", {"what": "it"}, "open")
    assert (open_["workflow_id"], open_["step_id"], open_["requested_by"]) == (run_id, "ask", OWNER)
    assert statuses(run_id) == {"ask": "awaiting_input", "z": "waiting"}
    assert jobs_of(run_id) == []

    settled = asking.answer(approval_id, decision="approve", by=MINE, comment="go")

    assert (settled["status"], settled["answered_by"], settled["answer"]) == (
        "approved",
        MINE.email,
        {"n": 3},
    )
    assert statuses(run_id) == {"ask": "completed", "z": "running"}
    output = row(run_id, "ask")["output"]
    assert (output["approved"], output["comment"]) == (True, "go")
    assert jobs_of(run_id)[0]["parameters"] == {"by": MINE.email, "n": 3}


def test_a_rejection_fails_the_step_or_goes_on_with_it() -> None:
    run_id, approval_id = asked(step("z"))
    asking.answer(approval_id, decision="reject", by=MINE, comment="not yet")
    assert run(run_id)["status"] == "failed"
    assert run(run_id)["error"] == {
        "step_id": "ask", "type": "Rejected", "message": "rejected by ada@example.com: not yet",
    }  # fmt: skip

    run_id, approval_id = asked(step("z", when="{{steps.ask.output.approved}}"), on_reject="continue")
    asking.answer(approval_id, decision="reject", by=MINE)
    assert statuses(run_id) == {"ask": "completed", "z": "skipped"}


def test_only_those_on_the_list_answer_and_admins() -> None:
    run_id, approval_id = asked(step("z"), approvers=["Boss@Example.com"])
    with pytest.raises(Forbidden):
        asking.answer(approval_id, decision="approve", by=MINE)
    assert statuses(run_id)["ask"] == "awaiting_input"

    asking.answer(approval_id, decision="approve", by=BOSS)
    assert statuses(run_id)["z"] == "running"

    _, other = asked(approvers=["boss@example.com"])
    asking.answer(other, decision="approve", by=ADMIN)


def test_an_answer_must_fit_the_form_and_comes_once() -> None:
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    _, approval_id = asked(form=form)
    with pytest.raises(Invalid) as wrong:
        asking.answer(approval_id, decision="approve", by=MINE, answer={"n": "x"})
    assert wrong.value.fields[0][0] == "/answer/n"
    with pytest.raises(Invalid):
        asking.answer(approval_id, decision="approve", by=MINE)

    asking.answer(approval_id, decision="approve", by=MINE, answer={"n": 1})
    with pytest.raises(Conflict):
        asking.answer(approval_id, decision="reject", by=MINE)


def test_an_answer_to_a_run_that_is_over_comes_too_late() -> None:
    run_id, approval_id = asked(step("z"))
    runs.cancel(run_id)

    assert run(run_id)["status"] == "cancelled"
    assert approvals.get(approval_id)["status"] == "cancelled"
    with pytest.raises(Conflict, match="cancelled"):
        asking.answer(approval_id, decision="approve", by=MINE)


def test_a_question_of_a_run_that_failed_is_withdrawn() -> None:
    run_id = started(parallel("p", question(question="Well?"), step("a")))

    breaks(run_id, "a")

    assert statuses(run_id) == {"p": "failed", "ask": "cancelled", "a": "failed"}
    assert run(run_id)["status"] == "failed"
    assert approvals.of_workflow(run_id)[0]["status"] == "cancelled"


def test_an_answer_while_the_run_is_paused_is_kept() -> None:
    run_id, approval_id = asked(step("z"))
    runs.pause(run_id)

    asking.answer(approval_id, decision="approve", by=MINE)

    assert statuses(run_id) == {"ask": "completed", "z": "waiting"}
    runs.resume(run_id)
    assert statuses(run_id)["z"] == "running"


@pytest.mark.parametrize(("on_timeout", "becomes"), [("approve", "running"), ("reject", "cancelled")])
def test_silence_is_what_the_question_says_it_is(on_timeout: str, becomes: str) -> None:
    run_id, approval_id = asked(step("z"), deadline_minutes=5, on_timeout=on_timeout)
    assert expire_questions() == 0
    acting.too_late(approval_id)
    with pytest.raises(Conflict, match="over"):
        asking.answer(approval_id, decision="approve", by=MINE)

    assert expire_questions() == 1
    assert expire_questions() == 0

    assert approvals.get(approval_id)["status"] == "expired"
    assert statuses(run_id)["z"] == becomes
    assert row(run_id, "ask")["output"]["approved"] == (on_timeout == "approve")


def test_a_list_of_nobody_is_refused_at_once() -> None:
    with pytest.raises(Invalid) as wrong:
        asked(approvers=["{{inputs.what}}"])
    assert wrong.value.fields[0][0] == "/steps/0/approvers/0"


def test_a_run_again_asks_again_unless_it_was_answered() -> None:
    run_id, approval_id = asked(step("z"))
    asking.answer(approval_id, decision="approve", by=MINE)
    breaks(run_id, "z")

    kept = runs.retry(run_id, by=OWNER)["workflow_id"]
    assert statuses(kept) == {"ask": "completed", "z": "running"}
    asks = runs.retry(run_id, by=OWNER, from_step="ask")["workflow_id"]
    assert row(asks, "ask")["approval_id"] not in (None, approval_id)
    ends(kept, "z")


def test_a_question_of_a_job_expires_too() -> None:
    job_id, approval_id = acting.asked(deadline_seconds=60)
    acting.too_late(approval_id)

    assert expire_questions() == 1
    assert approvals.get(approval_id)["status"] == "expired"
    assert acting.status(job_id) == "queued"
    _, other = asked()
    assert asking.answer(other, decision="approve", by=MINE)["status"] == "approved"


@pytest.mark.parametrize("decision", ["edit", "ask_back"])
def test_a_step_is_approved_or_rejected_and_nothing_else(decision: str) -> None:
    _, approval_id = asked()
    with pytest.raises(Invalid, match="approve, reject"):
        asking.answer(approval_id, decision=decision, by=MINE, edited="x", comment="x")  # type: ignore[arg-type]
    assert approvals.get(approval_id)["status"] == "open"
