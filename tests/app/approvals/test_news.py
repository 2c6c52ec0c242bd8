"""Questions reach those who may answer them, once."""

from __future__ import annotations

import pytest

from app.accounts import users
from app.accounts.permissions import Principal
from app.approvals import answering, asking
from app.approvals.asking import Question
from app.db import Row, db
from app.jobs import lifecycle
from app.notify import rules
from app.workflows import asking as doors
from tests import acting

pytestmark = pytest.mark.usefixtures("quick")


def ask(*questions: Question) -> None:
    with db.transaction():
        asking.ask_many(questions)


def question(words: str = "Publish it?", **more: object) -> Question:
    return Question(
        question=words,
        requested_by=acting.OWNER,
        **({"workflow_id": RUN, "step_id": "ask"} | more),  # type: ignore[arg-type]
    )


RUN = lifecycle.new_id()
ROOT = Principal(user_id="u-root", email="root@example.com", role="admin")


def told() -> list[Row]:
    with db.quick():
        return db.rows(
            "SELECT event, audience, title, body, link, subject_id, data FROM notifications ORDER BY notification_id"
        )


def mailed() -> list[str]:
    with db.quick():
        return [row["target"] for row in db.rows("SELECT target FROM deliveries ORDER BY delivery_id")]


def test_without_approvers_the_owner_finds_it_in_the_inbox() -> None:
    ask(question())
    (one,) = told()
    assert (one["event"], one["audience"], one["title"]) == (
        "approval.requested",
        acting.OWNER,
        "Publish it?",
    )
    assert one["link"] == f"/approvals/{one['subject_id']}"
    assert mailed() == []


def test_named_people_get_a_mail_and_those_with_an_account_an_entry() -> None:
    with db.transaction():
        made = users.create(
            email="bea@example.com", name="Bea", role="user", password="a long enough password"
        )
    ask(question(approvers=("Bea@example.com", "guest@elsewhere.example", "admin")))
    assert {row["audience"] for row in told()} == {str(made["user_id"]), "admins"}
    assert sorted(mailed()) == ["bea@example.com", "guest@elsewhere.example"]


def test_the_items_of_a_map_are_one_entry() -> None:
    ask(*(question(f"Item {n}?", step_id=f"ask[{n}]") for n in range(40)))
    (one,) = told()
    assert one["title"] == "Item 0? (and 39 more)"
    assert one["link"] == "/approvals"


def job_asked(**wanted: object) -> tuple[str, str]:
    with db.transaction():
        return acting.asked("Send it?", **wanted)


def test_whoever_submitted_the_job_is_told_who_asks_and_where_to_answer() -> None:
    job_id, approval_id = job_asked()
    (one,) = told()
    assert (one["event"], one["audience"], one["title"]) == ("approval.requested", acting.OWNER, "Send it?")
    assert one["body"] == "The agent test-noop asks, and its job waits for your answer."
    assert one["link"] == f"/approvals/{approval_id}"
    assert (one["data"]["job_id"], one["data"]["kind"]) == (job_id, "agent")


def test_whoever_submitted_the_job_hears_that_it_waits_for_others() -> None:
    people = ("admin", "a@example.com", "b@example.com", "c@example.com")
    job_asked(approvers=people, kind="gate")
    asks, waits = told()
    assert (asks["audience"], waits["audience"]) == ("admins", acting.OWNER)
    assert "did not pass its quality gate" in asks["body"]
    assert (
        waits["body"]
        == "Your job waits for the answer of an admin or a@example.com or b@example.com or 1 more."
    )
    assert sorted(mailed()) == ["a@example.com", "b@example.com", "c@example.com"]


def test_strangers_are_mailed_that_their_answer_is_needed_and_the_owner_that_it_waits() -> None:
    job_asked(approvers=("guest@elsewhere.example",))
    assert [row["audience"] for row in told()] == ["admins", acting.OWNER]
    with db.quick():
        (mail,) = db.rows("SELECT target, payload FROM deliveries")
    assert mail["target"] == "guest@elsewhere.example"
    assert "waits for your answer" in mail["payload"]["body"]


def test_each_question_of_a_job_is_told_of_once() -> None:
    job_id, first = job_asked(shown=1)
    with db.transaction():
        doors.answer(first, decision="approve", by=ROOT)
    with db.transaction():
        taken = acting.claim()
        assert taken is not None
        assert taken.job_id == job_id
        second = acting.asks(taken, "Send it?", shown=2)
    assert [row["subject_id"] for row in told()] == [first, second]


def test_rules_of_an_agent_hear_of_its_questions() -> None:
    with db.transaction():
        rules.create(
            event="approval.*", channel="email", target="team@example.com", agent_id="test-noop", by="root"
        )
        rules.create(
            event="approval.*", channel="email", target="others@example.com", agent_id="test-echo", by="root"
        )
    job_asked()
    assert mailed() == ["team@example.com"]


def test_those_it_is_passed_on_to_are_told_and_only_they() -> None:
    with db.transaction():
        _, approval_id = acting.asked(
            "Send it?", escalate_seconds=60, escalate_to=("boss@example.com", "admin")
        )
        db.run("UPDATE approvals SET escalate_at = now() - interval '1 s'")
    with db.transaction():
        answering.escalate(approval_id)
    _, passed_on = told()
    assert (passed_on["event"], passed_on["audience"]) == ("approval.escalated", "admins")
    assert passed_on["body"].startswith("Nobody has answered yet. The agent test-noop asks")
    assert mailed() == ["boss@example.com"]


def test_whoever_submitted_the_job_is_told_what_silence_meant() -> None:
    with db.transaction():
        _, approval_id = acting.asked(
            "Send it?", deadline_seconds=60, on_timeout="approve", approvers=("admin",)
        )
        acting.too_late(approval_id)
        assert acting.expire_questions() == 1
    last = told()[-1]
    assert (last["event"], last["audience"]) == ("approval.expired", acting.OWNER)
    assert (last["title"], last["body"]) == ("Nobody answered in time: Send it?", "It counts as approved.")
