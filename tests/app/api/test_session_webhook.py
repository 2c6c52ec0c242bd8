"""Commands to sessions by the signed webhook: who may send them, what each does, and what is refused."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook

from app.api.errors import MEDIA_TYPE
from app.db import db
from app.hooks import changes as hooks
from app.sessions.commands import COMMANDS
from app.settings import ROOT, Settings
from tests.app.api.calling import Caller
from tests.app.api.test_sessions import said

JSON = dict[str, Any]
DOOR = "/api/v1/webhooks/session"
PLAIN = {"Content-Type": "application/json"}
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cyBhbG9uZQ=="
EXAMPLES = sorted((ROOT / "docs" / "examples" / "sessions").glob("*.json"))
CREATE = {"command": "create_session", "session_id": "voice_session_123", "payload": {"title": "Voice"}}


def standard(body: bytes, secret: str = SECRET, *, id_: str = "msg_1", late: float = 0) -> dict[str, str]:
    """The headers of a Standard Webhook that was signed `late` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=late)
    signature = Webhook(secret).sign(id_, at, body.decode())
    named = {"webhook-id": id_, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return PLAIN | named


def hub(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The header of a body that is signed as GitHub does it."""
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return PLAIN | {"X-Hub-Signature-256": f"sha256={made}"}


@pytest.fixture
def shared(configure: Callable[..., None], admin: Caller) -> Caller:
    """WEBHOOK_SECRET is set; answers the first admin, for whom it acts."""
    configure(webhook_secret=SECRET, admin_email="admin@example.org")
    return admin


@pytest.fixture
def hook(admin: Caller) -> Caller:
    """A hook `session` of the admin's, with the secret."""
    with db.transaction():
        assert admin.principal is not None
        hooks.create("session", who=admin.principal, provider="session", secret=SECRET)
    return admin


def refused(answer: Any, status: int, code: str) -> JSON:
    """A refusal that is a problem document and {error: {code, message}} at once."""
    told = said(answer, status)
    assert answer.mimetype == MEDIA_TYPE
    assert told["error"] == {"code": code, "message": told["detail"]}
    assert (told["code"], told["status"]) == (code, status)
    return told


def test_every_example_works_in_its_order_and_is_answered_as_documented(owner: Caller) -> None:
    """The payload files are for people who copy them; delegate_task names an agent that only a product has."""
    order = ("create_session", "conversation_batch", "store_memory", "query_memories", "add_artifact", "batch_workflow",
             "update_session")  # fmt: skip
    assert {path.stem for path in EXAMPLES} == {*order, "delegate_task"}
    answers = {}
    for name in order:
        body = orjson.loads((ROOT / "docs" / "examples" / "sessions" / f"{name}.json").read_bytes())
        answers[name] = answer = owner.post(DOOR, json=body)
        told = said(answer, 200 if name in ("query_memories", "update_session") else 201)
        assert (told["ok"], told["command"], told["session_id"]) == (True, name, "voice_session_123")
        assert told["ids"]

    assert said(answers["query_memories"])["result"]["memories"][0]["key"] == "release_date"
    assert said(answers["batch_workflow"], 201)["result"]["done"] == 3
    session = said(owner.get("/api/v1/sessions/voice_session_123"))
    assert (session["status"], session["message_count"], session["memory_count"], session["artifact_count"]) == (
        "completed", 3, 2, 2,
    )  # fmt: skip


def test_every_command_there_is_can_be_sent(owner: Caller) -> None:
    assert said(owner.post(DOOR, json=CREATE), 201)["ids"] == ["voice_session_123"]
    sent: list[tuple[str, JSON, int]] = [
        ("add_conversation", {"chunks": [{"speaker": "Ada", "text": "hello"}]}, 201),
        ("store_memory", {"key": "k", "content": "c", "importance": "high"}, 201),
        ("query_memories", {"query": "c"}, 200),
        ("delegate_task", {"agent_name": "test-echo", "input_data": {"text": "x"}}, 201),
        ("add_artifact", {"name": "a", "content": "b"}, 201),
        (
            "batch_workflow",
            {"commands": [{"command": "store_memory", "payload": {"key": "l", "content": "d"}}]},
            201,
        ),
        ("pause_session", {}, 200),
        ("resume", {}, 200),
        ("update_session", {"title": "New"}, 200),
        ("complete", {}, 200),
    ]
    done = {"create_session"}
    for command, payload, status in sent:
        body = {"command": command, "session_id": "voice_session_123", "payload": payload}
        told = said(owner.post(DOOR, json=body), status)
        assert told["ok"] is True
        done.add(told["command"])
    assert done == set(COMMANDS)


def test_a_standard_webhook_acts_as_the_first_admin_and_only_once(shared: Caller, nobody: Caller) -> None:
    body = orjson.dumps(CREATE)
    first = nobody.post(DOOR, data=body, headers=standard(body))
    again = nobody.post(DOOR, data=body, headers=standard(body))

    assert said(first, 201) == said(again, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert said(shared.get("/api/v1/sessions/voice_session_123"))["owner"] == shared.id
    fresh = nobody.post(DOOR, data=body, headers=standard(body, id_="msg_2"))
    refused(fresh, 409, "conflict")  # another delivery is another command
    assert (
        nobody.post(DOOR, data=body, headers=standard(body)).status_code == 201
    )  # and a refused one spoils nothing


def test_the_secret_of_a_hook_opens_it_too_and_its_delivery_is_kept(hook: Caller, nobody: Caller) -> None:
    body = orjson.dumps(CREATE)
    assert said(nobody.post(DOOR, data=body, headers=standard(body)), 201)["ok"]

    with db.quick():
        kept = db.rows("SELECT external_id, status FROM hook_deliveries")
    assert kept == [{"external_id": "msg_1", "status": "done"}]


@pytest.mark.parametrize("by", ["hook", "shared"])
def test_a_signature_without_time_needs_a_request_id(
    by: str, nobody: Caller, request: pytest.FixtureRequest
) -> None:
    admin: Caller = request.getfixturevalue(by)
    body = orjson.dumps(CREATE)
    told = refused(nobody.post(DOOR, data=body, headers=hub(body)), 422, "invalid")
    assert told["errors"][0]["pointer"] == "/request_id"

    body = orjson.dumps(CREATE | {"request_id": "one"})
    first, again = (nobody.post(DOOR, data=body, headers=hub(body)) for _ in range(2))

    assert said(first, 201) == said(again, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert said(admin.get("/api/v1/sessions/voice_session_123"))["last_seq"] == 1


@pytest.mark.parametrize(
    ("signed", "why"),
    [
        (lambda body: standard(body, "whsec_" + "d3Jvbmcgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="), "another secret"),
        (lambda body: standard(body + b" "), "another body"),
        (lambda body: standard(body, late=301), "too old"),
        (lambda body: standard(body, late=-301), "from the future"),
        (lambda body: standard(body) | {"webhook-signature": "v1,%%%"}, "no signature"),
        (lambda body: standard(body) | {"webhook-timestamp": "yesterday"}, "no time"),
        (lambda body: hub(body, "wrong"), "another secret"),
        (lambda body: PLAIN | {"X-Hub-Signature-256": "sha256=é"}, "no signature"),
        (lambda body: PLAIN | {"X-Hub-Signature": "sha1=" + "0" * 40}, "an old signature"),
        (lambda _: PLAIN, "no signature at all"),
    ],
)  # fmt: skip
def test_what_is_not_signed_well_is_refused_and_does_nothing(
    signed: Callable[[bytes], dict[str, str]], why: str, shared: Caller, nobody: Caller
) -> None:
    body = orjson.dumps(CREATE | {"request_id": why})

    refused(nobody.post(DOOR, data=body, headers=signed(body)), 401, "unauthenticated")
    assert shared.get("/api/v1/sessions/voice_session_123").status_code == 404


def test_without_any_secret_a_signature_opens_nothing(nobody: Caller) -> None:
    body = orjson.dumps(CREATE)

    refused(nobody.post(DOOR, data=body, headers=standard(body)), 401, "unauthenticated")
    refused(nobody.post(DOOR, data=body, headers=hub(body)), 401, "unauthenticated")


@pytest.mark.parametrize("way", ["standard", "hub", "bearer"])
def test_only_the_networks_that_may_call_are_answered(
    way: str, shared: Caller, nobody: Caller, configure: Callable[..., None]
) -> None:
    body = orjson.dumps(CREATE | {"request_id": way})
    headers = {
        "standard": standard(body),
        "hub": hub(body),
        "bearer": PLAIN | {"Authorization": f"Bearer {shared.key}"},
    }[way]
    given = {"webhook_secret": SECRET, "admin_email": "admin@example.org"}

    configure(**given, webhook_ip_allowlist=("192.0.2.0/24",))
    refused(nobody.post(DOOR, data=body, headers=headers), 403, "forbidden")
    configure(**given, webhook_ip_allowlist=("192.0.2.0/24", "127.0.0.0/8"))
    assert nobody.post(DOOR, data=body, headers=headers).status_code == 201


def test_what_cannot_be_done_says_why_in_both_shapes(owner: Caller, other: Caller, viewer: Caller) -> None:
    def send(caller: Caller = owner, **body: Any) -> Any:
        return caller.post(DOOR, json=CREATE | body)

    assert send().status_code == 201
    refused(send(), 409, "conflict")
    refused(
        send(command="store_memory", payload={"key": "k", "content": "c"}, caller=other), 404, "not_found"
    )
    refused(send(command="pause_session", session_id="nothing-here", payload={}), 404, "not_found")
    refused(send(viewer, session_id="v"), 403, "forbidden")
    refused(owner.post(DOOR, data=b'{"command":', headers=PLAIN), 400, "malformed")
    refused(owner.post(DOOR, data=b"{}", headers={"Content-Type": "text/plain"}), 415, "not_json")
    wrong = refused(send(command="remember"), 422, "invalid")
    assert "store_memory" in wrong["detail"]
    lacking = refused(send(command="store_memory", payload={"key": "k"}), 422, "invalid")
    assert lacking["errors"][0]["pointer"] == "/payload/content"
    agent = refused(
        send(command="delegate_task", payload={"agent_id": "nobody-here"}), 422, "agent_not_found"
    )
    assert agent["detail"]


def test_hostile_bodies_are_refused_however_they_are_signed(shared: Caller, nobody: Caller) -> None:
    deep = b'{"command":"store_memory","session_id":"s","payload":' + b'{"a":' * 200 + b"1" + b"}" * 201
    nul = b'{"command":"create_session","session_id":"s","payload":{"title":"a\\u0000b"}}'
    large = b'{"command":"create_session","session_id":"' + b"x" * 10_000_000 + b'"}'
    list_ = b"[1, 2]"
    for name, body, status in (
        ("deep", deep, 422),
        ("nul", nul, 422),
        ("large", large, 413),
        ("list", list_, 422),
    ):
        for headers in (
            standard(body, id_=name),
            hub(body),
            PLAIN | {"Authorization": f"Bearer {shared.key}"},
        ):
            answer = nobody.post(DOOR, data=body, headers=headers)
            assert answer.status_code == status, (name, sorted(headers))
            assert said(answer, status)["error"]["code"] == said(answer, status)["code"]
    with db.quick():
        assert db.value("SELECT count(*) FROM sessions") == 0


def test_the_same_request_id_with_another_command_is_a_mistake(owner: Caller) -> None:
    assert owner.post(DOOR, json=CREATE | {"request_id": "one"}).status_code == 201
    other = {"command": "pause_session", "session_id": "voice_session_123", "request_id": "one"}

    assert refused(owner.post(DOOR, json=other), 422, "invalid")["errors"][0]["pointer"] == "/request_id"


def test_an_idempotency_key_works_here_as_everywhere(owner: Caller) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (owner.post(DOOR, json=CREATE, headers=key) for _ in range(2))

    assert said(first, 201) == said(again, 201)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_too_many_commands_are_told_to_wait(
    shared: Caller, nobody: Caller, configure: Callable[..., None]
) -> None:
    configure(webhook_secret=SECRET, admin_email="admin@example.org", rate_limit_per_minute=2)
    body = orjson.dumps({"command": "query_memories", "session_id": "s"})
    codes = [nobody.post(DOOR, data=body, headers=hub(body)).status_code for _ in range(3)]
    late = nobody.post(DOOR, data=body, headers=hub(body))

    assert codes == [404, 404, 429]
    refused(late, 429, "rate_limited")
    assert int(late.headers["Retry-After"]) > 0
    assert shared.post(DOOR, json=CREATE).status_code == 201  # the person's own limit is another


def test_networks_of_the_settings_are_checked_at_the_start() -> None:
    read = Settings(WEBHOOK_IP_ALLOWLIST="192.0.2.7, 2001:db8::/32", CALLBOARD_ENV="test")
    assert read.webhook_ip_allowlist == ("192.0.2.7/32", "2001:db8::/32")
    wrongs: tuple[JSON, ...] = ({"WEBHOOK_IP_ALLOWLIST": "everybody"}, {"WEBHOOK_SECRET": "short"})
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            Settings(CALLBOARD_ENV="test", **wrong)
