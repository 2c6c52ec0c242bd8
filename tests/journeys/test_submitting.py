"""What may be sent in, one or many, once or twice, and how it is found again."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.journeys.person import JSON, Person

NOOP = {"agent_id": "test-noop", "parameters": {}}


def test_the_same_request_said_ten_times_at_once_makes_one_job(admin: Person) -> None:
    key, tag = uuid.uuid4().hex, uuid.uuid4().hex
    with ThreadPoolExecutor(10) as threads:
        said = [
            threads.submit(
                admin.call, "POST", "/api/v1/jobs", 201,
                json={**NOOP, "tags": [tag]}, headers={"Idempotency-Key": key},
            )
            for _ in range(10)
        ]  # fmt: skip
    answers = [each.result() for each in said]

    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert admin.get("/api/v1/jobs", tag=tag)["total"] == 1


def test_a_key_of_another_request_is_refused(admin: Person) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    admin.post("/api/v1/jobs", NOOP, 201, **key)
    refused = admin.post("/api/v1/jobs", {**NOOP, "priority": "high"}, 422, **key)

    assert "Idempotency-Key" in refused["detail"]


def test_a_hundred_jobs_are_sent_in_at_once_and_each_bad_one_is_told_why(admin: Person) -> None:
    tag = uuid.uuid4().hex
    tasks: list[JSON] = [{**NOOP, "parameters": {"n": n}, "tags": [tag]} for n in range(100)]
    tasks[7] = {"agent_id": "nobody-knows-it", "tags": [tag]}
    tasks[42] = {**NOOP, "parameters": {"no_such_field": 1}, "tags": [tag]}
    tasks[99] = {**NOOP, "priority": "asap", "tags": [tag]}
    said = admin.post("/api/v1/jobs/bulk", {"tasks": tasks}, 207)

    assert (said["accepted"], said["rejected"]) == (97, 3)
    assert [each["index"] for each in said["results"]] == list(range(100))
    wrong = {each["index"]: each["error"]["code"] for each in said["results"] if each.get("error")}
    assert wrong == {7: "agent_not_found", 42: "invalid_parameters", 99: "invalid"}
    accepted = [each["job_id"] for each in said["results"] if each.get("job_id")]
    assert admin.get("/api/v1/jobs", tag=tag)["total"] == 97
    for job in accepted[:3] + accepted[-3:]:
        admin.reaches(job, "completed")


def test_a_hundred_and_one_jobs_at_once_are_refused_as_a_whole(admin: Person) -> None:
    tag = uuid.uuid4().hex
    refused = admin.post("/api/v1/jobs/bulk", {"tasks": [{**NOOP, "tags": [tag]}] * 101}, 422)

    assert refused["errors"][0]["pointer"] == "/tasks"
    assert admin.get("/api/v1/jobs", tag=tag)["total"] == 0


@pytest.fixture(scope="module")
def shelf(admin: Person) -> tuple[str, list[str]]:
    """A tag, and the ids of the 60 jobs that carry it, in the order of submission."""
    tag = uuid.uuid4().hex
    tasks = [{**NOOP, "priority": "high" if n % 3 == 0 else "low", "tags": [tag]} for n in range(59)]
    many = [each["job_id"] for each in admin.post("/api/v1/jobs/bulk", {"tasks": tasks}, 201)["results"]]
    last = admin.submit("test-echo", task_name=f"the last of {tag}", tags=[tag])
    for job in (*many, last):
        admin.reaches(job, "completed", 60)
    return tag, [*many, last]


def test_a_cursor_walks_a_list_without_a_gap_or_a_repetition_while_new_jobs_come_in(
    admin: Person, shelf: tuple[str, list[str]]
) -> None:
    tag, jobs = shelf
    walked, cursor, late = [], None, []
    while True:
        page = admin.get("/api/v1/jobs", tag=tag, limit=7, **({"cursor": cursor} if cursor else {}))
        walked += [job["job_id"] for job in page["jobs"]]
        if (cursor := page["next_cursor"]) is None:
            break
        late.append(admin.submit("test-noop", task_name="late"))

    assert walked == jobs[::-1]
    assert late
    assert page["tasks"] == page["jobs"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 60),
        ({"priority": "high"}, 20),
        ({"priority": "critical"}, 0),
        ({"agent_id": "test-echo"}, 1),
        ({"agent_id": "test_noop"}, 59),
        ({"status": "completed"}, 60),
        ({"status": "success,failed"}, 60),
        ({"status": "failed"}, 0),
        ({"pool": "general"}, 60),
        ({"pool": "marketing"}, 0),
        ({"q": "the last of"}, 1),
        ({"since": "2020-01-01T00:00:00Z"}, 60),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
    ],
    ids=str,
)
def test_a_list_shows_only_what_its_filters_ask_for(
    admin: Person, shelf: tuple[str, list[str]], filters: JSON, expected: int
) -> None:
    assert admin.get("/api/v1/jobs", tag=shelf[0], **filters)["total"] == expected


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, "/agent_id"),
        ({"agent_id": "no such agent"}, 422, "/agent_id"),
        ({**NOOP, "priority": "asap"}, 422, "/priority"),
        ({**NOOP, "priority": 1}, 422, "/priority"),
        ({**NOOP, "tags": "one"}, 422, "/tags"),
        ({**NOOP, "tags": [""]}, 422, "/tags/0"),
        ({**NOOP, "timeout": 0}, 422, "/timeout"),
        ({**NOOP, "max_retries": 11}, 422, "/max_retries"),
        ({**NOOP, "run_at": "2030-01-01T00:00:00"}, 422, "/run_at"),
        ({**NOOP, "run_at": "9999-01-01T00:00:00Z"}, 422, "/run_at"),
        ({**NOOP, "colour": "red"}, 422, "/colour"),
        ({**NOOP, "parameters": []}, 422, "/parameters"),
        ({**NOOP, "parameters": {"x": 1}}, 422, "/parameters"),
        ({**NOOP, "parameters": {"text": "a\0b"}}, 422, "/parameters/text"),
        ({"agent_id": "test-sleeper", "parameters": {"seconds": -1}}, 422, "/parameters/seconds"),
        ({"agent_id": "visual-designer", "parameters": {}}, 422, "/parameters/prompt"),
    ],
    ids=str,
)
def test_a_submission_that_does_not_fit_is_refused_with_the_field(
    admin: Person, body: JSON, status: int, pointer: str
) -> None:
    before = newest(admin)
    answer = admin.call("POST", "/api/v1/jobs", status, json=body)

    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert pointer in [each["pointer"] for each in problem["errors"]]
    assert newest(admin) == before, "something was stored"


def newest(admin: Person) -> list[str]:
    """The id of the job that was submitted last."""
    return [job["job_id"] for job in admin.get("/api/v1/jobs", limit=1)["jobs"]]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {"Content-Type": "application/json"}, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b" " * 2_100_000, {"Content-Type": "application/json", "Connection": "close"}, 413),
    ],
    ids=["nothing", "half", "list", "text", "huge"],
)
def test_a_body_that_cannot_be_read_is_a_problem(
    admin: Person, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = admin.call("POST", "/api/v1/jobs", status, content=content, headers=headers)

    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/v1/jobs", {"status": "sleeping"}, 400),
        ("/api/v1/jobs", {"limit": 101}, 400),
        ("/api/v1/jobs", {"since": "yesterday"}, 400),
        ("/api/v1/jobs", {"cursor": "garbage"}, 400),
        ("/api/v1/jobs/not-an-id", {}, 400),
        (f"/api/v1/jobs/{uuid.UUID(int=0)}", {}, 404),
        ("/api/v1/jobs/status", {}, 400),
        ("/api/v1/agents/nobody-knows-it", {}, 404),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_answered_is_a_problem(
    admin: Person, path: str, query: dict[str, Any], status: int
) -> None:
    problem = admin.get(path, status, **query)

    assert problem["status"] == status
    assert problem["request_id"]
