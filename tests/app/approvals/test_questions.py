"""Questions to people, by themselves: whose they are, what may be answered, what is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app import clock
from app.accounts.permissions import Principal
from app.approvals import answering, asking, queries
from app.approvals.asking import Question
from app.db import db
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.jobs.lifecycle import new_id

pytestmark = pytest.mark.usefixtures("here")

ADA = Principal(user_id="u-ada", email="Ada@Example.com", role="user")
BOB = Principal(user_id="u-bob", email="bob@example.com", role="user")
EVE = Principal(user_id="u-eve", email="eve@example.com", role="viewer")
ROOT = Principal(user_id="u-root", email="root@example.com", role="admin")


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    """The whole test inside one transaction."""
    with db.transaction():
        yield


def asked(**facts: Any) -> str:
    told = {
        "question": "Well?",
        "requested_by": ADA.user_id,
        "workflow_id": new_id(),
        "step_id": "ask",
    } | facts
    return asking.ask(Question(**told))


@pytest.mark.parametrize(
    ("approvers", "who"),
    [
        ((), {"ada", "root"}),
        (("ADA@example.com",), {"ada", "root"}),
        (("bob@example.com",), {"bob", "root"}),
        (("user",), {"ada", "bob", "root"}),
        (("admin",), {"root"}),
    ],
)
def test_who_may_answer_is_who_finds_it(approvers: tuple[str, ...], who: set[str]) -> None:
    approval_id = asked(approvers=approvers)
    row = queries.get(approval_id)

    people = {"ada": ADA, "bob": BOB, "eve": EVE, "root": ROOT}
    assert {name for name, each in people.items() if asking.may_answer(row, each)} == who
    found = {n for n, each in people.items() if queries.open_for(each.user_id, each.email, each.role)}
    assert found == who
    assert {n for n, each in people.items() if queries.count_open(each.user_id, each.email, each.role)} == who
    for each in people.values():
        if not asking.may_answer(row, each):
            with pytest.raises(Forbidden):
                answering.answer(approval_id, decision="approve", by=each)
    assert queries.get(approval_id)["status"] == "open"


@pytest.mark.parametrize(
    "nobody",
    [
        "",
        "somebody",
        "a b@c",
        "owner",
        "viewer",
        "a,b@c.d",
        "<a@b.c>",
        "a@b.c;",
        "\x1ba@b.c",
        "a" * 300 + "@b.c",
    ],
)
def test_a_list_names_addresses_and_roles_only(nobody: str) -> None:
    with pytest.raises(Invalid):
        asked(approvers=(nobody,))


def test_a_question_does_not_look_like_another_one() -> None:
    approval_id = asked(question="Keep \u202eeteled\u202d\u202c the \u200fעברית\u200e file?")

    assert queries.get(approval_id)["question"] == "Keep eteled\u202c the \u200fעברית\u200e file?"


def test_a_settled_question_stays_settled() -> None:
    approval_id = asked()
    answering.answer(approval_id, decision="reject", by=ADA, comment="no\x00")

    assert queries.get(approval_id)["comment"] == "no\N{REPLACEMENT CHARACTER}"
    with pytest.raises(Conflict):
        answering.settle(approval_id, "expired")
    assert asking.cancel([approval_id]) == 0
    assert queries.get(approval_id)["status"] == "rejected"
    with pytest.raises(NotFound):
        answering.answer(new_id(), decision="approve", by=ADA)


def test_what_is_filled_in_is_an_object() -> None:
    approval_id = asked()

    with pytest.raises(Invalid):
        answering.answer(approval_id, decision="approve", by=ADA, answer=["x"])
    with pytest.raises(Invalid):
        answering.answer(approval_id, decision="approve", by=ADA, comment="x" * 5000)
    assert answering.answer(approval_id, decision="approve", by=ADA, answer={"a": 1})["answer"] == {"a": 1}


def test_several_are_asked_at_once_in_order_and_the_nearest_deadline_comes_first() -> None:
    soon, later = clock.now() + timedelta(minutes=5), clock.now() + timedelta(hours=5)
    facts: dict[str, Any] = {"requested_by": ADA.user_id, "workflow_id": new_id()}
    ids = asking.ask_many(
        [
            Question(question="1", **facts),
            Question(question="2", deadline_at=later, **facts),
            Question(question="3", deadline_at=soon, **facts),
        ]
    )

    assert [queries.get(each)["question"] for each in ids] == ["1", "2", "3"]
    mine = queries.open_for(ADA.user_id, ADA.email, ADA.role)
    assert [each["question"] for each in mine] == ["3", "2", "1"]
    assert queries.due(10) == []


def test_pages_show_what_somebody_asked_or_may_answer() -> None:
    mine = asked(approvers=("bob@example.com",))
    foreign = asked(requested_by="u-zoe")
    answering.answer(mine, decision="approve", by=BOB)

    def ids(who: Principal, **facts: Any) -> list[str]:
        return [
            r["approval_id"]
            for r in queries.page(user_id=who.user_id, email=who.email, role=who.role, **facts)
        ]

    assert ids(ADA) == ids(BOB) == [mine]
    assert ids(EVE) == []
    assert [row["approval_id"] for row in queries.page()] == [foreign, mine]
    assert [row["approval_id"] for row in queries.page(before=foreign)] == [mine]
    assert ids(ADA, status="open") == []
    assert (queries.count(), queries.count(status="approved")) == (2, 1)
    assert queries.count(user_id=BOB.user_id, email=BOB.email, role=BOB.role) == 1


def test_questions_go_with_what_asked_them() -> None:
    of, other = new_id(), new_id()
    asked(workflow_id=of)
    kept = asked(workflow_id=other)

    assert asking.forget([of]) == 1
    assert [row["approval_id"] for row in queries.page()] == [kept]
