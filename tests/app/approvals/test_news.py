"""Questions reach those who may answer them, once."""

from __future__ import annotations

import pytest

from app.accounts import users
from app.approvals import asking
from app.approvals.asking import Question
from app.db import Row, db
from app.jobs import lifecycle
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


def told() -> list[Row]:
    with db.quick():
        return db.rows(
            "SELECT event, audience, title, link, subject_id FROM notifications ORDER BY notification_id"
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
