"""The token of a running job: good for its own tree and nothing else, and only while that very attempt runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.accounts import run_tokens, tokens, users
from app.accounts.permissions import OF_A_RUN
from app.api.glue import OPERATIONS
from app.db import db
from app.jobs import lifecycle
from app.jobs.claims import Claim
from app.sessions import changes as sessions
from tests import acting
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.app.api.test_access import MATRIX, _fill, _place


@pytest.fixture
def claim(owner: Caller) -> Claim:
    """A running job of the owner, whose agent may delegate to the echo agent."""
    with db.transaction():
        acting.agent("boss", delegation={"to": ["test-echo"]}, budget={"usd": 1.0})
    return world.running(owner.id, agent_id="boss")


@pytest.fixture
def agent(app: Flask, claim: Claim, owner: Caller) -> Caller:
    """Whoever has the token of that attempt."""
    return holder(app, claim, owner)


def holder(app: Flask, claim: Claim, owner: Caller, **other: Any) -> Caller:
    key, life = app.config["CALLBOARD"].token_keys[0], timedelta(minutes=5)
    told = {
        "job_id": claim.job_id,
        "fence": claim.fence,
        "user_id": owner.id,
        "key": key,
        "life": life,
    } | other
    return replace(
        owner, key=run_tokens.issue(told.pop("job_id"), told.pop("fence"), told.pop("user_id"), **told)
    )


def child_of(agent: Caller, **headers: str) -> dict[str, Any]:
    body = {"agent_id": "test-echo", "parameters": {"text": "hello"}}
    answer = agent.post("/api/v1/jobs", json=body, headers=headers)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def test_a_submission_with_it_is_a_child(agent: Caller, claim: Claim, owner: Caller) -> None:
    child = child_of(agent)
    shown = agent.get(f"/api/v1/jobs/{child['job_id']}").json
    assert (shown["parent_job_id"], shown["depth"], shown["submitted_by"]) == (claim.job_id, 1, owner.id)
    assert shown["options"]["budget"] == {"usd": 0.5}
    tree = agent.get(f"/api/v1/jobs/{claim.job_id}/tree").json
    assert [each["job_id"] for each in tree["children"]] == [child["job_id"]]
    assert agent.call("DELETE", f"/api/v1/jobs/{child['job_id']}").json["status"] == "cancelled"


def test_a_child_that_may_not_be_is_refused_with_the_place(agent: Caller) -> None:
    answer = agent.post("/api/v1/jobs", json={"agent_id": "boss", "parameters": {}})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/agent_id"


def test_under_one_key_there_is_one_child_also_for_the_next_attempt(
    app: Flask, agent: Caller, claim: Claim, owner: Caller
) -> None:
    first = child_of(agent, **{"Idempotency-Key": "report"})
    with db.transaction():
        lifecycle.cancel(first["job_id"])
        db.run("DELETE FROM idempotency_keys")  # as after a day
        lifecycle.release(claim)
        again = acting.claim()
    assert again is not None
    assert child_of(holder(app, again, owner), **{"Idempotency-Key": "report"})["job_id"] == first["job_id"]


def test_a_key_of_the_owner_is_not_a_key_of_the_job(agent: Caller, owner: Caller) -> None:
    mine = child_of(owner, **{"Idempotency-Key": "report"})
    assert child_of(agent, **{"Idempotency-Key": "report"})["job_id"] != mine["job_id"]


def test_jobs_of_its_owner_outside_its_tree_are_not_there(agent: Caller, owner: Caller) -> None:
    stranger = world.submitted(owner.id)
    for path in ("", "/status", "/logs", "/tree"):
        assert agent.get(f"/api/v1/jobs/{stranger}{path}").status_code == 404
    assert agent.call("DELETE", f"/api/v1/jobs/{stranger}").status_code == 404
    assert agent.get("/api/v1/jobs/no-id").status_code == 404


def test_a_job_does_not_cancel_itself(agent: Caller, claim: Claim) -> None:
    answer = agent.call("DELETE", f"/api/v1/jobs/{claim.job_id}")
    assert answer.status_code == 403
    assert "let its agent end" in answer.json["detail"]


def test_of_sessions_it_reaches_its_own(app: Flask, owner: Caller) -> None:
    with db.transaction():
        acting.agent("boss", delegation={"to": ["test-echo"]})
        for session_id in ("ours", "theirs"):
            sessions.create(session_id, who=owner.principal)
    agent = holder(app, world.running(owner.id, agent_id="boss", session_id="ours"), owner)
    memory = {"key": "k", "content": "x"}
    assert agent.post("/api/v1/sessions/ours/memories", json=memory).status_code == 201
    assert agent.get("/api/v1/sessions/ours").status_code == 200
    assert agent.get("/api/v1/sessions/theirs").status_code == 404
    assert agent.post("/api/v1/sessions/theirs/memories", json=memory).status_code == 404
    child = child_of(agent)
    assert agent.get(f"/api/v1/jobs/{child['job_id']}").json["session_id"] == "ours"


def test_everything_else_is_forbidden_and_says_why(agent: Caller, owner: Caller, app: Flask) -> None:
    refused = 0
    for operation in OPERATIONS:
        if operation.verb is None or operation.name in OF_A_RUN:
            continue
        path, body, _ = MATRIX[operation.name]
        more = {} if body is None else {"json": _fill(body, {"fresh": "u"})}
        answer = agent.call(operation.method, _place(path, owner, app), **more)
        assert answer.status_code == 403, operation.name
        refused += 1
    assert refused > 100
    assert {operation.name for operation in OPERATIONS} >= OF_A_RUN


def test_an_admins_agent_is_no_admin(app: Flask, admin: Caller) -> None:
    with db.transaction():
        acting.agent("boss", delegation={"to": ["test-echo"]}, budget={"usd": 1.0})
        acting.agent("test-echo-dear", budget={"usd": 0.1})
    agent = holder(app, world.running(admin.id, agent_id="boss"), admin)
    assert agent.get("/api/v1/audit").status_code == 403
    assert agent.get("/api/v1/agents").status_code == 200


def test_it_is_worth_nothing_once_the_attempt_is_over(
    app: Flask, agent: Caller, claim: Claim, owner: Caller
) -> None:
    assert agent.get("/api/v1/agents").status_code == 200
    with db.transaction():  # its worker is killed, and another one takes the job
        db.run(
            "UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE job_id = %(job)s",
            job=claim.job_id,
        )
    assert agent.get("/api/v1/agents").status_code == 401
    with db.transaction():
        lifecycle.rescue(10, max_lost=3, backoff_seconds=0)
    with db.transaction():
        again = acting.claim()
    assert again is not None
    assert again.job_id == claim.job_id
    assert agent.get("/api/v1/agents").status_code == 401
    assert holder(app, again, owner).get("/api/v1/agents").status_code == 200
    with db.transaction():
        lifecycle.complete(again, {"ok": True})
    assert holder(app, again, owner).get("/api/v1/agents").status_code == 401


def test_nor_once_the_job_is_cancelled_or_its_owner_may_not_sign_in(
    app: Flask, agent: Caller, claim: Claim, owner: Caller
) -> None:
    with db.transaction():
        users.change(owner.id, enabled=False, actor="test")
    assert agent.get("/api/v1/agents").status_code == 401
    with db.transaction():
        users.change(owner.id, enabled=True, actor="test")
        lifecycle.cancel(claim.job_id)
    assert agent.get("/api/v1/agents").status_code == 401


def test_forged_expired_and_foreign_ones_are_refused(
    app: Flask, claim: Claim, owner: Caller, other: Caller
) -> None:
    for bad in (
        {"key": "another key of more than thirty-two letters"},
        {"life": timedelta(seconds=-1)},
        {"fence": claim.fence + 1},
        {"user_id": other.id},
        {"job_id": world.submitted(owner.id)},
    ):
        assert holder(app, claim, owner, **bad).get("/api/v1/agents").status_code == 401, bad


def test_no_kind_of_token_passes_for_the_other(agent: Caller) -> None:
    key = "a key of more than thirty-two characters"
    run = run_tokens.issue(world.NOTHING, 1, world.NOTHING, key=key, life=timedelta(minutes=1))
    mine = tokens.Claims(user_id=world.NOTHING, session_id=world.NOTHING, token_version=1)
    access = tokens.issue(mine, key=key, life=timedelta(minutes=1))
    assert tokens.read(run, keys=(key,)) is None
    assert run_tokens.read(access, keys=(key,)) is None
    assert run_tokens.read(run, keys=("x" * 32, key)) == run_tokens.Run(
        job_id=world.NOTHING, fence=1, user_id=world.NOTHING
    )
