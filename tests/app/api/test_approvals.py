from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from tests.app.api import flowing
from tests.app.api.calling import Caller

APPROVALS = "/api/v1/approvals"


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def asked(caller: Caller, **step: Any) -> str:
    """The id of the question of a new run."""
    question = flowing.QUESTION["steps"][0] | step  # type: ignore[operator]
    made = flowing.QUESTION | {"steps": [question, flowing.QUESTION["steps"][1]]}
    run = body(caller.post("/api/v1/workflows", json=made), 201)
    with db.quick():
        return str(
            db.value("SELECT approval_id FROM approvals WHERE workflow_id = %(id)s", id=run["workflow_id"])
        )


def ids(caller: Caller, query: str = "") -> list[str]:
    return [each["approval_id"] for each in body(caller.get(APPROVALS + query))["approvals"]]


def test_a_question_is_shown_and_answered_and_the_run_goes_on(owner: Caller) -> None:
    question = asked(owner)
    shown = body(owner.get(f"{APPROVALS}/{question}"))
    assert (shown["question"], shown["shown"], shown["status"]) == (
        "Publish it?",
        {"title": "A secret title"},
        "open",
    )
    assert (shown["requested_by"], shown["actions"], shown["step_id"]) == (owner.id, ["answer"], "release")

    done = body(
        owner.post(
            f"{APPROVALS}/{question}/answer",
            json={"decision": "approve", "answer": {"day": "monday"}, "comment": "Good"},
        )
    )
    assert (done["status"], done["answer"], done["comment"]) == ("approved", {"day": "monday"}, "Good")
    assert (done["answered_by"], done["actions"]) == ("owner@example.org", [])
    assert flowing.claimed().parameters == {"n": True}


def test_a_rejection_is_an_answer_too(owner: Caller) -> None:
    question = asked(owner)
    done = body(owner.post(f"{APPROVALS}/{question}/answer", json={"decision": "reject"}))

    assert (done["status"], done["answer"]) == ("rejected", None)
    assert flowing.claimed().parameters == {"n": False}


def test_the_second_answer_is_a_conflict(owner: Caller, admin: Caller) -> None:
    question = asked(owner)
    answers = [
        caller.post(f"{APPROVALS}/{question}/answer", json={"decision": decision}).status_code
        for caller, decision in ((owner, "approve"), (admin, "reject"))
    ]

    assert answers == [200, 409]
    assert body(owner.get(f"{APPROVALS}/{question}"))["status"] == "approved"


def test_open_ones_are_listed_for_those_who_may_answer(
    owner: Caller, other: Caller, admin: Caller, viewer: Caller
) -> None:
    mine = asked(owner)
    for_other = asked(owner, approvers=["other@example.org"])
    for_users = asked(owner, approvers=["user"])

    assert set(ids(owner)) == {mine, for_users}
    assert set(ids(other)) == {for_other, for_users}
    assert set(ids(admin)) == {mine, for_other, for_users}
    assert viewer.get(APPROVALS).status_code == 403
    assert len(ids(admin, "?limit=1&offset=1")) == 1
    assert body(admin.get(APPROVALS))["total"] == 3


def test_with_a_status_those_one_asked_are_listed_too(owner: Caller, other: Caller, admin: Caller) -> None:
    for_other = asked(owner, approvers=["other@example.org"])
    mine = asked(owner)
    owner.post(f"{APPROVALS}/{mine}/answer", json={"decision": "approve"})

    assert ids(owner, "?status=any") == [mine, for_other]
    assert ids(owner, "?status=open") == [for_other]
    assert ids(other, "?status=any") == [for_other]
    assert ids(admin, "?status=approved") == [mine]
    assert owner.get(f"{APPROVALS}?status=maybe").status_code == 400


def test_who_asked_may_look_and_not_answer_what_is_for_another(owner: Caller, other: Caller) -> None:
    question = asked(owner, approvers=["other@example.org"])

    assert body(owner.get(f"{APPROVALS}/{question}"))["actions"] == []
    assert owner.post(f"{APPROVALS}/{question}/answer", json={"decision": "approve"}).status_code == 403
    assert (
        body(other.post(f"{APPROVALS}/{question}/answer", json={"decision": "approve"}))["status"]
        == "approved"
    )


def test_what_is_none_of_ones_business_is_not_there(owner: Caller, other: Caller) -> None:
    theirs, nothing = asked(owner), "01890000-0000-7000-8000-000000000000"

    for method, tail, more in (("GET", "", {}), ("POST", "/answer", {"json": {"decision": "approve"}})):
        answers = [other.call(method, f"{APPROVALS}/{each}{tail}", **more) for each in (theirs, nothing)]
        assert [answer.status_code for answer in answers] == [404, 404]
        told = [
            body(answer, 404)["detail"].replace(each, "ID")
            for answer, each in zip(answers, (theirs, nothing), strict=True)
        ]
        assert told[0] == told[1]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"decision": "maybe"}, "/decision"),
        ({}, "/decision"),
        ({"decision": "approve", "answer": {"day": 1}}, "/answer/day"),
        ({"decision": "approve", "answer": {"week": "x"}}, "/answer"),
        ({"decision": "approve", "comment": "x" * 4001}, "/comment"),
    ],
)
def test_answers_that_do_not_fit(given: dict[str, Any], pointer: str, owner: Caller) -> None:
    question = asked(owner)
    answer = owner.post(f"{APPROVALS}/{question}/answer", json=given)

    assert (answer.status_code, body(answer, 422)["errors"][0]["pointer"]) == (422, pointer)
    assert body(owner.get(f"{APPROVALS}/{question}"))["status"] == "open"


def test_answers_are_audited_without_what_was_said(owner: Caller) -> None:
    question = asked(owner)
    owner.post(f"{APPROVALS}/{question}/answer", json={"decision": "approve", "comment": "a secret"})

    with db.quick():
        entry = db.row("SELECT actor, subject, details FROM audit_log WHERE action = 'approval.answered'")
    assert entry == {"actor": owner.id, "subject": question, "details": {"decision": "approve"}}
