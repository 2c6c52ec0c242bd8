from __future__ import annotations

from typing import Any

import pytest

from app.agents import registry
from app.db import as_json, db
from app.jobs import queries
from tests.app.api import world
from tests.app.api.calling import Caller

DLQ = "/api/v1/dlq"


def body(answer: Any) -> dict[str, Any]:
    assert answer.json is not None, answer.data
    return dict(answer.json)


def stored(job_id: str) -> dict[str, Any]:
    with db.quick():
        return queries.get(job_id, full=True)


def test_a_dead_letter_tells_everything_under_the_documents_names(admin: Caller, owner: Caller) -> None:
    job_id = world.failed(owner.id, "it is broken")
    listed = body(admin.get(f"{DLQ}/tasks"))

    (letter,) = listed["tasks"]
    assert listed["total"] == 1
    assert letter["task_id"] == letter["job_id"] == job_id
    assert letter["error"] == letter["error_message"] == "it is broken"
    assert (letter["reason"], letter["parameters"]) == ("permanent", {"text": "hello"})
    assert letter["stack_trace"].startswith("Traceback")


def test_a_letter_is_found_by_its_own_id_and_by_its_jobs(admin: Caller, owner: Caller) -> None:
    job_id = world.failed(owner.id)
    by_job = body(admin.get(f"{DLQ}/tasks/{job_id}"))

    assert body(admin.get(f"{DLQ}/tasks/{by_job['dlq_id']}")) == by_job


def test_letters_filter_and_page(admin: Caller, owner: Caller) -> None:
    jobs = [world.failed(owner.id, f"fault {n}") for n in range(3)][::-1]
    admin.post(f"{DLQ}/tasks/{jobs[0]}/resubmit")

    def ids(query: str) -> list[str]:
        return [letter["job_id"] for letter in body(admin.get(f"{DLQ}/tasks?{query}"))["tasks"]]

    assert ids("resubmitted=true") == [jobs[0]]
    assert ids("resubmitted=false") == jobs[1:]
    assert ids("agent_id=test-noop") == []
    assert ids("since=2031-01-01T00:00:00Z") == []
    cursor = body(admin.get(f"{DLQ}/tasks?limit=2"))["next_cursor"]
    assert ids(f"limit=2&cursor={cursor}") == jobs[2:]


def test_resubmitting_makes_a_new_job_of_the_same_owner_with_the_overrides(
    admin: Caller, owner: Caller
) -> None:
    old = world.failed(owner.id)
    wish = {
        "priority": "critical",
        "override_parameters": {"text": "new", "timeout": 600, "retry_after": 3600},
    }
    answer = body(admin.post(f"{DLQ}/tasks/{old}/resubmit", json=wish))

    job = stored(answer["new_job_id"])
    assert answer["new_task_id"] == answer["new_job_id"]
    assert (answer["status"], job["submitted_by"], job["retry_of_job_id"]) == ("pending", owner.id, old)
    assert (job["parameters"], job["options"]["timeout"]) == ({"text": "new"}, 600)
    letter = body(admin.get(f"{DLQ}/tasks/{old}"))
    assert (letter["resubmitted"], letter["new_job_id"], letter["resubmitted_by"]) == (
        True,
        job["job_id"],
        admin.id,
    )


def test_a_second_time_is_a_conflict_unless_forced(admin: Caller, owner: Caller) -> None:
    path = f"{DLQ}/tasks/{world.failed(owner.id)}/resubmit"
    admin.post(path)

    assert admin.post(path).status_code == 409
    assert admin.post(path, json={"force": True}).status_code == 200


def test_overrides_that_do_not_fit_are_refused(admin: Caller, owner: Caller) -> None:
    path = f"{DLQ}/tasks/{world.failed(owner.id)}/resubmit"
    answer = admin.post(path, json={"override_parameters": {"text": 7}})

    assert (answer.status_code, body(answer)["errors"][0]["pointer"]) == (422, "/parameters/text")
    assert body(admin.get(f"{DLQ}/tasks?resubmitted=false"))["total"] == 1


def test_groups_come_with_the_share_of_jobs_that_end_here(admin: Caller, owner: Caller) -> None:
    assert body(admin.get(f"{DLQ}/groups"))["share_24h"] is None
    world.failed(owner.id)
    world.completed(owner.id)

    assert body(admin.get(f"{DLQ}/groups?window=1h&status=ignored"))["share_24h"] == 0.5


def test_failures_are_grouped_by_cause_and_a_group_is_sent_in_again(admin: Caller, owner: Caller) -> None:
    for n in range(3):
        world.failed(owner.id, f"line {n} is broken")
    world.failed(owner.id, "something else")
    groups = body(admin.get(f"{DLQ}/groups?window=1h"))["groups"]
    assert [group["count"] for group in groups] == [3, 1]

    answer = body(admin.post(f"{DLQ}/groups/{groups[0]['group_key']}/resubmit", json={"limit": 2}))
    assert (answer["resubmitted"], answer["refused"]) == (2, 0)
    left = body(admin.get(f"{DLQ}/groups"))["groups"]
    assert [group["count"] for group in left] == [1, 1]
    assert sum(group["count"] for group in body(admin.get(f"{DLQ}/groups?open_only=false"))["groups"]) == 4


def test_letters_that_fit_no_more_are_refused_one_by_one(admin: Caller, owner: Caller) -> None:
    for _ in range(2):
        world.failed(owner.id)
    with db.transaction():
        before = db.value("SELECT schema FROM agents WHERE agent_id = 'test-echo'")
        changed = {"type": "object", "properties": {"must": {}}, "required": ["must"]}
        db.run("UPDATE agents SET schema = %(s)s WHERE agent_id = 'test-echo'", s=as_json(changed))
        registry.forget()
    key = body(admin.get(f"{DLQ}/groups"))["groups"][0]["group_key"]
    answer = body(admin.post(f"{DLQ}/groups/{key}/resubmit"))
    with db.transaction():
        db.run("UPDATE agents SET schema = %(s)s WHERE agent_id = 'test-echo'", s=as_json(before))

    assert (answer["resubmitted"], answer["refused"]) == (0, 2)
    assert {item["error"]["errors"][0]["pointer"] for item in answer["results"]} == {"/parameters/must"}


@pytest.mark.parametrize("tail", ["", "/resubmit"])
def test_a_letter_that_is_not_there_is_not_found(tail: str, admin: Caller) -> None:
    path = f"{DLQ}/tasks/01890000-0000-7000-8000-000000000000{tail}"

    assert admin.call("POST" if tail else "GET", path).status_code == 404


def test_resubmissions_are_audited(admin: Caller, owner: Caller) -> None:
    letter = world.letter(owner.id)
    admin.post(f"{DLQ}/tasks/{letter}/resubmit")

    with db.quick():
        entry = db.row("SELECT actor, subject FROM audit_log WHERE action = 'dead_letter.resubmitted'")
    assert entry == {"actor": admin.id, "subject": letter}
