"""The audit by the API: what is listed, for whom, and that every main change leaves its entry."""

from __future__ import annotations

from typing import Any

import pytest

from actors import auditor
from app.api import access as door
from app.db import db
from app.settings import Settings
from tests.app.api import world
from tests.app.api.calling import Caller
from tests.app.api.conftest import PASSWORD
from tests.app.audit.tampering import behind_its_back, written

AUDIT = "/api/v1/audit"


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def test_an_entry_has_the_documented_fields(admin: Caller) -> None:
    agent = {"User-Agent": "a robot", "X-Request-Id": "trace-7"}
    made = body(
        admin.post(
            "/api/v1/jobs",
            json={"agent_id": "test-noop", "parameters": {"secret": "hunter2"}, "priority": "high"},
            headers=agent,
        ),
        201,
    )

    (entry,) = body(admin.get(f"{AUDIT}?action=job.submitted"))["entries"]

    assert "hunter2" not in str(entry)
    assert entry["details"]["parameters"] == ["secret"]
    wanted = {
        "event_type": "job.submitted",
        "user_id": admin.id,
        "subject": made["job_id"],
        "task_id": made["job_id"],
        "agent_id": "test-noop",
        "priority": "high",
        "ip_address": "127.0.0.1",
        "user_agent": "a robot",
        "correlation_id": "trace-7",
        "position": None,
        "digest": None,
    }
    assert {name: entry[name] for name in wanted} == wanted


def test_it_is_narrowed_and_read_page_by_page(admin: Caller) -> None:
    with db.transaction():
        written(5, actor="ada")
        written(2, actor="eve")
    everything = body(admin.get(f"{AUDIT}?action=job.*&limit=200"))["entries"]
    assert len(everything) == 7
    seen: list[int] = []
    cursor = ""
    for _ in range(4):
        page = body(admin.get(f"{AUDIT}?action=job.cancelled&limit=2{cursor}"))
        assert page["total"] == 7
        seen += [entry["id"] for entry in page["entries"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [entry["id"] for entry in everything]
    assert page["next_cursor"] is None

    def count(query: str) -> int:
        return int(body(admin.get(f"{AUDIT}?action=job.*&{query}"))["total"])

    assert (count("actor=eve"), count("subject=job-5"), count("q=zürich"), count("q=100%25")) == (2, 1, 7, 0)
    assert (count("until=2020-01-01T00:00:00Z"), count("since=2020-01-01T00:00:00Z")) == (0, 7)
    assert count("correlation_id=none") == 0


@pytest.mark.parametrize("cursor", ["x", "1", "1.", ".1", "1.1.1", "99999999999999999999.1", "-1.1", "²³.1"])
def test_a_cursor_that_is_none_is_refused(admin: Caller, cursor: str) -> None:
    assert admin.get(AUDIT, query_string={"cursor": cursor}).status_code == 400


def test_whether_it_is_as_it_was_written(admin: Caller) -> None:
    assert body(admin.get(f"{AUDIT}/verify"))["head"] == 0
    with db.transaction():
        ids = written(3)
    auditor.seal(Settings())
    auditor.verify_daily()

    sound = body(admin.get(f"{AUDIT}/verify"))
    assert (sound["ok"], sound["checked"] >= 3, sound["last_whole"]["ok"]) == (True, True, True)
    assert sound["anchor"].startswith(f"{sound['head']}:")
    with db.transaction():
        behind_its_back("UPDATE audit_log SET actor = 'eve' WHERE id = %(id)s", id=ids[1])

    broken = body(admin.get(f"{AUDIT}/verify"))
    assert broken["ok"] is False
    assert (broken["breaks"][0]["kind"], broken["breaks"][0]["entry"]) == ("changed", ids[1])


def test_calls_are_counted_by_who_made_them(admin: Caller, owner: Caller) -> None:
    door.write_down()
    with db.transaction():
        db.run("DELETE FROM api_access")
    for _ in range(3):
        owner.get("/api/v1/jobs")
    owner.get(AUDIT)
    door.write_down()

    found = body(admin.get(f"{AUDIT}/access?actor={owner.id}"))["access"]

    assert [(each["endpoint"], each["status"], each["count"]) for each in found] == [
        ("/api/v1/jobs", 200, 3),
        (AUDIT, 403, 1),
    ]
    assert found[0]["ip_address"] == "127.0.0.1"
    assert body(admin.get(f"{AUDIT}/access?status=403"))["total"] == 1
    assert body(admin.get(f"{AUDIT}/access?actor=nobody"))["total"] == 0


# What is changed by the API, and the entry that it leaves: method, path, body, action. What the path names is made first.
CHANGES: list[tuple[str, str, Any, str]] = [
    ("POST", "/api/v1/auth/login", {"email": "owner@example.org", "password": PASSWORD}, "auth.signed_in"),
    ("POST", "/api/v1/auth/login", {"email": "owner@example.org", "password": "wrong"}, "auth.failed"),
    ("POST", "/api/v1/auth/logout", None, "auth.signed_out"),
    ("POST", "/api/v1/jobs", {"agent_id": "test-noop", "parameters": {}}, "job.submitted"),
    ("POST", "/api/v1/jobs/bulk", {"tasks": [{"agent_id": "test-noop", "parameters": {}}]}, "job.submitted"),
    ("POST", "/api/v1/jobs/{waiting}/cancel", None, "job.cancelled"),
    ("PATCH", "/api/v1/jobs/{waiting}", {"priority": "low"}, "job.priority_changed"),
    ("POST", "/api/v1/jobs/{done}/retry", None, "job.retried"),
    ("POST", "/api/v1/jobs/{done}/replay", None, "job.replayed"),
    ("PATCH", "/api/v1/agents/test-noop", {"max_concurrent_tasks": 3}, "agent.configured"),
    ("POST", "/api/v1/queues/general/pause", {}, "queue.paused"),
    ("POST", "/api/v1/queues/general/resume", None, "queue.resumed"),
    ("POST", "/api/v1/api-keys", {"name": "robot"}, "api_key.created"),
    ("POST", "/api/v1/users", {"email": "new@example.org"}, "user.created"),
    ("PATCH", "/api/v1/users/{owner}", {"role": "viewer"}, "user.changed"),
    ("PATCH", "/api/v1/alert-rules/backlog", {"enabled": True}, "alert_rule.changed"),
    ("POST", "/api/v1/bulk-actions", {"subject": "jobs", "verb": "cancel", "ids": ["{waiting}"]}, "bulk_action.created"),
    ("PUT", "/api/v1/quality/gates/short", {"definition": {"title": "Short", "checks": [{"check": "length", "max_words": 9}]}}, "quality_gate.saved"),
    ("POST", "/api/v1/saved-views", {"name": "Mine", "filter": "status:failed"}, "view.saved"),
    ("POST", "/api/v1/callback-secret/rotate", None, "callback_secret.rotated"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "given", "action"), CHANGES, ids=[f"{c[0]} {c[1]} {c[3]}" for c in CHANGES]
)
def test_every_main_change_leaves_an_entry(
    admin: Caller, owner: Caller, method: str, path: str, given: Any, action: str
) -> None:
    waiting = world.submitted(admin.id) if "waiting" in f"{path}{given}" else ""
    done = world.completed(admin.id) if "done" in path else ""
    names = {"{waiting}": waiting, "{done}": done, "{owner}": owner.id}
    for name, value in names.items():
        path = path.replace(name, value)
        given = (
            {
                k: [value if v == name else v for v in x] if isinstance(x, list) else x
                for k, x in given.items()
            }
            if given
            else given
        )
    with db.transaction():
        before = db.value("SELECT coalesce(max(id), 0) FROM audit_log")

    answer = admin.call(method, path, json=given) if given is not None else admin.call(method, path)

    assert answer.status_code < 300 or action == "auth.failed", answer.data
    with db.quick():
        left = db.rows("SELECT action, actor, ip FROM audit_log WHERE id > %(id)s", id=before)
    entry = {"action": action, "ip": "127.0.0.1"}
    assert entry in [{name: row[name] for name in entry} for row in left], left
