"""Watching work by polling, as the status document asks for it."""

from __future__ import annotations

import socket
import time
import uuid
from contextlib import ExitStack

from tests.journeys.person import Person
from tests.journeys.product import Product

ALIASES = (
    "/api/v1/jobs/{}/status",
    "/api/v1/tasks/{}/status",
    "/api/ai/jobs/{}/status",
)
FULL_ALIASES = ("/api/v1/jobs/{}", "/api/v1/tasks/{}", "/api/tasks/{}")


def test_a_job_is_watched_from_submission_to_its_result_by_the_rules_of_its_document(admin: Person) -> None:
    accepted = admin.post("/api/v1/jobs", {"agent_id": "test-sleeper", "parameters": {"seconds": 2}}, 201)
    seen = admin.watch(accepted["job_id"])

    documents = [each for each in seen if each]
    statuses = list(dict.fromkeys(document["status"] for document in documents))
    assert statuses in (["pending", "queued", "running", "completed"], ["queued", "running", "completed"],
                        ["running", "completed"])  # fmt: skip
    assert accepted["status"] in ("pending", "queued")
    progress = [document["progress"] for document in documents]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert any(0 < each < 100 for each in progress), "no progress was to be seen on the way"
    versions = [document["version"] for document in documents]
    assert versions == sorted(versions)
    last = documents[-1]
    assert last["poll"] == {"next_after_ms": None, "terminal": True}
    assert last["result"] == {"slept": 2}
    assert 1.9 < last["duration_seconds"] < 20
    moves = [step["to_status"] for step in admin.story(last["job_id"], "history")]
    assert moves[-2:] == ["running", "completed"]
    assert sum(line["depth"] for line in admin.get("/api/v1/queues/stats")["queues"].values()) >= 0


def test_a_document_that_did_not_change_is_answered_by_304_without_a_body(admin: Person) -> None:
    job = admin.submit("test-echo", {"n": 1})
    admin.reaches(job, "completed")
    path = f"/api/v1/jobs/{job}/status"
    plain = {"Accept-Encoding": "identity"}
    tag = admin.call("GET", path, headers=plain).headers["ETag"]
    again = admin.call("GET", path, 304, headers={**plain, "If-None-Match": tag})

    assert again.content == b""
    assert again.headers["ETag"] == tag
    compressed = admin.call("GET", path)
    assert compressed.headers["Content-Encoding"]
    admin.call("GET", path, 304, headers={"If-None-Match": compressed.headers["ETag"]})
    admin.call("GET", path, 200, headers={**plain, "If-None-Match": '"another"'})


def test_polling_a_quiet_job_answers_304_until_it_changes(admin: Person) -> None:
    seen = admin.watch(admin.submit("test-stubborn", {"seconds": 2}))

    assert None in seen
    assert seen[-1] is not None
    assert seen[-1]["status"] == "completed"


def test_all_paths_of_the_documents_answer_the_same_document(admin: Person) -> None:
    job = admin.submit("test-echo", {"text": "alias"})
    admin.reaches(job, "completed")

    for paths in (ALIASES, FULL_ALIASES):
        documents = [admin.get(path.format(job)) for path in paths]
        for document in documents:
            assert document.pop("timestamp")
            assert document == documents[0]
        assert documents[0]["job_id"] == documents[0]["task_id"] == job


def test_many_jobs_are_polled_in_one_request_with_one_tag(admin: Person) -> None:
    jobs = [admin.submit("test-noop") for _ in range(5)]
    for job in jobs:
        admin.reaches(job, "completed")
    stranger = str(uuid.uuid4())
    answer = admin.call("GET", "/api/v1/jobs/status", params={"ids": ",".join([*jobs, stranger])})

    batch = answer.json()
    assert [each["job_id"] for each in batch["jobs"]] == jobs
    assert batch["not_found"] == [stranger]
    assert batch["poll"] == {"next_after_ms": None, "terminal": True}
    tag = {"If-None-Match": answer.headers["ETag"]}
    admin.call("GET", "/api/v1/jobs/status", 304, params={"ids": ",".join([*jobs, stranger])}, headers=tag)


def test_the_log_is_read_by_cursor_without_a_gap(admin: Person) -> None:
    job = admin.submit("test-echo", {"n": 3})
    admin.reaches(job, "completed")
    whole = admin.get(f"/api/v1/jobs/{job}/events", limit=1000)["events"]
    walked, cursor = [], 0
    while page := admin.get(f"/api/v1/jobs/{job}/events", after=cursor, limit=1)["events"]:
        walked += page
        cursor = page[-1]["seq"]

    assert [event["seq"] for event in walked] == list(range(1, len(whole) + 1))
    assert walked == whole
    assert "echo" in [line["message"] for line in admin.story(job, "logs")]


def test_connections_that_say_nothing_keep_nobody_waiting(admin: Person, product: Product) -> None:
    with ExitStack() as opened:
        for _ in range(60):  # browsers open some in advance; there are sixteen threads
            opened.enter_context(socket.create_connection(("127.0.0.1", product.port)))
        began = time.monotonic()
        admin.get("/api/v1/me")

    assert time.monotonic() - began < 2  # a thread would wait five seconds for each
