from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from tests.app.api.calling import Caller
from tests.app.api.test_budgets import body, wrong

POLICIES = "/api/v1/approval-policies"
WISH = {"name": "Publishing", "agents": ["test-echo"], "effects": ["publish"], "over_usd": 5}


def test_make_look_replace_delete(admin: Caller) -> None:
    made = body(admin.post(POLICIES, json=WISH), 201)
    assert (made["approvers"], made["on_timeout"], made["enabled"]) == (["admin"], "reject", True)
    assert (made["agents"], made["effects"], made["over_usd"]) == (["test-echo"], ["publish"], 5)
    assert made["created_by"] == admin.id
    path = f"{POLICIES}/{made['policy_id']}"
    assert body(admin.get(path)) == made
    assert body(admin.get(POLICIES)) == {"policies": [made], "total": 1}

    changed = body(admin.call("PUT", path, json={"name": "Everything", "enabled": False}))
    assert (changed["name"], changed["agents"], changed["over_usd"]) == ("Everything", [], None)
    assert (changed["enabled"], changed["policy_id"]) == (False, made["policy_id"])

    assert admin.call("DELETE", path).status_code == 204
    assert admin.get(path).status_code == 404
    assert admin.call("PUT", path, json=WISH).status_code == 404
    with db.quick():
        told = db.rows("SELECT action, actor FROM audit_log WHERE action LIKE 'policy.%%' ORDER BY id")
    assert [row["action"] for row in told] == ["policy.created", "policy.changed", "policy.deleted"]
    assert {row["actor"] for row in told} == {admin.id}


def test_a_name_is_taken_once(admin: Caller) -> None:
    body(admin.post(POLICIES, json=WISH), 201)
    other = body(admin.post(POLICIES, json={"name": "Another"}), 201)

    assert admin.post(POLICIES, json=WISH).status_code == 409
    assert admin.call("PUT", f"{POLICIES}/{other['policy_id']}", json=WISH).status_code == 409


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"name": ""}, ["/name"]),
        ({"agents": ["nobody"], "teams": ["NOBODY"]}, ["/agents/0", "/teams/0"]),
        ({"effects": ["Not so fast!"]}, ["/effects/0"]),
        ({"over_usd": 0}, ["/over_usd"]),
        ({"approvers": ["me"]}, ["/approvers/0"]),
        ({"deadline_minutes": 0}, ["/deadline_minutes"]),
        ({"escalate_minutes": 5}, ["/escalate_to"]),
        ({"on_timeout": "shrug"}, ["/on_timeout"]),
        ({"surprise": 1}, ["/surprise"]),
    ],
)
def test_what_makes_no_sense(admin: Caller, change: dict[str, Any], pointers: list[str]) -> None:
    assert wrong(admin.post(POLICIES, json=WISH | change)) == pointers


def test_an_agent_says_its_effects(admin: Caller) -> None:
    from tests import acting

    with db.transaction():
        acting.agent("test-effective", effects=["publish", "send"])
    assert body(admin.get("/api/v1/agents/test-effective"))["effects"] == ["publish", "send"]
