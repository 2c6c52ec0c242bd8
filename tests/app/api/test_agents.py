from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from tests.app.api.calling import Caller

AGENTS = "/api/v1/agents"


def body(answer: Any) -> dict[str, Any]:
    assert answer.json is not None, answer.data
    return dict(answer.json)


def test_agents_are_listed_with_what_they_take(owner: Caller) -> None:
    listed = body(owner.get(AGENTS))
    echo = next(agent for agent in listed["agents"] if agent["agent_id"] == "test-echo")

    assert listed["total"] == len(listed["agents"]) >= 7
    assert set(echo["schema"]["properties"]) == {"n", "text", "secret"}
    assert echo == body(owner.get(f"{AGENTS}/test-echo")) == body(owner.get(f"{AGENTS}/Test_Echo"))


def test_the_documents_path_answers_the_same(owner: Caller) -> None:
    assert body(owner.get("/api/agents")) == body(owner.get(AGENTS))


def test_a_team_can_be_chosen(owner: Caller) -> None:
    team = body(owner.get(f"{AGENTS}/test-echo"))["team"]

    assert body(owner.get(f"{AGENTS}?team={team}"))["total"] >= 7
    assert body(owner.get(f"{AGENTS}?team=NOBODY")) == {"agents": [], "total": 0}


def test_a_schema_that_is_known_is_not_sent_again(owner: Caller) -> None:
    first = owner.get(f"{AGENTS}/test-echo/schema")
    again = owner.get(f"{AGENTS}/test-echo/schema", headers={"If-None-Match": first.headers["ETag"]})

    assert body(first)["schema"]["type"] == "object"
    assert again.status_code == 304


def test_health_and_docs_are_told(owner: Caller) -> None:
    assert body(owner.get(f"{AGENTS}/test-echo/health"))["status"] == "unavailable"
    assert body(owner.get(f"{AGENTS}/test-echo/docs"))["instructions"] == "Only for tests."


def test_limits_change_where_given_and_stay_where_not(admin: Caller) -> None:
    path = f"{AGENTS}/test-limited"
    changed = body(admin.call("PATCH", path, json={"rate_limit": "10/minute"}))
    assert (changed["max_concurrent_tasks"], changed["rate_limit"]) == (2, "10/minute")

    lifted = body(admin.call("PATCH", path, json={"max_concurrent_tasks": None, "rate_limit": None}))
    assert (lifted["max_concurrent_tasks"], lifted["rate_limit"], lifted["enabled"]) == (None, None, True)


def test_an_agent_is_switched_off_and_on(admin: Caller) -> None:
    path = f"{AGENTS}/test-echo"

    assert [body(admin.call("PATCH", path, json={"enabled": on}))["enabled"] for on in (False, True)] == [
        False,
        True,
    ]


def test_changes_are_audited(admin: Caller) -> None:
    admin.call("PATCH", f"{AGENTS}/test-echo", json={"enabled": True})

    with db.quick():
        entry = db.row("SELECT actor, subject, details FROM audit_log WHERE action = 'agent.configured'")
    assert entry == {"actor": admin.id, "subject": "test-echo", "details": {"enabled": True}}


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"max_concurrent_tasks": 0}, "/max_concurrent_tasks"),
        ({"rate_limit": "0/minute"}, "/rate_limit"),
        ({"rate_limit": "often"}, "/rate_limit"),
        ({"enabled": None}, "/enabled"),
        ({"schema": {}}, "/schema"),
        ({"version": "x"}, "/version"),
    ],
)
def test_limits_that_cannot_be_are_refused(patch: dict[str, Any], pointer: str, admin: Caller) -> None:
    answer = admin.call("PATCH", f"{AGENTS}/test-echo", json=patch)

    assert (answer.status_code, body(answer)["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize("tail", ["", "/schema", "/health", "/docs"])
def test_an_agent_that_is_not_there_is_not_found(tail: str, owner: Caller) -> None:
    assert owner.get(f"{AGENTS}/nobody{tail}").status_code == 404
