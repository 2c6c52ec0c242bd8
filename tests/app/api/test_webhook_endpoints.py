from __future__ import annotations

from typing import Any

import pytest

from app.db import db
from app.notify import endpoints, rules, setup
from app.notify.setup import Setup
from tests.app.api.calling import Caller
from tests.app.notify.telling import only, sent, tell

ENDPOINTS = "/api/v1/webhook-endpoints"
RULES = "/api/v1/notify-rules"
CHANNELS = "/api/v1/notify-channels"
SECRET = "/api/v1/callback-secret"
JOBS = "/api/v1/jobs"
WISH = {"url": "https://a.example/in", "events": ["job.*"], "description": "Mine"}


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def wrong(answer: Any) -> list[tuple[str, str]]:
    return [(error["pointer"], error["message"]) for error in body(answer, 422)["errors"]]


def make(caller: Caller, **more: Any) -> dict[str, Any]:
    return body(caller.post(ENDPOINTS, json=WISH | more), 201)


def actions() -> list[str]:
    with db.quick():
        return [
            row["action"]
            for row in db.rows("SELECT action FROM audit_log ORDER BY id")
            if "user" not in row["action"]
        ]


class TestEndpoints:
    def test_the_secret_is_shown_once(self, owner: Caller, admin: Caller) -> None:
        made = make(owner)
        secret = made.pop("secret")
        path = f"{ENDPOINTS}/{made['endpoint_id']}"

        assert secret.startswith("whsec_")
        assert (made["url"], made["events"], made["owner"], made["enabled"]) == (
            WISH["url"],
            ["job.*"],
            owner.id,
            True,
        )
        assert body(owner.get(path)) == made
        assert body(owner.get(ENDPOINTS))["endpoints"] == [made]
        for answer in (owner.get(path), owner.get(ENDPOINTS), admin.get(ENDPOINTS)):
            assert "whsec_" not in answer.get_data(as_text=True)
        with db.quick():
            assert "whsec_" not in str(db.rows("SELECT * FROM audit_log"))

    def test_rotating_gives_a_new_one_and_the_old_one_a_day(self, owner: Caller) -> None:
        made = make(owner)
        fresh = body(owner.post(f"{ENDPOINTS}/{made['endpoint_id']}/rotate"))

        assert fresh["secret"].startswith("whsec_")
        assert fresh["secret"] != made["secret"]
        assert fresh["previous_until"] is not None
        assert made["previous_until"] is None

    def test_changing_and_deleting(self, owner: Caller) -> None:
        path = f"{ENDPOINTS}/{make(owner)['endpoint_id']}"

        changed = body(owner.call("PATCH", path, json={"events": [], "enabled": False, "description": None}))
        assert (changed["events"], changed["enabled"], changed["description"]) == ([], False, None)
        assert changed["url"] == WISH["url"]
        assert owner.call("DELETE", path).status_code == 204
        assert owner.get(path).status_code == 404
        assert actions()[-3:] == ["endpoint.created", "endpoint.changed", "endpoint.deleted"]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"url": "ftp://a.example/"}, "/url"),
            ({"url": "http://127.0.0.1/"}, "/url"),
            ({"url": "https://u:p@a.example/"}, "/url"),
            ({"events": ["job.done"]}, "/events/0"),
            ({"events": ["*", "nothing.*"]}, "/events/1"),
        ],
    )
    def test_what_does_not_fit(self, owner: Caller, change: dict[str, Any], pointer: str) -> None:
        path = f"{ENDPOINTS}/{make(owner)['endpoint_id']}"
        for answer in (owner.post(ENDPOINTS, json=WISH | change), owner.call("PATCH", path, json=change)):
            assert [place for place, _ in wrong(answer)] == [pointer]
        assert len(body(owner.get(ENDPOINTS))["endpoints"]) == 1

    def test_there_can_be_so_many(
        self, owner: Caller, other: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endpoints, "MOST_PER_OWNER", 2)
        make(owner), make(owner)
        assert owner.post(ENDPOINTS, json=WISH).status_code == 409
        make(other)

    def test_a_test_is_one_delivery(self, owner: Caller) -> None:
        made = make(owner)
        told = body(owner.post(f"{ENDPOINTS}/{made['endpoint_id']}/test"), 202)

        row = only()
        assert (str(row["delivery_id"]), row["event"], row["target"]) == (
            told["delivery_id"],
            "test",
            WISH["url"],
        )
        assert body(owner.get(f"/api/v1/deliveries/{told['delivery_id']}"))["status"] == "pending"

    def test_others_do_not_exist(self, owner: Caller, other: Caller, admin: Caller) -> None:
        path = f"{ENDPOINTS}/{make(owner)['endpoint_id']}"
        for method, tail in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/rotate"),
            ("POST", "/test"),
        ):
            more = {"json": {"enabled": False}} if method == "PATCH" else {}
            assert other.call(method, path + tail, **more).status_code == 404
        assert body(other.get(ENDPOINTS))["endpoints"] == []
        assert body(admin.get(path))["owner"] == owner.id


class TestCallbackSecret:
    def test_it_is_made_once_and_changed_on_wish(self, owner: Caller, other: Caller) -> None:
        first = body(owner.get(SECRET))["secret"]
        assert first.startswith("whsec_")
        assert body(owner.get(SECRET))["secret"] == first
        assert body(other.get(SECRET))["secret"] != first

        second = body(owner.post(f"{SECRET}/rotate"))["secret"]
        assert second != first
        assert body(owner.get(SECRET))["secret"] == second
        assert actions()[-1] == "callback_secret.rotated"

    def test_a_key_that_only_reads_does_not_see_it(self, make_caller: Any) -> None:
        reader = make_caller("reader", "user", scopes=frozenset({"read"}))
        assert reader.get(SECRET).status_code == 403


class TestRules:
    def test_make_change_delete(self, admin: Caller) -> None:
        wish = {"event": "dead_letter", "channel": "email", "target": "ops@example.org", "agent_id": "writer"}
        made = body(admin.post(RULES, json=wish), 201)
        path = f"{RULES}/{made['rule_id']}"
        assert body(admin.get(path)) == made
        assert body(admin.get(RULES)) == {"rules": [made], "total": 1}

        changed = body(admin.call("PATCH", path, json={"event": "*", "agent_id": None}))
        assert (changed["event"], changed["agent_id"], changed["target"]) == ("*", None, "ops@example.org")
        tell(audience="somebody")
        assert [row["target"] for row in sent()] == ["ops@example.org"]
        assert admin.call("DELETE", path).status_code == 204
        assert admin.get(path).status_code == 404
        assert actions()[-3:] == ["rule.created", "rule.changed", "rule.deleted"]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"event": "nothing"}, "/event"),
            ({"target": "ops"}, "/target"),
            ({"channel": "chat", "target": "nowhere"}, "/target"),
            ({"channel": "webhook"}, "/channel"),
        ],
    )
    def test_what_does_not_fit(self, admin: Caller, change: dict[str, str], pointer: str) -> None:
        wish = {"event": "*", "channel": "email", "target": "ops@example.org"} | change
        assert [place for place, _ in wrong(admin.post(RULES, json=wish))] == [pointer]


class TestChannels:
    def test_what_is_configured_is_shown_without_secrets(self, admin: Caller, configure: Any) -> None:
        configure(smtp_host="", slack_webhook_url="", notify_channels=())
        assert body(admin.get(CHANNELS))["channels"] == [
            {"name": "email", "channel": "email", "configured": False, "missing": "SMTP_HOST"},
            {"name": "slack", "channel": "chat", "configured": False, "missing": "SLACK_WEBHOOK_URL"},
        ]
        configure(
            smtp_host="mail.example",
            smtp_from="cb@example.org",
            smtp_password="hush",
            slack_webhook_url="https://hooks.slack.com/services/T/B/hush",
            notify_channels=(("team", "discord://1/hush"),),
            alert_emails=("ops@example.org",),
        )
        answer = admin.get(CHANNELS)
        told = body(answer)
        assert [(row["name"], row["configured"]) for row in told["channels"]] == [
            ("email", True),
            ("slack", True),
            ("team", True),
        ]
        assert told["alert_emails"] == ["ops@example.org"]
        assert "hush" not in answer.get_data(as_text=True)

    def test_a_test_goes_to_whoever_asks_or_where_they_say(
        self, admin: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(setup, "_setup", Setup(channels=("team",)))
        body(admin.post(f"{CHANNELS}/email/test"), 202)
        body(admin.post(f"{CHANNELS}/email/test", json={"to": "ops@example.org"}), 202)
        body(admin.post(f"{CHANNELS}/team/test"), 202)

        assert [(row["channel"], row["target"]) for row in sent()] == [
            ("email", "admin@example.org"),
            ("email", "ops@example.org"),
            ("chat", "team"),
        ]

    def test_what_is_not_there(self, admin: Caller) -> None:
        assert admin.post(f"{CHANNELS}/nowhere/test").status_code == 404
        assert [place for place, _ in wrong(admin.post(f"{CHANNELS}/email/test", json={"to": "nobody"}))] == [
            "/to"
        ]


class TestJobs:
    def notify(self, answer: Any) -> Any:
        name = body(answer, 201)["job_id"]
        with db.quick():
            return db.value("SELECT notify FROM jobs WHERE job_id = %(id)s", id=name)

    @pytest.mark.parametrize(
        ("asked", "kept"),
        [
            ({}, None),
            ({"callback_url": "https://a.example/done"}, {"callback_url": "https://a.example/done"}),
            ({"notify_on_completion": True}, {"email": None}),
            (
                {"notification_email": "a@example.org", "callback_url": "http://a.example:8080/"},
                {"email": "a@example.org", "callback_url": "http://a.example:8080/"},
            ),
        ],
    )
    def test_who_is_told_is_kept_with_the_job(self, owner: Caller, asked: dict[str, Any], kept: Any) -> None:
        assert self.notify(owner.post(JOBS, json={"agent_id": "test-echo"} | asked)) == kept

    @pytest.mark.parametrize(
        ("asked", "where", "words"),
        [
            (
                {"callback_url": "http://10.0.0.1/"},
                "/callback_url",
                "is not an address of the public internet",
            ),
            (
                {"callback_url": "javascript:alert(1)"},
                "/callback_url",
                "must begin with https:// or http:// and name a host",
            ),
            (
                {"callback_url": "https://u:p@a.example/"},
                "/callback_url",
                "must not carry a user or a password",
            ),
            (
                {"notification_email": "nobody"},
                "/notification_email",
                "is no mail address; write name@example.com",
            ),
        ],
    )
    def test_what_cannot_be_told_is_refused_at_once(
        self, owner: Caller, asked: dict[str, Any], where: str, words: str
    ) -> None:
        wish = {"agent_id": "test-echo"} | asked
        assert wrong(owner.post(JOBS, json=wish)) == [(where, words)]

        bulk = body(owner.post(f"{JOBS}/bulk", json={"tasks": [wish, {"agent_id": "test-echo"}]}), 207)
        assert [error["pointer"] for error in bulk["results"][0]["error"]["errors"]] == [where]
        assert bulk["accepted"] == 1


def test_rules_are_for_admins(owner: Caller) -> None:
    with db.transaction():
        made = rules.create(event="*", channel="email", target="ops@example.org", by="root")
    for method, path in (("GET", RULES), ("GET", f"{RULES}/{made['rule_id']}"), ("GET", CHANNELS)):
        assert owner.call(method, path).status_code == 403
