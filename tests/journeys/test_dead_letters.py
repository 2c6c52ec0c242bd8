"""What failed for good: found, grouped, and sent in again by an admin."""

from __future__ import annotations

import pytest

from tests.journeys.person import JSON, Person


@pytest.fixture
def failed(admin: Person) -> str:
    """A job that failed at once, because its error is permanent."""
    job = admin.submit("test-flaky", {"failures": 99, "kind": "permanent", "message": "the disk is full"})
    assert admin.reaches(job, "failed")["dead_lettered"] is True
    return job


def group_of(admin: Person, letter: JSON) -> JSON:
    """The group of dead letters that `letter` is in."""
    groups = admin.get("/api/v1/dlq/groups", window="1h")["groups"]
    return next(group for group in groups if group["group_key"] == letter["group_key"])


def test_a_failed_job_is_corrected_and_sent_in_again_from_the_dead_letters(
    admin: Person, failed: str
) -> None:
    letter = admin.get(f"/api/v1/dlq/tasks/{failed}")
    address = f"/api/v1/dlq/tasks/{letter['dlq_id']}/resubmit"
    again = admin.post(address, {"override_parameters": {"failures": 0}, "priority": "high"})

    assert (letter["reason"], letter["error_message"]) == ("permanent", "the disk is full")
    assert (letter["retry_count"], letter["resubmitted"]) == (0, False)
    ended = admin.reaches(again["new_task_id"], "completed")
    assert (ended["retry_of_job_id"], ended["priority"]) == (failed, "high")
    assert admin.get(f"/api/v1/dlq/tasks/{failed}")["new_job_id"] == again["new_job_id"]


def test_a_dead_letter_is_sent_in_twice_only_by_force(admin: Person, failed: str) -> None:
    address = f"/api/v1/dlq/tasks/{failed}/resubmit"
    fix = {"override_parameters": {"failures": 0}}
    first = admin.post(address, fix)
    refused = admin.post(address, fix, 409)
    forced = admin.post(address, {**fix, "force": True})

    assert refused["code"] == "conflict"
    assert forced["new_job_id"] != first["new_job_id"]
    admin.reaches(forced["new_job_id"], "completed")


def test_a_job_that_used_up_its_retries_is_a_dead_letter_with_their_number(admin: Person) -> None:
    job = admin.submit("test-flaky", {"failures": 99, "message": "nobody answers"}, max_retries=1)
    document = admin.reaches(job, "failed")

    assert (document["retry_count"], document["attempt"], document["status_reason"]) == (1, 2, "exhausted")
    letter = admin.get(f"/api/v1/dlq/tasks/{job}")
    assert (letter["reason"], letter["retry_count"], letter["job_id"]) == ("exhausted", 1, job)
    assert job in [each["job_id"] for each in admin.get("/api/v1/dlq/tasks", agent_id="test-flaky")["tasks"]]


def test_failures_of_one_cause_are_one_group_and_sent_in_again_together(admin: Person) -> None:
    jobs = [
        admin.submit("test-flaky", {"failures": 9, "kind": "permanent", "message": f"tape {n} is torn"})
        for n in (17, 4)
    ]
    for job in jobs:
        admin.reaches(job, "failed")
    letters = [admin.get(f"/api/v1/dlq/tasks/{job}") for job in jobs]
    group = group_of(admin, letters[0])
    sent = admin.post(f"/api/v1/dlq/groups/{group['group_key']}/resubmit", {"limit": 10})

    assert letters[0]["group_key"] == letters[1]["group_key"]
    assert (group["count"], group["agent_id"]) == (2, "test-flaky")
    assert (sent["resubmitted"], sent["refused"]) == (2, 0)
    assert {each["dlq_id"] for each in sent["results"]} == {letter["dlq_id"] for letter in letters}
    open_again = admin.get("/api/v1/dlq/tasks", group_key=group["group_key"], resubmitted=False)
    assert not {letter["dlq_id"] for letter in letters} & {each["dlq_id"] for each in open_again["tasks"]}
    for each in sent["results"]:
        assert admin.reaches(each["new_job_id"], "failed")["retry_of_job_id"] in jobs


def test_a_correction_that_does_not_fit_the_agent_is_refused_and_nothing_is_sent_in(
    admin: Person, failed: str
) -> None:
    problem = admin.post(
        f"/api/v1/dlq/tasks/{failed}/resubmit", {"override_parameters": {"failures": "none"}}, 422
    )

    assert [each["pointer"] for each in problem["errors"]] == ["/parameters/failures"]
    assert admin.get(f"/api/v1/dlq/tasks/{failed}")["resubmitted"] is False
