"""Whatever is killed under it, accepted work is done; whatever is away, the API says so and comes back.

Here for what a user of the API sees of it; the invariants under load are tests/chaos.
"""

from __future__ import annotations

import os
import signal
import uuid
from typing import Any

import httpx2
import psutil

from tests.journeys.person import Person
from tests.journeys.product import Product, is_alive
from tests.waiting import until

NOOP = {"agent_id": "test-noop", "parameters": {}}


def test_a_job_outlives_the_worker_that_was_killed_under_it(admin: Person) -> None:
    job = admin.submit("test-sleeper", {"seconds": 2})
    lost = admin.reaches(job, "running")["worker_id"]
    workers = {worker["worker_id"]: worker for worker in admin.get("/api/v1/workers")["workers"]}
    os.kill(workers[lost]["process_id"], signal.SIGKILL)
    ended = admin.reaches(job, "completed", 40)

    assert (ended["lost_count"], ended["retry_count"], ended["attempt"]) == (1, 0, 2)
    assert ended["worker_id"] != lost
    assert "lost_worker" in [step["reason"] for step in admin.story(job, "history")]


def test_nothing_is_lost_when_the_supervisor_is_killed_and_started_again(
    admin: Person, product: Product
) -> None:
    tag = uuid.uuid4().hex
    slow = admin.submit("test-sleeper", {"seconds": 3}, tags=[tag])
    admin.reaches(slow, "running")
    tasks = [{"agent_id": "test-sleeper", "parameters": {"seconds": 0.2}, "tags": [tag]}] * 40
    admin.post("/api/v1/jobs/bulk", {"tasks": tasks}, 201)
    product.kill()
    product.start()
    until(lambda: admin.get("/api/v1/jobs", tag=tag, status="completed")["total"] == 41, 60, 0.2)

    assert admin.get("/api/v1/jobs", tag=tag)["total"] == 41
    assert admin.get("/api/health")["status"] == "healthy"


def test_without_its_broker_it_is_degraded_accepts_work_and_does_it(admin: Person, product: Product) -> None:
    with product.unattended():
        product.end("redis", signal.SIGKILL)
        health = admin.get("/api/health")
        job = admin.submit("test-noop")
        admin.reaches(job, "completed")
        parts = admin.get("/api/health/redis")

    assert health["status"] == parts["status"] == "degraded"
    assert health["checks"]["database"]["status"] == "healthy"
    until(lambda: admin.get("/api/health")["status"] == "healthy", 30, 0.2)
    admin.reaches(admin.submit("test-noop"), "completed")


def test_a_broker_that_hangs_does_not_hold_up_a_submission(admin: Person, product: Product) -> None:
    broker = psutil.Process(product.pid("redis"))
    broker.suspend()
    try:
        answer = admin.call("POST", "/api/v1/jobs", 201, json=NOOP)
        job = answer.json()["job_id"]
        admin.reaches(job, "completed")
        health = admin.get("/api/health")["status"]
    finally:
        broker.resume()

    assert answer.elapsed.total_seconds() < 5
    assert health == "degraded"
    until(lambda: admin.get("/api/health")["status"] == "healthy", 30, 0.2)


def test_without_its_database_it_answers_503_and_comes_back_with_everything(
    admin: Person, product: Product
) -> None:
    before = admin.submit("test-echo", {"n": 1})
    later = admin.submit("test-stubborn", {"seconds": 4})
    admin.reaches(before, "completed")
    admin.reaches(later, "running")
    with product.unattended():
        product.end("postgres", signal.SIGQUIT)  # at once, as after a power cut
        health = admin.call("GET", "/api/health", 503)
        refused = [admin.call("POST", "/api/v1/jobs", 503, json=NOOP),
                   admin.call("GET", f"/api/v1/jobs/{before}/status", 503),
                   admin.call("GET", "/api/v1/jobs", 503)]  # fmt: skip
        admin.get("/healthz")

    assert health.json()["status"] == "unhealthy"
    for answer in refused:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    until(lambda: is_well(admin), 60, 0.2)
    assert admin.status(before)["status"] == "completed"
    ended = admin.reaches(later, "completed", 40)
    assert ended["retry_count"] == 0, "an outage is no failure of the job"
    admin.reaches(admin.submit("test-noop"), "completed")


def is_well(person: Person) -> bool:
    """Whether everything is there."""
    answer: Any = person.client.get("/api/health")
    return bool(answer.json()["status"] == "healthy")


def test_web_processes_that_were_killed_are_replaced(admin: Person, product: Product) -> None:
    job = admin.submit("test-noop")
    old = psutil.Process(product.pid("web")).children()
    product.end("web", signal.SIGKILL)
    until(lambda: not any(map(is_alive, old)) and answers(admin), 30, 0.2)

    assert old
    admin.reaches(job, "completed")
    assert [step["to_status"] for step in admin.story(job, "history")].count("completed") == 1


def answers(person: Person) -> bool:
    """Whether somebody listens at the port."""
    try:
        return is_well(person)
    except httpx2.TransportError:
        return False
