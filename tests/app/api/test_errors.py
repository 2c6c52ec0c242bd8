from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg2
import pytest
from flask import Flask
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.api import errors
from app.db import db
from app.errors import Conflict, Invalid, Unavailable
from tests.app.api import world
from tests.app.api.calling import Caller


@pytest.fixture
def breaking(app: Flask) -> Iterator[Callable[[Exception], None]]:
    """Let `GET /api/v1/agents` raise an exception of the test's choice."""
    endpoint = "api.list_agents"
    before = app.view_functions[endpoint]

    def with_(error: Exception) -> None:
        def broken(**_: object) -> object:
            return errors.problem_for(error)

        app.view_functions[endpoint] = broken

    yield with_
    app.view_functions[endpoint] = before


def test_a_problem_has_all_its_members(owner: Caller) -> None:
    job_id = world.completed(owner.id)
    problem = owner.call("DELETE", f"/api/v1/jobs/{job_id}")

    assert problem.mimetype == "application/problem+json"
    assert problem.json == {
        "request_id": problem.headers["X-Request-Id"],
        "type": "/docs#problem-conflict",
        "title": "Conflict",
        "status": 409,
        "code": "conflict",
        "detail": "cannot cancel a job that is completed",
        "instance": f"/api/v1/jobs/{job_id}",
        "allowed_actions": ["replay"],
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (psycopg2.OperationalError("secret host"), 503, "unavailable"),
        (PoolTimeout("secret host"), 503, "unavailable"),
        (Unavailable("broken", retry_after=7), 503, "unavailable"),
        (Conflict("no"), 409, "conflict"),
        (Invalid("no"), 422, "invalid"),
        (psycopg2.DataError("secret value"), 422, "invalid"),
        (RuntimeError("secret words"), 500, "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_answer_and_none_tells_secrets(
    error: Exception, status: int, code: str, breaking: Callable[[Exception], None], app: Flask
) -> None:
    breaking(error)
    answer = app.test_client().get("/api/v1/agents")

    assert answer.json is not None
    assert (answer.status_code, answer.json["status"], answer.json["code"]) == (status, status, code)
    assert "secret" not in answer.get_data(as_text=True)
    assert (answer.headers.get("Retry-After") is not None) == (status == 503)


def test_an_unknown_path_and_a_wrong_method_are_problems_too(owner: Caller) -> None:
    missing, wrong = owner.get("/api/v1/nothing"), owner.call("PUT", "/api/v1/jobs")

    assert missing.json is not None
    assert wrong.json is not None
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(wrong.headers["Allow"].split(", "))


def test_raising_rolls_back_what_was_done_before(admin: Caller, owner: Caller) -> None:
    dead = world.letter(owner.id)
    path = f"/api/v1/dlq/tasks/{dead}/resubmit"
    assert admin.post(path).status_code == 200
    before = _jobs()

    assert admin.post(path).status_code == 409  # raised after the new job was inserted
    assert _jobs() == before


def _jobs() -> int:
    with db.quick():
        return int(db.value("SELECT count(*) FROM jobs"))
