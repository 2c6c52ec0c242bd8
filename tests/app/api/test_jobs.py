from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from threading import Barrier
from typing import Any

import pytest

from app import clock
from app.agents import definition, registry
from app.api import ALIASES
from app.db import db
from app.jobs import queries
from app.quality import gates
from tests.app.api import world
from tests.app.api.calling import Caller

JOBS = "/api/v1/jobs"
JOB = {"agent_id": "test-echo", "parameters": {"text": "hi"}}


def body(answer: Any) -> dict[str, Any]:
    assert answer.json is not None, answer.data
    return dict(answer.json)


def stored(job_id: str) -> dict[str, Any]:
    with db.quick():
        return queries.get(job_id, full=True)


def test_a_submitted_job_is_durable_and_says_where_to_look(
    owner: Caller, bells: list[tuple[str, int]]
) -> None:
    answer = owner.post(JOBS, json=JOB | {"priority": "high", "tags": ["a", "b"], "task_name": "Greet"})
    accepted = body(answer)

    assert answer.headers["Location"] == accepted["links"]["self"] == f"{JOBS}/{accepted['job_id']}"
    assert (accepted["status"], accepted["priority"], accepted["queue_position"]) == ("queued", "high", 1)
    assert accepted["job_id"] == accepted["task_id"]
    job = stored(accepted["job_id"])
    assert (job["parameters"], job["tags"], job["task_name"]) == ({"text": "hi"}, ["a", "b"], "Greet")
    assert (job["submitted_by"], job["correlation_id"]) == (owner.id, answer.headers["X-Request-Id"])
    assert bells == [("general", 1)]


def test_a_job_for_later_is_pending_and_rings_nobody(owner: Caller, bells: list[tuple[str, int]]) -> None:
    at = (clock.now() + timedelta(days=2)).replace(microsecond=0).astimezone(timezone(timedelta(hours=5)))
    accepted = body(owner.post(JOBS, json=JOB | {"run_at": at.isoformat()}))

    assert (accepted["status"], accepted["scheduled_for"]) == ("pending", clock.iso(at))
    assert bells == []


def test_a_refused_job_rings_nobody(owner: Caller, bells: list[tuple[str, int]]) -> None:
    assert owner.post(JOBS, json={"agent_id": "nobody"}).status_code == 422
    assert bells == []


@pytest.mark.parametrize("name", ["parameters", "params", "input_data"])
def test_the_documents_names_of_parameters_are_understood(name: str, owner: Caller) -> None:
    accepted = body(owner.post(JOBS, json={"agent_id": "test_echo", name: {"text": "x"}}))

    assert stored(accepted["job_id"])["parameters"] == {"text": "x"}


def test_two_names_of_parameters_are_refused(owner: Caller) -> None:
    assert owner.post(JOBS, json={"agent_id": "test-echo", "params": {}, "parameters": {}}).status_code == 422


def test_notification_options_are_kept(owner: Caller) -> None:
    wish = JOB | {"notify_on_completion": True, "notification_email": "me@example.org"}

    assert stored(body(owner.post(JOBS, json=wish))["job_id"])["notify"] == {"email": "me@example.org"}


def test_an_unknown_agent_names_the_way_out(owner: Caller) -> None:
    refused = body(owner.post(JOBS, json={"agent_id": "nobody"}))

    assert (refused["status"], refused["code"]) == (422, "agent_not_found")
    assert "/api/v1/agents" in refused["detail"]


# -- Idempotency-Key


def test_the_same_request_under_one_key_makes_one_job(owner: Caller) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first, second = (owner.post(JOBS, json=JOB, headers=headers) for _ in range(2))

    assert body(first) == body(second)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert body(owner.get(JOBS))["total"] == 1


def test_another_request_under_a_used_key_is_refused(owner: Caller) -> None:
    headers = {"Idempotency-Key": "order-1"}
    owner.post(JOBS, json=JOB, headers=headers)

    assert owner.post(JOBS, json=JOB | {"priority": "low"}, headers=headers).status_code == 422
    assert owner.post(f"{JOBS}/bulk", json={"tasks": [JOB]}, headers=headers).status_code == 422


def test_keys_of_different_people_do_not_meet(owner: Caller, other: Caller) -> None:
    answers = [body(who.post(JOBS, json=JOB, headers={"Idempotency-Key": "k"})) for who in (owner, other)]

    assert answers[0]["job_id"] != answers[1]["job_id"]


def test_a_refused_request_frees_its_key(owner: Caller) -> None:
    headers = {"Idempotency-Key": "order-1"}
    assert owner.post(JOBS, json={"agent_id": "nobody"}, headers=headers).status_code == 422

    assert owner.post(JOBS, json=JOB, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_cannot_be_is_refused(key: str, owner: Caller) -> None:
    assert owner.post(JOBS, json=JOB, headers={"Idempotency-Key": key}).status_code == 422


def test_parallel_requests_under_one_key_make_one_job(owner: Caller) -> None:
    start = Barrier(6)

    def submit(_: int) -> tuple[int, str]:
        start.wait()
        answer = owner.post(JOBS, json=JOB, headers={"Idempotency-Key": "race"})
        return answer.status_code, body(answer).get("job_id", "")

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(submit, range(6)))

    assert len({job_id for status, job_id in answers if status == 201}) == 1
    assert {status for status, _ in answers} <= {201, 409}
    assert body(owner.get(JOBS))["total"] == 1


# -- bulk


def test_many_jobs_at_once_come_back_in_order(owner: Caller, bells: list[tuple[str, int]]) -> None:
    tasks = [JOB | {"task_name": str(n)} for n in range(100)]
    answer = owner.post(f"{JOBS}/bulk", json={"tasks": tasks})
    result = body(answer)

    assert (answer.status_code, result["accepted"], result["rejected"]) == (201, 100, 0)
    assert [stored(item["job_id"])["task_name"] for item in result["results"][::33]] == [
        "0",
        "33",
        "66",
        "99",
    ]
    assert bells == [("general", 100)]


def test_bad_ones_among_many_are_refused_by_themselves(owner: Caller) -> None:
    tasks = [JOB, {"agent_id": "nobody"}, {"priority": "x"}, JOB | {"parameters": {"text": 7}}, JOB]
    answer = owner.post(f"{JOBS}/bulk", json={"tasks": tasks})
    results = body(answer)["results"]

    assert (answer.status_code, body(answer)["accepted"], body(answer)["rejected"]) == (207, 2, 3)
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    codes = [result["error"]["code"] if "error" in result else result["status"] for result in results]
    assert codes == ["queued", "agent_not_found", "invalid", "invalid_parameters", "queued"]
    assert {error["pointer"] for error in results[2]["error"]["errors"]} == {"/agent_id", "/priority"}
    assert body(owner.get(JOBS))["total"] == 2


@pytest.mark.parametrize("tasks", [[], [JOB] * 101, "x", [7]])
def test_none_too_many_and_no_list_are_refused(tasks: Any, owner: Caller) -> None:
    assert owner.post(f"{JOBS}/bulk", json={"tasks": tasks}).status_code == 422


# -- lists


def test_lists_filter_by_everything_documented(owner: Caller) -> None:
    low = world.submitted(owner.id, priority="low", tags=("red",), task_name="Zebra")
    noop = world.submitted(owner.id, agent_id="test-noop")
    done = world.completed(owner.id)

    def ids(query: str) -> list[str]:
        return [job["job_id"] for job in body(owner.get(f"{JOBS}?{query}"))["jobs"]]

    assert ids("") == [done, noop, low]
    assert ids("priority=low") == [low]
    assert ids("agent_id=test_noop") == [noop]
    assert ids("status=completed") == ids("status=success") == [done]
    assert ids("status=queued,completed") == [done, noop, low]
    assert ids("status=queued&status=completed") == [done, noop, low]
    assert ids("tag=red") == ids("q=zebra") == ids(f"q={low}") == [low]
    assert ids("since=2031-01-01T00:00:00Z") == []
    assert ids("until=2031-01-01T00:00:00%2B02:00") == [done, noop, low]
    assert ids("pool=testing") == []


def test_pages_by_offset_and_by_cursor_hold_every_job_once(owner: Caller) -> None:
    jobs = [world.submitted(owner.id) for _ in range(5)][::-1]

    by_offset = [body(owner.get(f"{JOBS}?limit=2&offset={n}"))["jobs"] for n in (0, 2, 4)]
    assert [job["job_id"] for page in by_offset for job in page] == jobs
    seen, cursor = [], ""
    while cursor is not None:
        page = body(owner.get(f"{JOBS}?limit=2&cursor={cursor}"))
        seen += [job["job_id"] for job in page["tasks"]]
        cursor = page["next_cursor"]
    assert seen == jobs
    assert page["total"] == 5


# -- one job


def test_a_finished_job_shows_its_result_to_its_owner(owner: Caller) -> None:
    job = body(owner.get(f"{JOBS}/{world.completed(owner.id)}"))

    assert (job["status"], job["progress"], job["result"]) == ("completed", 100, {"answer": 42})
    assert job["parameters"] == {"text": "hello"}
    assert job["poll"] == {"next_after_ms": None, "terminal": True}
    assert job["actions"] == ["retry", "replay"]


def test_a_failed_job_shows_what_went_wrong_to_its_owner(owner: Caller) -> None:
    job = body(owner.get(f"{JOBS}/{world.failed(owner.id, 'no such file')}"))

    assert (job["status"], job["dead_lettered"], job["error"]["message"]) == ("failed", True, "no such file")
    assert job["stack_trace"].startswith("Traceback")


def test_a_waiting_job_is_cancelled_at_once_and_only_once(owner: Caller) -> None:
    path = f"{JOBS}/{world.submitted(owner.id)}"
    answer = owner.call("DELETE", path)

    assert (answer.status_code, body(answer)["status"]) == (200, "cancelled")
    assert body(answer)["cancelled_at"]
    assert owner.post(f"{path}/cancel").status_code == 409


def test_a_running_job_is_asked_to_stop(owner: Caller) -> None:
    path = f"{JOBS}/{world.running(owner.id).job_id}/cancel"
    answers = [owner.post(path) for _ in range(2)]

    assert [(a.status_code, body(a)["status"], body(a)["cancel_requested"]) for a in answers] == [
        (202, "running", True)
    ] * 2


def test_priority_changes_while_it_waits_and_not_after(owner: Caller) -> None:
    waiting, done = world.submitted(owner.id), world.completed(owner.id)

    assert (
        body(owner.call("PATCH", f"{JOBS}/{waiting}", json={"priority": "critical"}))["priority"]
        == "critical"
    )
    assert body(owner.get(f"{JOBS}/{waiting}"))["priority"] == "critical"
    refused = owner.call("PATCH", f"{JOBS}/{done}", json={"priority": "critical"})
    assert (refused.status_code, body(refused)["allowed_actions"]) == (409, ["replay"])


def test_running_again_makes_a_new_job_that_names_the_old(owner: Caller) -> None:
    old = world.failed(owner.id)
    new = body(owner.post(f"{JOBS}/{old}/retry", json={"priority": "low", "parameters": {"text": "b"}}))

    assert (new["retry_of_job_id"], new["priority"]) == (old, "low")
    assert stored(new["job_id"])["parameters"] == {"text": "b"}
    assert body(owner.get(f"{JOBS}/{old}"))["status"] == "failed"


def test_a_waiting_job_cannot_be_run_again(owner: Caller) -> None:
    refused = owner.post(f"{JOBS}/{world.submitted(owner.id)}/retry")

    assert (refused.status_code, body(refused)["allowed_actions"]) == (409, ["cancel"])


def test_who_cancelled_hurried_or_ran_again_is_audited(owner: Caller, admin: Caller) -> None:
    waiting, done = world.submitted(owner.id), world.completed(owner.id)
    admin.call("PATCH", f"{JOBS}/{waiting}", json={"priority": "high"})
    owner.call("DELETE", f"{JOBS}/{waiting}")
    owner.post(f"{JOBS}/{done}/retry")

    with db.quick():
        entries = db.rows(
            """SELECT action, actor, subject FROM audit_log
               WHERE action LIKE 'job.%%' AND action <> 'job.submitted' ORDER BY id"""
        )
    assert [(e["action"], e["actor"], e["subject"]) for e in entries] == [
        ("job.priority_changed", admin.id, waiting),
        ("job.cancelled", owner.id, waiting),
        ("job.retried", owner.id, done),
    ]


# -- the documents' other paths


def _aliases() -> list[tuple[str, str]]:
    return [
        (path, alias)
        for (method, path), aliases in ALIASES.items()
        for alias in aliases
        if method == "GET" and "jobs" in path and path.count("<") < 2
    ]


@pytest.mark.parametrize(("path", "alias"), _aliases())
def test_aliases_answer_the_same(path: str, alias: str, owner: Caller) -> None:
    job_id = world.completed(owner.id)
    query = f"?ids={job_id}" if path.endswith("/status") and "<" not in path else ""
    answers = [body(owner.get(place.replace("<job_id>", job_id) + query)) for place in (path, alias)]

    for answer in answers:
        answer.pop("timestamp", None)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/tasks"])
def test_jobs_are_taken_at_the_documents_paths(path: str, owner: Caller) -> None:
    accepted = body(owner.post(path, json=JOB))

    assert owner.call("DELETE", f"{path}/{accepted['task_id']}").status_code == 200


@pytest.mark.parametrize("gate", ["house-style", False])
def test_a_job_may_name_its_quality_gate_or_have_none(owner: Caller, gate: str | bool) -> None:
    with db.transaction():
        gates.save("house-style", {"checks": [{"check": "length"}]}, by=None)
    accepted = body(owner.post(JOBS, json=JOB | {"gate": gate}))
    assert stored(accepted["job_id"])["options"] == {"gate": gate}


def test_only_admins_put_another_gate_in_the_place_of_the_agents_own(owner: Caller, admin: Caller) -> None:
    with db.transaction():
        gates.save("lax", {"checks": [{"check": "length"}]}, by=None)
        text = "---\nname: gated\ndescription: x\nx-callboard:\n  runner: python\n  python: {call: 'a:b'}\n  gate: strict\n---\n"
        registry.install(definition.parse("gated", text), "catalog")
    registry.forget()
    wish = {"agent_id": "gated", "parameters": {"prompt": "x"}}

    for gate in ("lax", False):
        refused = body(owner.post(JOBS, json=wish | {"gate": gate}))
        assert refused["errors"] == [
            {
                "pointer": "/gate",
                "message": "the agent has one of its own; only admins may put another in its place",
            }
        ]
        accepted = body(admin.post(JOBS, json=wish | {"gate": gate}))
        assert stored(accepted["job_id"])["options"] == {"gate": gate}
    assert owner.post(JOBS, json=wish).status_code == 201


@pytest.mark.parametrize("gate", ["nowhere", "Not A Name", True, {"checks": []}])
def test_a_gate_that_there_is_not_is_refused(owner: Caller, gate: object) -> None:
    refused = owner.post(JOBS, json=JOB | {"gate": gate})
    assert refused.status_code == 422
    assert body(refused)["errors"][0]["pointer"].startswith("/gate")
