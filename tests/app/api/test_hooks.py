"""Webhooks that come in, through the real door: signatures, rules, replay, and what is told to whom."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from app.db import db
from app.hooks import keeping
from app.secrets import keys, rotation, sealing
from tests import acting
from tests.app.api import flowing
from tests.app.api.calling import Caller
from tests.app.hooks.sending import ISSUES, PING, PULL_REQUEST, PUSH, by_github, by_standard, raw

HOOKS = "/api/v1/hooks"
ECHO = {
    "kind": "job",
    "agent_id": "test-echo",
    "parameters": {"text": "{{body.pull_request.title}}", "n": "{{body.number}}"},
    "tags": ["github", "{{event}}"],
    "priority": "high",
}
SECRET = "a secret of the tests, long"
SESSION_SECRET = "whsec_" + base64.b64encode(b"another secret of the tests").decode()


def body(answer: Any, status: int = 200) -> dict[str, Any]:
    assert (answer.status_code, answer.json is not None) == (status, True), answer.data
    return dict(answer.json)


def made(caller: Caller, slug: str = "repo", **more: Any) -> dict[str, Any]:
    return body(caller.post(HOOKS, json={"slug": slug, "secret": SECRET} | more), 201)


def ruled(caller: Caller, hook: dict[str, Any], action: dict[str, Any] = ECHO, **more: Any) -> dict[str, Any]:
    rule = {"name": "Say it", "events": ["pull_request.opened"], "action": action} | more
    return body(caller.post(f"{HOOKS}/{hook['hook_id']}/rules", json=rule), 201)


def send(
    caller: Caller,
    payload: Any,
    event: str = "pull_request",
    slug: str = "repo",
    secret: str = SECRET,
    **more: Any,
) -> Any:
    data = payload if isinstance(payload, bytes) else raw(payload)
    headers = by_github(secret, event, data, delivery=more.pop("delivery", None)) | more.pop("headers", {})
    return caller.post(more.pop("path", f"/hooks/{slug}"), data=data, headers=headers, **more)


def kept(caller: Caller, hook: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    path = f"{HOOKS}/{hook['hook_id']}/deliveries?{urlencode(query)}"
    return list(body(caller.get(path))["deliveries"])


def jobs() -> list[dict[str, Any]]:
    with db.quick():
        return db.rows(
            "SELECT job_id::text, submitted_by, parameters, tags, correlation_id, priority_rank FROM jobs ORDER BY job_id"
        )


def actions() -> list[str]:
    with db.quick():
        return [
            row["action"]
            for row in db.rows("SELECT action FROM audit_log WHERE action LIKE 'hook.%%' ORDER BY id")
        ]


class TestReceiving:
    def test_a_pull_request_becomes_a_job_of_the_hooks_owner(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        rule = ruled(owner, hook)

        said = body(send(nobody, PULL_REQUEST, delivery="d-1"), 202)

        (job,) = jobs()
        assert (said["event"], said["status"], said["duplicate"]) == ("pull_request.opened", "done", False)
        assert job["parameters"] == {"text": PULL_REQUEST["pull_request"]["title"], "n": 2}
        assert (job["submitted_by"], job["tags"]) == (owner.id, ["github", "pull_request.opened"])
        assert job["correlation_id"] == "hook:repo:d-1"
        (delivery,) = kept(owner, hook)
        assert delivery["results"] == [
            {"rule_id": rule["rule_id"], "name": "Say it", "job_id": job["job_id"]}
        ]
        whole = body(owner.get(f"{HOOKS}/{hook['hook_id']}/deliveries/{delivery['delivery_id']}"))
        assert whole["body"] == PULL_REQUEST
        assert whole["headers"]["x-github-event"] == "pull_request"

    def test_the_same_delivery_again_is_answered_with_the_first_and_counted(
        self, owner: Caller, nobody: Caller
    ) -> None:
        hook = made(owner)
        ruled(owner, hook)
        first = body(send(nobody, PULL_REQUEST, delivery="d-1"), 202)

        assert body(send(nobody, PULL_REQUEST, delivery="d-1")) == first | {"duplicate": True}
        assert len(jobs()) == 1
        assert [each["times_received"] for each in kept(owner, hook)] == [2]

    def test_the_same_delivery_many_times_at_once_is_one_job(
        self, owner: Caller, nobody: Caller, app: Flask
    ) -> None:
        hook = made(owner)
        ruled(owner, hook)

        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda _: send(nobody, PULL_REQUEST, delivery="d-1").status_code, range(8)))

        assert sorted(codes) == [200] * 7 + [202]
        assert len(jobs()) == 1
        assert [each["times_received"] for each in kept(owner, hook)] == [8]

    def test_a_ping_is_kept_and_runs_no_rule(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        ruled(owner, hook, {"kind": "job", "agent_id": "test-echo"}, events=["*"])

        said = body(send(nobody, PING, "ping"))

        assert (said["event"], said["status"]) == ("ping", "ignored")
        assert jobs() == []

    def test_a_form_is_signed_as_it_is_and_read(self, owner: Caller, nobody: Caller) -> None:
        ruled(owner, made(owner))
        form = urlencode({"payload": raw(PULL_REQUEST).decode()}).encode()

        said = send(nobody, form, headers={"Content-Type": "application/x-www-form-urlencoded"})

        assert body(said, 202)["status"] == "done"
        assert jobs()[0]["parameters"]["text"] == PULL_REQUEST["pull_request"]["title"]

    def test_what_came_is_never_read_for_placeholders(self, owner: Caller, nobody: Caller) -> None:
        ruled(
            owner, made(owner),
            {"kind": "job", "agent_id": "test-echo", "parameters": {"text": "{{body.pull_request.body}}"}},
        )  # fmt: skip
        send(nobody, PULL_REQUEST)

        assert jobs()[0]["parameters"]["text"] == PULL_REQUEST["pull_request"]["body"]

    def test_every_rule_that_fits_runs_and_one_that_fails_stops_no_other(
        self, owner: Caller, nobody: Caller
    ) -> None:
        hook = made(owner)
        ruled(owner, hook, ECHO | {"parameters": {"text": "{{body.nothing}}"}}, name="broken")
        ruled(owner, hook, ECHO | {"parameters": {"text": {"no": "text"}}}, name="unfit")
        ruled(
            owner,
            hook,
            name="not now",
            conditions=[{"path": "pull_request.draft", "is": "equals", "value": True}],
        )
        ruled(owner, hook, name="off", enabled=False)
        ruled(
            owner,
            hook,
            name="good",
            conditions=[{"path": "pull_request.base.ref", "is": "matches", "value": "^ma"}],
        )

        assert body(send(nobody, PULL_REQUEST), 202)["status"] == "failed"

        results = {each["name"]: each for each in kept(owner, hook)[0]["results"]}
        assert list(results) == ["broken", "unfit", "good"]
        assert "nothing" in results["broken"]["error"]
        assert results["unfit"]["error"]
        assert [job["job_id"] for job in jobs()] == [results["good"]["job_id"]]

    def test_a_workflow_and_a_session_can_come_of_it(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        template = flowing.template(owner.id)
        ruled(owner, hook, {"kind": "workflow", "template": template}, events=["issues"], name="flow")
        chunk = {"speaker": "{{body.issue.user.login}}", "text": "{{body.issue.title}}"}
        ruled(
            owner, hook,
            {"kind": "session", "command": "conversation_batch", "session_id": "issue-{{body.issue.number}}",
             "payload": {"chunks": [chunk]}, "create": True},
            events=["issues.labeled"], name="talk",
            conditions=[{"path": "label.name", "is": "in", "value": ["bug"]}],
        )  # fmt: skip

        assert body(send(nobody, ISSUES, "issues"), 202)["status"] == "done", kept(owner, hook)
        send(nobody, ISSUES, "issues")

        flow, talk = kept(owner, hook)[0]["results"]
        assert owner.get(f"/api/v1/workflows/{flow['workflow_id']}").status_code == 200
        assert (talk["session_id"], len(talk["ids"])) == ("issue-1", 1)
        with db.quick():
            assert (
                db.rows("SELECT speaker, text FROM session_messages")
                == [{"speaker": "octocat", "text": "Spelling error in the README file"}] * 2
            )

    def test_standard_webhooks_are_known_by_their_id(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner, "billing", provider="standard", secret=None)
        ruled(owner, hook, {"kind": "job", "agent_id": "test-echo"}, events=["invoice.*"])
        data = raw({"type": "invoice.paid", "data": {"total": 3}})
        headers = by_standard(hook["secret"], data, message="msg_1")

        codes = [nobody.post("/hooks/billing", data=data, headers=headers).status_code for _ in range(2)]
        late = nobody.post("/hooks/billing", data=data, headers=by_standard(hook["secret"], data, late=700))

        assert codes == [202, 200]
        assert (late.status_code, len(jobs())) == (401, 1)
        assert kept(owner, hook)[0]["event"] == "invoice.paid"

    def test_a_signed_command_is_carried_out_in_the_owners_name(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner, "voice", provider="session", secret=None)
        data = raw({"command": "create_session", "session_id": "s-1", "payload": {"title": "Tides"}})
        headers = by_standard(hook["secret"], data)

        first = body(nobody.post("/hooks/voice", data=data, headers=headers), 201)

        assert (first["ok"], first["session_id"]) == (True, "s-1")
        assert body(nobody.post("/hooks/voice", data=data, headers=headers), 201) == first
        with db.quick():
            assert db.value("SELECT owner FROM sessions") == owner.id
            assert db.value("SELECT event FROM hook_deliveries") == "create_session"
        again = nobody.post("/hooks/voice", data=data, headers=by_standard(hook["secret"], data))
        assert (again.status_code, len(kept(owner, hook))) == (409, 1)

    def test_work_is_done_with_what_the_owner_may_do_now(
        self, owner: Caller, nobody: Caller, admin: Caller
    ) -> None:
        hook = made(owner)
        ruled(owner, hook)
        admin.call("PATCH", f"/api/v1/users/{owner.id}", json={"role": "viewer"})
        send(nobody, PULL_REQUEST)
        admin.call("PATCH", f"/api/v1/users/{owner.id}", json={"enabled": False})
        send(nobody, PULL_REQUEST)

        said = [each["results"][0]["error"] for each in kept(admin, hook)]
        assert "no account any more" in said[0]
        assert "role viewer" in said[1]
        assert jobs() == []


class TestRefusing:
    def test_a_wrong_signature_is_401_without_a_reason_and_the_owner_hears_it(
        self, owner: Caller, nobody: Caller
    ) -> None:
        hook = made(owner)
        ruled(owner, hook)
        wrong = send(nobody, PULL_REQUEST, secret="another secret, long enough")
        missing = nobody.post("/hooks/repo", data=b"{}", headers={"X-GitHub-Event": "push"})

        assert (wrong.status_code, missing.status_code) == (401, 401)
        assert body(wrong, 401)["detail"] == body(missing, 401)["detail"] == "The signature does not fit."
        assert (jobs(), kept(owner, hook)) == ([], [])
        shown = body(owner.get(f"{HOOKS}/{hook['hook_id']}"))
        assert (
            shown["last_refusal"] == "its signature does not fit"
        )  # the second one came too soon to be written
        assert shown["last_received_at"] is None

    def test_an_address_that_is_not_allowed_is_403(
        self, owner: Caller, nobody: Caller, configure: Callable[..., None]
    ) -> None:
        hook = made(owner, ip_allowlist=["192.0.2.0/24", "2001:db8::/32"])

        def from_(address: str) -> int:
            return int(send(nobody, PUSH, "push", environ_base={"REMOTE_ADDR": address}).status_code)

        assert [from_(each) for each in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1")] == [202] * 3
        assert [from_(each) for each in ("192.0.3.9", "127.0.0.1", "2001:db9::1")] == [403] * 3
        assert "which is not allowed" in body(owner.get(f"{HOOKS}/{hook['hook_id']}"))["last_refusal"]
        configure(webhook_ip_allowlist=("192.0.2.8/32",))
        assert [from_(each) for each in ("192.0.2.8", "192.0.2.9")] == [202, 403]

    def test_what_is_unknown_or_off_is_404(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        owner.call("PATCH", f"{HOOKS}/{hook['hook_id']}", json={"enabled": False})

        answers = [send(nobody, PUSH, slug=slug) for slug in ("repo", "nothing")]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].json["detail"] == answers[1].json["detail"]

    @pytest.mark.parametrize(
        ("data", "headers", "status"),
        [
            (b"{}", {"Content-Type": "text/plain"}, 415), (b"not json", {}, 400), (b"{}", {"X-GitHub-Delivery": ""}, 422),
            (b"{}", {"X-GitHub-Event": ""}, 422), (b"{}", {"X-GitHub-Delivery": "x" * 300}, 422),
            (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_told(
        self, data: bytes, headers: dict[str, str], status: int, owner: Caller, nobody: Caller
    ) -> None:
        made(owner)

        assert send(nobody, data, headers=headers).status_code == status

    def test_too_large_a_body_is_413_before_it_is_read(
        self, owner: Caller, nobody: Caller, configure: Callable[..., None]
    ) -> None:
        made(owner, "large")
        made(owner, "small", provider="standard", secret=None)
        configure(max_body_bytes=5000)

        length = {"environ_overrides": {"CONTENT_LENGTH": "25000001"}}
        assert send(nobody, b"{}", slug="large", **length).status_code == 413
        assert send(nobody, b'"' + b"x" * 2_100_000 + b'"', slug="large").status_code == 202
        assert nobody.post("/hooks/small", data=b"x" * 5001).status_code == 413

    def test_forging_has_a_limit_and_takes_nothing_from_others(
        self, owner: Caller, nobody: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made(owner)
        monkeypatch.setitem(app.config, "CALLBOARD_HOOK_LIMIT", "3 per minute")

        codes = [send(nobody, PUSH, secret="x" * 20).status_code for _ in range(5)]
        there = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
        assert codes == [401] * 3 + [429] * 2
        assert send(nobody, PUSH, "push", **there).status_code == 202


class TestSecrets:
    def test_it_is_shown_once_and_sealed(self, owner: Caller, admin: Caller) -> None:
        hook = made(owner, secret=None)
        path = f"{HOOKS}/{hook['hook_id']}"

        assert len(hook["secret"]) >= 40
        for answer in (owner.get(path), owner.get(HOOKS), admin.get(HOOKS)):
            assert hook["secret"] not in answer.get_data(as_text=True)
        with db.quick():
            assert hook["secret"] not in str(db.rows("SELECT * FROM hooks")) + str(
                db.rows("SELECT * FROM audit_log")
            )

    def test_after_a_rotation_both_count_for_a_day(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        fresh = body(owner.post(f"{HOOKS}/{hook['hook_id']}/rotate"))

        assert fresh["previous_until"] is not None
        codes = [send(nobody, PUSH, "push", secret=each).status_code for each in (SECRET, fresh["secret"])]
        with db.transaction():
            db.run("UPDATE hooks SET previous_until = now() - interval '1 s'")
        codes += [send(nobody, PUSH, "push", secret=each).status_code for each in (SECRET, fresh["secret"])]
        assert codes == [202, 202, 401, 202]

    def test_the_rotation_of_keys_knows_them(self, owner: Caller, nobody: Caller, app: Flask) -> None:
        made(owner)
        before = sealing.in_use()
        newest = keys.derived("another key of the server, long enough")
        sealing.use((newest, *before))
        try:
            rotation.rotate(db.transaction, lambda _name, _outcome: None)
            sealing.use((newest,))
            assert send(nobody, PUSH, "push").status_code == 202
        finally:
            sealing.use(before)

    def test_the_settings_secret_opens_hooks_that_have_no_row_yet(
        self, admin: Caller, owner: Caller, nobody: Caller, configure: Callable[..., None]
    ) -> None:
        configure(webhook_secret=SECRET, admin_email="admin@example.org")
        path = "/api/v1/webhooks/github"

        assert send(nobody, PUSH, "push", path=path, secret="x" * 20).status_code == 401
        assert body(admin.get(HOOKS))["total"] == 0
        assert send(nobody, PUSH, "push", path=path, delivery="d-1").status_code == 202
        (hook,) = body(admin.get(HOOKS))["hooks"]
        assert (hook["slug"], hook["owner"], hook["day"]) == ("github", admin.id, 1)
        assert actions() == ["hook.created"]
        ruled(admin, hook)
        assert body(send(nobody, PULL_REQUEST, slug="github"), 202)["status"] == "done"
        assert jobs()[0]["submitted_by"] == admin.id
        configure(webhook_secret="")
        assert send(nobody, PUSH, "push", path=path).status_code == 401

    def test_the_settings_secret_opens_nothing_where_there_is_no_first_admin(
        self, nobody: Caller, configure: Callable[..., None]
    ) -> None:
        configure(webhook_secret=SECRET, admin_email="gone@example.org")
        assert send(nobody, PUSH, "push", path="/api/v1/webhooks/github").status_code == 401

    def test_nobody_but_admins_takes_the_names_of_the_settings_secret(self, owner: Caller) -> None:
        refused = body(owner.post(HOOKS, json={"slug": "github"}), 422)

        assert [each["pointer"] for each in refused["errors"]] == ["/slug"]


class TestEditing:
    def test_hooks_are_made_changed_and_deleted(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        path = f"{HOOKS}/{hook['hook_id']}"

        assert hook["url"].endswith("/hooks/repo")
        assert owner.post(HOOKS, json={"slug": "repo"}).status_code == 409
        changed = body(owner.call("PATCH", path, json={"name": "Ours", "ip_allowlist": ["10.0.0.0/8"]}))
        assert (changed["name"], changed["ip_allowlist"]) == ("Ours", ["10.0.0.0/8"])
        assert owner.call("PATCH", path, json={"ip_allowlist": ["10.0.0.1/8"]}).status_code == 422
        assert owner.call("DELETE", path).status_code == 204
        assert send(nobody, PUSH).status_code == 404
        assert actions() == ["hook.created", "hook.changed", "hook.deleted"]

    def test_rules_run_in_the_order_one_gives_them(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        first, second = ruled(owner, hook, name="first"), ruled(owner, hook, name="second")
        path = f"{HOOKS}/{hook['hook_id']}/rules"

        order = [second["rule_id"], first["rule_id"]]
        ordered = body(owner.call("PUT", f"{path}/order", json={"rule_ids": order}))
        assert [each["name"] for each in ordered["rules"]] == ["second", "first"]
        assert owner.call("PUT", f"{path}/order", json={"rule_ids": order[:1]}).status_code == 422
        send(nobody, PULL_REQUEST)
        assert [each["name"] for each in kept(owner, hook)[0]["results"]] == ["second", "first"]
        changed = owner.call("PATCH", f"{path}/{first['rule_id']}", json={"name": "1st", "events": ["push"]})
        assert (body(changed)["name"], body(changed)["events"], body(changed)["action"]) == (
            "1st",
            ["push"],
            first["action"],
        )
        assert owner.call("DELETE", f"{path}/{second['rule_id']}").status_code == 204
        assert [each["name"] for each in body(owner.get(path))["rules"]] == ["1st"]

    @pytest.mark.parametrize(
        ("rule", "where"),
        [
            ({"action": {"kind": "job", "agent_id": "nobody-there"}}, "/action/agent_id"),
            ({"action": {"kind": "workflow", "template": "nothing"}}, "/action/template"),
            ({"action": {"kind": "session", "command": "dance", "session_id": "s"}}, "/action/command"),
            ({"action": ECHO | {"parameters": {"text": "{{steps.x.output}}"}}}, "/action/parameters/text"),
            ({"action": ECHO | {"parameters": {"text": "{{body.x"}}}, "/action/parameters/text"),
            ({"events": ["a b"]}, "/events/0"),
            ({"conditions": [{"path": "a", "is": "matches", "value": "("}]}, "/conditions/0/value"),
        ],
    )  # fmt: skip
    def test_a_rule_that_would_never_run_is_refused(
        self, rule: dict[str, Any], where: str, owner: Caller
    ) -> None:
        hook = made(owner)
        wish = {"name": "x", "events": ["*"], "action": ECHO} | rule

        refused = body(owner.post(f"{HOOKS}/{hook['hook_id']}/rules", json=wish), 422)
        assert [each["pointer"] for each in refused["errors"]] == [where]

    def test_trying_says_what_would_be_done_and_does_nothing(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        send(nobody, PULL_REQUEST)
        path, (delivery,) = f"{HOOKS}/{hook['hook_id']}/rules/try", kept(owner, hook)
        wish = {"events": ["pull_request"], "action": ECHO, "delivery_id": delivery["delivery_id"]}

        tried = body(owner.post(path, json=wish))
        assert tried["would"]["parameters"] == {"text": PULL_REQUEST["pull_request"]["title"], "n": 2}
        condition = {"path": "number", "is": "equals", "value": 3}
        assert "number equals 3" in body(owner.post(path, json=wish | {"conditions": [condition]}))["why"]
        assert "pull_request.opened" in body(owner.post(path, json=wish | {"events": ["push"]}))["why"]
        unfit = wish | {"action": ECHO | {"parameters": {"text": "{{body.nothing}}"}}}
        assert "nothing" in body(owner.post(path, json=unfit))["error"]
        sample = {"delivery_id": None, "event": "pull_request.opened", "body": {"number": 7}}
        assert body(
            owner.post(path, json=unfit | sample | {"action": {"kind": "job", "agent_id": "test-echo"}})
        )["fits"]
        assert owner.post(path, json=wish | {"delivery_id": None}).status_code == 400
        assert jobs() == []


class TestReplaying:
    def test_a_replay_runs_the_rules_as_they_are_now_as_a_delivery_of_its_own(
        self, owner: Caller, nobody: Caller
    ) -> None:
        hook = made(owner)
        send(nobody, PULL_REQUEST, delivery="d-1")
        (first,) = kept(owner, hook)
        ruled(owner, hook)

        again = body(owner.post(f"{HOOKS}/{hook['hook_id']}/deliveries/{first['delivery_id']}/replay"), 201)

        assert (first["status"], again["status"]) == ("ignored", "done")
        assert (again["replay_of"], again["replayed_by"]) == (first["delivery_id"], owner.id)
        assert (again["external_id"], again["position"] > first["position"]) == ("d-1", True)
        assert len(jobs()) == 1
        assert body(send(nobody, PULL_REQUEST, delivery="d-1"))["delivery_id"] == first["delivery_id"]
        assert actions()[-1] == "hook.replayed"

    def test_lists_go_on_behind_their_cursor(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        for n in range(3):
            send(nobody, PUSH, "push", delivery=f"d-{n}")
        send(nobody, ISSUES, "issues", delivery="d-3")
        path = f"{HOOKS}/{hook['hook_id']}/deliveries"

        page = body(owner.get(f"{path}?limit=3"))
        rest = body(owner.get(f"{path}?limit=3&cursor={page['next_cursor']}"))
        assert [each["external_id"] for each in page["deliveries"] + rest["deliveries"]] == [
            "d-3",
            "d-2",
            "d-1",
            "d-0",
        ]
        assert rest["next_cursor"] is None
        assert len(kept(owner, hook, event="issues.labeled")) == 1
        assert kept(owner, hook, status="failed") == []

    def test_what_is_past_its_days_is_forgotten(self, owner: Caller, nobody: Caller) -> None:
        hook = made(owner)
        for n in range(2):
            send(nobody, PUSH, "push", delivery=f"d-{n}")
        with db.transaction():
            db.run(
                "UPDATE hook_deliveries SET received_at = now() - interval '31 days' WHERE external_id = 'd-0'"
            )
            assert keeping.purge(30) == 1
        assert [each["external_id"] for each in kept(owner, hook)] == ["d-1"]


class TestRelay:
    PATH = "/api/v1/relay/events"

    def test_it_answers_the_very_bytes_in_order_and_goes_on_behind_its_cursor(
        self, owner: Caller, other: Caller, admin: Caller, nobody: Caller
    ) -> None:
        made(owner)
        made(other, "theirs")
        data = json.dumps(PULL_REQUEST, indent=3).encode()
        send(nobody, PUSH, "push", headers={"Cookie": "a=b", "Authorization": "Bearer x"})
        send(nobody, PUSH, "push", slug="theirs")
        send(nobody, data)

        first = body(owner.get(f"{self.PATH}?limit=1"))
        assert first["poll"]["next_after_ms"] == 0
        rest = body(owner.get(f"{self.PATH}?after={first['cursor']}"))
        (event,) = rest["events"]
        assert base64.b64decode(event["body_base64"]) == data
        assert event["headers"]["x-hub-signature-256"] == by_github(SECRET, "", data)["X-Hub-Signature-256"]
        assert not {"cookie", "authorization", "host"} & first["events"][0]["headers"].keys()
        assert (rest["cursor"], rest["newest"]) == (event["position"], event["position"])
        assert rest["poll"]["next_after_ms"] >= 1000
        assert body(owner.get(f"{self.PATH}?after={rest['cursor']}"))["events"] == []
        assert [each["hook"] for each in body(admin.get(self.PATH))["events"]] == ["repo", "theirs", "repo"]
        assert [each["hook"] for each in body(admin.get(f"{self.PATH}?hook=theirs"))["events"]] == ["theirs"]
        assert body(owner.get(f"{self.PATH}?hook=theirs"))["events"] == []

    def test_a_page_is_no_larger_than_its_bytes_and_one_event_always_comes(
        self, owner: Caller, nobody: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.hooks.relay.LARGEST_PAGE", 250)
        made(owner)
        for size in (400, 100, 100, 100):
            send(nobody, b'"' + b"x" * (size - 2) + b'"', "push")

        seen, cursor = [], 0
        for _ in range(3):
            page = body(owner.get(f"{self.PATH}?after={cursor}"))
            seen.append(len(page["events"]))
            cursor = page["cursor"]
        assert seen == [1, 2, 1]


def test_positions_appear_in_order_while_many_come_at_once(
    owner: Caller, nobody: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads by position at any moment misses nothing that comes later (16 threads write)."""
    monkeypatch.setitem(app.config, "CALLBOARD_HOOK_LIMIT", "1000 per second")
    hook = made(owner)
    ruled(owner, hook, {"kind": "job", "agent_id": "test-echo"}, events=["push"])
    seen: list[int] = []
    going = True

    def read() -> None:
        while True:
            last_look = not going
            with db.quick():
                rows = db.rows(
                    "SELECT position FROM hook_deliveries WHERE position > %(after)s ORDER BY position",
                    after=seen[-1] if seen else 0,
                )
            seen.extend(row["position"] for row in rows)
            if last_look:
                return

    with ThreadPoolExecutor(17) as pool:
        reader = pool.submit(read)
        codes = list(pool.map(lambda n: send(nobody, PUSH, "push", delivery=f"d-{n}").status_code, range(96)))
        going = False
        reader.result()

    with db.quick():
        every = [row["position"] for row in db.rows("SELECT position FROM hook_deliveries ORDER BY position")]
    assert codes == [202] * 96
    assert seen == every
    assert len(jobs()) == 96


def test_jobs_of_a_hook_run_like_any_other(
    owner: Caller, nobody: Caller, bells: list[tuple[str, int]]
) -> None:
    ruled(owner, made(owner))
    send(nobody, PULL_REQUEST)

    assert bells == [("general", 1)]
    with db.quick():
        taken = acting.claim()
    assert taken is not None
    assert taken.agent_id == "test-echo"


@pytest.fixture
def secretive(admin: Caller) -> str:
    """An agent with a parameter that is nobody's business."""
    with db.transaction():
        acting.agent(
            "test-secretive",
            parameters={
                "type": "object",
                "properties": {"token": {"type": "string", "x-secret": True}, "deep": {}},
            },
        )
    return "test-secretive"


def test_what_an_agent_calls_secret_is_not_kept_with_a_sessions_command(
    admin: Caller, nobody: Caller, secretive: str
) -> None:
    hook = made(admin, "desk", provider="session", secret=SESSION_SECRET)
    work = {"agent_id": secretive, "parameters": {"token": "opensesame", "deep": nested(700)}}
    also = {"agent_name": secretive, "input_data": {"token": "opensesame"}}
    items = [
        {"command": "create_session", "payload": {}},
        {"command": "delegate_task", "payload": work},
        {"command": "Delegate_Task", "payload": also},
    ]
    command = {
        "command": "batch_workflow",
        "session_id": "S",
        "payload": {"commands": items, "atomic": False},
    }
    answered = command_to(nobody, "desk", command)

    assert [each["ok"] for each in answered["result"]["results"]] == [True, False, True]
    with db.quick():
        assert (
            db.value(
                "SELECT count(*) FROM hook_deliveries WHERE position(%(s)s IN body) > 0", s=b"opensesame"
            )
            == 0
        )
    (delivery,) = kept(admin, hook)
    shown = body(admin.get(f"{HOOKS}/{hook['hook_id']}/deliveries/{delivery['delivery_id']}"))["body"]
    assert shown["payload"]["commands"][2]["payload"]["input_data"] == {"token": "••••"}


@pytest.mark.parametrize(
    ("action", "at"),
    [
        ({"kind": "job", "parameters": {"token": "opensesame"}}, "/action/parameters/token"),
        (
            {"kind": "session", "command": "delegate_task", "session_id": "S",
             "payload": {"parameters": {"token": "opensesame"}}},
            "/action/payload/parameters/token",
        ),
    ],
)  # fmt: skip
def test_a_rule_holds_no_secret_of_an_agent_but_may_let_one_come(
    owner: Caller, secretive: str, action: dict[str, Any], at: str
) -> None:
    where = action["payload"] if action["kind"] == "session" else action
    where["agent_id"] = secretive
    path = f"{HOOKS}/{made(owner)['hook_id']}/rules"
    refused = body(owner.post(path, json={"name": "x", "events": ["*"], "action": action}), 422)
    assert [each["pointer"] for each in refused["errors"]] == [at]

    where["parameters"]["token"] = "{{body.token}}"
    body(owner.post(path, json={"name": "x", "events": ["*"], "action": action}), 201)


def test_what_cannot_be_written_as_deep_as_it_was_read_is_shown_as_text(
    owner: Caller, nobody: Caller
) -> None:
    hook = made(owner)
    send(nobody, {"deep": nested(700)})
    (delivery,) = kept(owner, hook)
    path = f"{HOOKS}/{hook['hook_id']}/deliveries/{delivery['delivery_id']}"
    assert body(owner.get(path))["body"].startswith('{"deep":')
    body(owner.post(f"{path}/replay"), 201)


def test_a_name_that_cannot_be_kept_fails_the_rule_and_not_the_delivery(
    owner: Caller, nobody: Caller
) -> None:
    action = {"kind": "session", "command": "query_memories", "session_id": "{{body.id}}", "create": True}
    hook = made(owner)
    ruled(owner, hook, action, events=["*"])
    body(send(nobody, {"id": "a\x00"}), 202)
    (delivery,) = kept(owner, hook)
    assert delivery["status"] == "failed"


@pytest.mark.parametrize(
    ("command", "payload", "at"),
    [
        ("delegate_task", {"agent_name": "{{body.who}}"}, "/agent_name"),
        ("batch_workflow", {"commands": "{{body.all}}"}, "/commands"),
        ("batch_workflow", {"commands": [{"command": "{{body.what}}"}]}, "/commands/0/command"),
        ("batch_workflow", {"commands": [{"command": "delegate_task", "payload": "{{body.x}}"}]},
         "/commands/0/payload"),
        ("batch_workflow", {"steps": [{"id": "a", "agent_id": "{{body.who}}"}]}, "/steps/0/agent_id"),
    ],
)  # fmt: skip
def test_what_comes_in_does_not_choose_what_a_session_is_told_to_do(
    owner: Caller, command: str, payload: dict[str, Any], at: str
) -> None:
    action = {"kind": "session", "command": command, "session_id": "S", "payload": payload}
    path = f"{HOOKS}/{made(owner)['hook_id']}/rules"
    refused = body(owner.post(path, json={"name": "x", "events": ["*"], "action": action}), 422)
    assert [each["pointer"] for each in refused["errors"]] == [f"/action/payload{at}"]


def test_data_for_what_a_session_is_told_to_do_may_come_in(owner: Caller) -> None:
    items = [
        {
            "command": "delegate_task",
            "payload": {
                "agent_id": "test-echo",
                "parameters": {"command": "{{body.x}}", "agent_id": "{{body.y}}"},
            },
        }
    ]
    action = {
        "kind": "session",
        "command": "batch_workflow",
        "session_id": "S",
        "payload": {"commands": items},
    }
    ruled(owner, made(owner), action)


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


def command_to(caller: Caller, slug: str, command: dict[str, Any]) -> dict[str, Any]:
    data = raw(command)
    answer = caller.post(f"/hooks/{slug}", data=data, headers=by_standard(SESSION_SECRET, data))
    return body(answer, 207)
