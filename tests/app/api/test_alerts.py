"""Alerts by the API: what is told, who may do something about it, and what is written down of that."""

from __future__ import annotations

from typing import Any

import pytest

from app.alerts.rules import RULES
from app.db import db
from tests.app.api import world
from tests.app.api.calling import Caller

ALERTS, RULE = "/api/v1/alerts", "/api/v1/alert-rules/backlog"


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def audited() -> list[tuple[str, Any]]:
    with db.quick():
        rows = db.rows("SELECT action, details FROM audit_log WHERE action LIKE 'alert%%' ORDER BY id")
    return [(row["action"], row["details"]) for row in rows]


def test_what_is_active_what_is_over_and_nothing_that_is_only_suspected(admin: Caller) -> None:
    world.alert("backlog", "general")
    world.alert("job_failures", "", severity="critical")
    world.alert("backlog", "testing", resolved=True)
    world.alert("slow_query", "server", raised=False)

    active = body(admin.get(ALERTS))
    assert [(each["rule"], each["subject"]) for each in active["alerts"]] == [
        ("job_failures", ""),
        ("backlog", "general"),
    ]
    assert active["alerts"][1]["title"] == "A queue grows long"
    assert body(admin.get(f"{ALERTS}?state=resolved"))["alerts"][0]["state"] == "resolved"
    assert body(admin.get(f"{ALERTS}?state=all"))["total"] == 3
    assert body(admin.get(f"{ALERTS}?state=all&limit=1"))["total"] == 1
    assert admin.get(f"{ALERTS}?state=open").status_code == 400


def test_one_is_acknowledged_once_and_by_whom_is_written_down(admin: Caller) -> None:
    alert_id = world.alert("backlog", "general")
    seen = body(admin.post(f"{ALERTS}/{alert_id}/acknowledge"))
    assert (seen["state"], seen["acknowledged_by"]) == ("acknowledged", admin.id)
    assert body(admin.post(f"{ALERTS}/{alert_id}/acknowledge"))["acknowledged_at"] == seen["acknowledged_at"]
    assert audited()[0] == ("alert.acknowledged", {"rule": "backlog", "of": "general"})
    over = world.alert("backlog", "testing", resolved=True)
    assert admin.post(f"{ALERTS}/{over}/acknowledge").status_code == 409
    assert admin.post(f"{ALERTS}/{world.NOTHING}/acknowledge").status_code == 404


def test_every_rule_is_told_with_what_is_in_force(admin: Caller) -> None:
    world.alert("backlog", "general")
    told = body(admin.get("/api/v1/alert-rules"))
    assert [each["rule"] for each in told["rules"]] == [rule.name for rule in RULES]
    assert {each["rule"]: each["active"] for each in told["rules"] if each["active"]} == {"backlog": 1}


def test_a_rule_is_switched_off_and_on_and_gets_a_threshold(admin: Caller) -> None:
    world.alert("backlog", "general")
    assert body(admin.call("PATCH", RULE, json={"enabled": False}))["enabled"] is False
    assert body(admin.get(ALERTS))["total"] == 0
    changed = body(admin.call("PATCH", RULE, json={"enabled": True, "threshold": 20}))
    assert (changed["threshold"], changed["usual_threshold"], changed["updated_by"]) == (20, 1000, admin.id)
    assert body(admin.call("PATCH", RULE, json={}))["threshold"] == 20
    assert body(admin.call("PATCH", RULE, json={"threshold": None}))["threshold"] == 1000
    assert audited()[1] == ("alert_rule.changed", {"enabled": True, "threshold": 20})


@pytest.mark.parametrize(
    "wish", [{"threshold": -1}, {"threshold": 5000}, {"threshold": "x"}, {"enabled": "perhaps"}, {"hold": 5}]
)
def test_what_makes_no_sense_is_refused(wish: dict[str, Any], admin: Caller) -> None:
    assert admin.call("PATCH", RULE, json=wish).status_code == 422
    assert audited() == []


def test_a_rule_that_there_is_not(admin: Caller) -> None:
    assert admin.call("PATCH", "/api/v1/alert-rules/nothing", json={"enabled": False}).status_code == 404


def test_prometheus_gets_every_rule(viewer: Caller) -> None:
    world.alert("backlog", "general")
    world.alert("backlog", "testing")
    lines = viewer.get("/metrics").text.splitlines()
    assert 'callboard_alerts{rule="backlog",severity="warning"} 2.0' in lines
    assert 'callboard_alerts{rule="job_failures",severity="critical"} 0.0' in lines
