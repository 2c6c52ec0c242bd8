from __future__ import annotations

from typing import Any

import pytest

from app.accounts.permissions import Principal
from app.db import db
from app.workflows import asking as answering
from tests.app.api import flowing, world
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
    assert ids(viewer) == ids(viewer, "?status=any") == []
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


# -- what jobs ask

EDITABLE: dict[str, Any] = {
    "options": ("approve", "edit", "reject", "ask_back"), "editable": {"text": "A secret draft."}, "draft_number": 2,
    "kind": "gate", "shown": {"score": 6.5},
}  # fmt: skip


def test_a_jobs_question_is_shown_with_what_the_job_was_to_do(owner: Caller) -> None:
    job_id, question = world.asking(owner.id, **EDITABLE)
    shown = body(owner.get(f"{APPROVALS}/{question}"))

    assert (shown["kind"], shown["job_id"], shown["fence"], shown["draft_number"]) == ("gate", job_id, 1, 2)
    assert (shown["options"], shown["editable"]) == (
        ["approve", "edit", "reject", "ask_back"],
        {"text": "A secret draft."},
    )
    assert shown["context"] == {
        "agent_id": "test-echo", "task_name": None, "submitted_by": owner.id, "attempt": 1, "usage": {},
        "input": {"text": "hello"}, "input_cut": False,
    }  # fmt: skip


def test_an_edit_is_taken_and_the_job_goes_on(owner: Caller) -> None:
    job_id, question = world.asking(owner.id, **EDITABLE)
    answer = {"decision": "edit", "edited": "A better draft.", "comment": "Mine is better."}
    done = body(owner.post(f"{APPROVALS}/{question}/answer", json=answer))

    assert (done["status"], done["edited"], done["actions"]) == ("approved", "A better draft.", [])
    assert body(owner.get(f"/api/v1/jobs/{job_id}"))["status"] == "queued"


def test_asking_back_sends_it_back(owner: Caller) -> None:
    _, question = world.asking(owner.id, **EDITABLE)
    refused = body(owner.post(f"{APPROVALS}/{question}/answer", json={"decision": "ask_back"}), 422)
    assert refused["errors"][0]["pointer"] == "/comment"
    said = {"decision": "ask_back", "comment": "Shorter."}
    assert body(owner.post(f"{APPROVALS}/{question}/answer", json=said))["status"] == "sent_back"


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"decision": "edit"}, "/edited"),
        ({"decision": "edit", "edited": ""}, "/edited"),
        ({"decision": "edit", "edited": {"text": "x"}}, "/edited"),
        ({"decision": "approve", "edited": "x"}, "/edited"),
    ],
)
def test_edits_that_do_not_fit(given: dict[str, Any], pointer: str, owner: Caller) -> None:
    _, question = world.asking(owner.id, **EDITABLE)
    refused = body(owner.post(f"{APPROVALS}/{question}/answer", json=given), 422)
    assert refused["errors"][0]["pointer"] == pointer


def test_a_step_takes_no_edit(owner: Caller) -> None:
    refused = body(
        owner.post(f"{APPROVALS}/{asked(owner)}/answer", json={"decision": "edit", "edited": "x"}), 422
    )
    assert refused["errors"][0]["pointer"] == "/decision"


def test_the_job_says_what_it_waits_for_and_who_may_answer(
    owner: Caller, other: Caller, admin: Caller, viewer: Caller
) -> None:
    job_id, question = world.asking(owner.id, approvers=("other@example.org",))
    shown = body(owner.get(f"/api/v1/jobs/{job_id}"))
    assert (shown["status"], shown["status_reason"], shown["approval_id"]) == (
        "awaiting_input", "approval", question,
    )  # fmt: skip
    assert shown["asked_since"] is not None
    assert shown["poll"]["terminal"] is False
    assert (shown["actions"], body(admin.get(f"/api/v1/jobs/{job_id}"))["actions"]) == (
        ["cancel"], ["cancel", "answer"],
    )  # fmt: skip
    (brief,) = body(admin.get("/api/v1/jobs?status=awaiting_input"))["jobs"]
    assert (brief["approval_id"], brief["actions"]) == (question, ["cancel", "answer"])

    (why,) = body(owner.get(f"/api/v1/jobs/{job_id}/explain"))["blockers"]
    assert (why["code"], why["subject"]) == ("approval", question)
    assert why["message"] == "waits for the answer of other@example.org or any admin: Publish it?"
    (told,) = body(viewer.get(f"/api/v1/jobs/{job_id}/explain"))["blockers"]
    assert told["message"] == "waits for a person's answer"
    assert other.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert ids(other) == [question]


def test_cancelling_the_job_withdraws_the_question(owner: Caller) -> None:
    job_id, question = world.asking(owner.id)
    assert owner.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 200

    shown = body(owner.get(f"{APPROVALS}/{question}"))
    assert (shown["status"], shown["actions"]) == ("cancelled", [])
    late = body(owner.post(f"{APPROVALS}/{question}/answer", json={"decision": "approve"}), 409)
    assert "withdrawn" in late["detail"]
    assert body(owner.get(f"/api/v1/jobs/{job_id}"))["approval_id"] is None
    again = body(owner.post(f"/api/v1/jobs/{job_id}/retry"), 201)
    assert again["status"] == "queued"


def test_a_job_that_waits_is_neither_hurried_nor_run_again(owner: Caller) -> None:
    job_id, _ = world.asking(owner.id)
    job = f"/api/v1/jobs/{job_id}"
    for method, path, given in (
        ("POST", f"{job}/retry", {}), ("POST", f"{job}/replay", {}), ("PATCH", job, {"priority": "high"}),
    ):  # fmt: skip
        refused = owner.call(method, path, json=given)
        assert refused.status_code == 409, (path, refused.data)


def test_lists_by_kind_and_job_and_what_is_mine(owner: Caller, admin: Caller) -> None:
    step = asked(owner)
    job_id, of_gate = world.asking(owner.id, kind="gate")
    _, for_admins = world.asking(owner.id, approvers=("admin",))

    assert set(ids(admin)) == {step, of_gate, for_admins}
    assert ids(admin, "?mine=true") == [for_admins]
    assert (
        ids(owner, "?kind=gate")
        == ids(owner, f"?job_id={job_id}")
        == ids(owner, "?kind=gate&status=any")
        == [of_gate]
    )
    assert ids(owner, "?kind=step") == [step]
    assert ids(admin, "?status=any&mine=true") == [for_admins]
    assert body(admin.get(f"{APPROVALS}?kind=agent&limit=1"))["total"] == 1
    assert owner.get(f"{APPROVALS}?kind=nobody").status_code == 400


def test_a_viewer_sees_the_question_that_names_them_and_nothing_else(owner: Caller, viewer: Caller) -> None:
    named = viewer_in_person(viewer)
    job_id, question = world.asking(owner.id, approvers=("viewer@example.org",))
    world.asking(owner.id)

    assert ids(viewer) == ids(viewer, "?status=any") == [question]
    shown = body(viewer.get(f"{APPROVALS}/{question}"))
    assert (shown["question"], shown["actions"]) == ("Publish it?", [])  # its key can only read
    assert viewer.post(f"{APPROVALS}/{question}/answer", json={"decision": "approve"}).status_code == 403
    with db.transaction():
        assert answering.answer(question, decision="approve", by=named)["answered_by"] == named.email
    assert "parameters" not in body(viewer.get(f"/api/v1/jobs/{job_id}"))


def viewer_in_person(viewer: Caller) -> Principal:
    """The same person, signed in: with all scopes."""
    return Principal(user_id=viewer.id, email="viewer@example.org", role="viewer")
