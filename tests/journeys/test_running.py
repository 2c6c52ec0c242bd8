"""Work on its way: what goes first, what is cancelled, what tries again, and why something waits."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from tests.journeys.person import Person
from tests.journeys.product import Product
from tests.waiting import until


def in_an_hour() -> str:
    """A time at which no test runs any more."""
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@pytest.fixture
def one_place(admin: Person) -> Iterator[str]:
    """An agent of which one job runs at a time, with that place taken; answers the job that has it."""
    admin.call("PATCH", "/api/v1/agents/test-limited", json={"max_concurrent_tasks": 1})
    holder = admin.submit("test-limited", {"seconds": 600})
    admin.reaches(holder, "running")
    yield holder
    if "cancel" in admin.status(holder)["actions"]:
        admin.post(f"/api/v1/jobs/{holder}/cancel", expect=202)
    admin.reaches(holder, "cancelled")
    admin.call("PATCH", "/api/v1/agents/test-limited", json={"max_concurrent_tasks": 2})


def test_a_critical_job_goes_before_a_low_one_that_came_earlier(admin: Person, one_place: str) -> None:
    low = admin.submit("test-limited", {"seconds": 0.3}, priority="low")
    critical = admin.submit("test-limited", {"seconds": 0.3}, priority="critical")
    admin.post(f"/api/v1/jobs/{one_place}/cancel", expect=202)
    first, second = admin.reaches(critical, "completed"), admin.reaches(low, "completed")

    assert first["started_at"] < second["started_at"]
    assert first["completed_at"] <= second["started_at"]


def test_a_job_that_was_made_critical_overtakes(admin: Person, one_place: str) -> None:
    early, late = (admin.submit("test-limited", {"seconds": 0.3}) for _ in range(2))
    changed = admin.call("PATCH", f"/api/v1/jobs/{late}", json={"priority": "critical"}).json()
    admin.post(f"/api/v1/jobs/{one_place}/cancel", expect=202)
    first, second = admin.reaches(late, "completed"), admin.reaches(early, "completed")

    assert changed["priority"] == first["priority"] == "critical"
    assert first["started_at"] < second["started_at"]
    admin.call("PATCH", f"/api/v1/jobs/{late}", 409, json={"priority": "low"})


def test_a_job_says_that_it_waits_for_a_place_of_its_agent(admin: Person, one_place: str) -> None:
    waiting = admin.submit("test-limited", {"seconds": 0.1})
    said = admin.get(f"/api/v1/jobs/{waiting}/explain")

    assert [blocker["code"] for blocker in said["blockers"]] == ["agent_limit"]
    assert said["runnable"] is False
    admin.call("DELETE", f"/api/v1/jobs/{waiting}")


def test_a_waiting_job_is_cancelled_at_once_and_only_once(admin: Person) -> None:
    job = admin.submit("test-noop", run_at=in_an_hour())
    cancelled = admin.call("DELETE", f"/api/v1/jobs/{job}").json()

    assert cancelled["status"] == "cancelled"
    assert cancelled["cancelled_at"]
    assert admin.call("DELETE", f"/api/v1/jobs/{job}", 409).json()["allowed_actions"] == ["retry"]


def test_cancelling_a_running_program_ends_its_whole_tree_of_processes(admin: Person) -> None:
    seconds = str(random.randrange(10**6, 10**7))
    job = admin.submit("journey-tree", {"seconds": seconds})
    until(lambda: len(sleepers(seconds)) == 2, 20)
    asked = admin.post(f"/api/v1/jobs/{job}/cancel", expect=202)

    assert (asked["status"], asked["cancel_requested"]) == ("running", True)
    ended = admin.reaches(job, "cancelled", 20)
    assert ended["cancelled_at"]
    assert sleepers(seconds) == []
    assert "planted" in [line["message"] for line in admin.story(job, "logs")]


def sleepers(seconds: str) -> list[int]:
    """The pids of processes that sleep for just so long."""
    found = psutil.process_iter(["cmdline", "status"])
    return [
        process.pid
        for process in found
        if process.info["cmdline"] == ["sleep", seconds] and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_a_flaky_job_tries_again_until_it_completes_and_tells_of_it(admin: Person) -> None:
    job = admin.submit("test-flaky", {"failures": 2})
    ended = admin.reaches(job, "completed")

    assert (ended["retry_count"], ended["attempt"], ended["lost_count"]) == (2, 3, 0)
    assert ended["result"] == {"attempts": 3}
    attempts = admin.story(job, "attempts")
    assert [each["attempt"] for each in attempts] == [1, 2, 3]
    assert [each["error"] is None for each in attempts] == [False, False, True]
    assert all(each["delay_seconds"] > 0 for each in attempts[:2])
    moves = [step["to_status"] for step in admin.story(job, "history")]
    assert [move for move in moves if move in ("running", "retry", "completed")] == [
        "running", "retry", "running", "retry", "running", "completed",
    ]  # fmt: skip


def test_a_finished_job_is_run_again_as_a_new_one(admin: Person) -> None:
    old = admin.submit("test-echo", {"n": 1})
    admin.reaches(old, "completed")
    new = admin.post(f"/api/v1/jobs/{old}/retry", {"parameters": {"n": 2}, "priority": "high"}, 201)

    assert new["retry_of_job_id"] == old != new["job_id"]
    ended = admin.reaches(new["job_id"], "completed")
    assert ended["result"]["parameters"] == {"n": 2}
    assert ended["priority"] == "high"


def test_a_job_that_is_not_due_says_until_when(admin: Person) -> None:
    job = admin.submit("test-noop", run_at=in_an_hour())
    said = admin.get(f"/api/v1/jobs/{job}/explain")

    assert [blocker["code"] for blocker in said["blockers"]] == ["scheduled"]
    assert said["blockers"][0]["until"] == admin.status(job)["scheduled_for"]
    admin.call("DELETE", f"/api/v1/jobs/{job}")


def test_a_job_of_a_paused_pool_says_so_and_runs_when_the_pause_is_over(
    admin: Person, product: Product
) -> None:
    product.sql("UPDATE queues SET paused = true, pause_reason = 'journey' WHERE pool = 'general'")
    try:
        job = admin.submit("test-noop")
        said = admin.get(f"/api/v1/jobs/{job}/explain")
    finally:
        product.sql("UPDATE queues SET paused = false, pause_reason = NULL WHERE pool = 'general'")

    assert [blocker["code"] for blocker in said["blockers"]] == ["paused"]
    assert "journey" in said["blockers"][0]["message"]
    admin.reaches(job, "completed")


def test_a_job_of_a_disabled_agent_says_so_and_runs_when_it_is_enabled(admin: Person) -> None:
    admin.call("PATCH", "/api/v1/agents/test-limited", json={"enabled": False})
    try:
        job = admin.submit("test-limited", {"seconds": 0.1})
        said = admin.get(f"/api/v1/jobs/{job}/explain")
    finally:
        admin.call("PATCH", "/api/v1/agents/test-limited", json={"enabled": True})

    assert [blocker["code"] for blocker in said["blockers"]] == ["agent_disabled"]
    admin.reaches(job, "completed")


def test_a_job_without_a_worker_says_so_and_runs_when_one_comes(admin: Person, product: Product) -> None:
    with product.unattended():
        product.end("worker", signal.SIGTERM)
        job = admin.submit("test-noop")
        said = admin.get(f"/api/v1/jobs/{job}/explain")
        health = admin.get("/api/health")

    assert [blocker["code"] for blocker in said["blockers"]] == ["no_worker"]
    assert health["status"] == health["checks"]["workers"]["status"] == "degraded"
    admin.reaches(job, "completed")
