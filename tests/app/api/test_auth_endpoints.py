from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import jwt
import pytest
from flask import Flask

from app.accounts import links, users
from app.db import db
from tests.app.api.calling import Caller
from tests.app.api.conftest import PASSWORD

LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
LOGINS = "/api/v1/auth/logins"


def signed_in(nobody: Caller, email: str = "owner@example.org") -> dict[str, Any]:
    answer = nobody.post(LOGIN, json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200
    return dict(answer.json or {})


def by_token(caller: Caller, tokens: dict[str, Any]) -> Caller:
    return replace(caller, key=tokens["access_token"])


def test_a_login_gives_tokens_that_open_the_api(nobody: Caller, owner: Caller) -> None:
    tokens = signed_in(nobody)
    me = by_token(owner, tokens).get("/api/v1/me").json

    assert me is not None
    assert (me["user_id"], me["role"], me["api_key_id"]) == (owner.id, "user", None)
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (3600, 7 * 86400)


def test_wrong_password_and_unknown_name_are_told_the_same(nobody: Caller, owner: Caller) -> None:
    told = [
        nobody.post(LOGIN, json={"email": email, "password": "wrong horse battery"}).json
        for email in ("owner@example.org", "nobody@example.org")
    ]

    plain = [{name: value for name, value in (each or {}).items() if name != "request_id"} for each in told]
    assert plain[0] == plain[1]
    assert plain[0]["status"] == 401


def test_attempts_are_audited_failed_ones_too(nobody: Caller, owner: Caller) -> None:
    nobody.post(LOGIN, json={"email": "owner@example.org", "password": "wrong horse battery"})
    signed_in(nobody)

    with db.quick():
        entries = db.rows(
            "SELECT action, actor, details FROM audit_log WHERE action LIKE 'auth.%%' ORDER BY id"
        )
    assert [(e["action"], e["actor"]) for e in entries] == [
        ("auth.failed", "owner@example.org"),
        ("auth.signed_in", owner.id),
    ]
    assert "battery" not in str(entries)


def test_refreshing_gives_new_tokens_and_spends_the_old_one(nobody: Caller, owner: Caller) -> None:
    first = signed_in(nobody)
    second = nobody.post(REFRESH, json={"refresh_token": first["refresh_token"]}).json
    assert second is not None
    assert by_token(owner, second).get("/api/v1/me").status_code == 200

    assert nobody.post(REFRESH, json={"refresh_token": first["refresh_token"]}).status_code == 401
    assert nobody.post(REFRESH, json={"refresh_token": second["refresh_token"]}).status_code == 401
    assert by_token(owner, second).get("/api/v1/me").status_code == 401


def test_of_parallel_refreshes_exactly_one_wins(nobody: Caller, owner: Caller) -> None:
    token, start = signed_in(nobody)["refresh_token"], Barrier(6)

    def use(_: int) -> int:
        start.wait()
        return nobody.post(REFRESH, json={"refresh_token": token}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(use, range(6))) == [200, 401, 401, 401, 401, 401]


def test_signing_out_ends_the_login_at_once(nobody: Caller, owner: Caller) -> None:
    tokens = signed_in(nobody)
    assert by_token(owner, tokens).post("/api/v1/auth/logout").status_code == 204

    assert by_token(owner, tokens).get("/api/v1/me").status_code == 401
    assert nobody.post(REFRESH, json={"refresh_token": tokens["refresh_token"]}).status_code == 401
    assert owner.get("/api/v1/me").status_code == 200  # the API key is no login


def test_a_demotion_is_felt_at_once(nobody: Caller, owner: Caller, admin: Caller) -> None:
    tokens = signed_in(nobody)
    admin.call("PATCH", f"/api/v1/users/{owner.id}", json={"role": "viewer"})

    assert by_token(owner, tokens).get("/api/v1/me").status_code == 401
    assert owner.post("/api/v1/jobs", json={"agent_id": "test-echo"}).status_code == 403


def test_changing_the_password_needs_the_old_one_and_ends_every_login(nobody: Caller, owner: Caller) -> None:
    tokens = signed_in(nobody)
    wrong = {"current_password": "wrong horse battery", "new_password": "another battery"}
    refused = by_token(owner, tokens).post("/api/v1/auth/password", json=wrong)
    assert refused.json is not None
    assert [error["pointer"] for error in refused.json["errors"]] == ["/current_password"]

    right = wrong | {"current_password": PASSWORD}
    assert by_token(owner, tokens).post("/api/v1/auth/password", json=right).status_code == 204
    assert by_token(owner, tokens).get("/api/v1/me").status_code == 401
    assert nobody.post(LOGIN, json={"email": "owner@example.org", "password": PASSWORD}).status_code == 401
    with db.transaction():
        assert users.sign_in("owner@example.org", "another battery")


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: jwt.encode(body, "", algorithm="none"),
        lambda body: jwt.encode(body, "another key that nobody has given us", algorithm="HS256"),
        lambda body: jwt.encode(body | {"aud": "other"}, "another key that nobody has given us"),
        lambda _: "garbage",
        lambda _: "cb_garbage",
    ],
)
def test_a_forged_token_is_refused_with_the_way_to_a_good_one(
    forge: Callable[[dict[str, Any]], str], nobody: Caller, owner: Caller
) -> None:
    body = jwt.decode(signed_in(nobody)["access_token"], options={"verify_signature": False})
    refused = replace(owner, key=forge(body)).get("/api/v1/me")

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="callboard"'


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_what_is_no_bearer_is_nobody(header: str, nobody: Caller) -> None:
    assert nobody.get("/api/v1/me", headers={"Authorization": header}).status_code == 401


def test_a_key_may_come_in_its_own_header(nobody: Caller, owner: Caller) -> None:
    assert nobody.get("/api/v1/me", headers={"X-API-Key": owner.key or ""}).status_code == 200


def test_without_a_jwt_secret_the_key_is_derived_and_with_one_it_is_that(
    configure: Callable[..., None], nobody: Caller, owner: Caller, app: Flask
) -> None:
    before = signed_in(nobody)
    assert app.config["CALLBOARD"].jwt_secret == ""
    configure(jwt_secret="a secret of its own, and long enough for HS256")

    assert by_token(owner, before).get("/api/v1/me").status_code == 401
    assert by_token(owner, signed_in(nobody)).get("/api/v1/me").status_code == 200


def test_me_says_what_one_may_do(viewer: Caller) -> None:
    me = viewer.get("/api/v1/me").json

    assert me is not None
    assert (me["permissions"]["view_task"], me["permissions"]["submit_task"]) == ("yes", "no")


@pytest.mark.parametrize("email", ["owner@example.org", "nobody@example.org"])
def test_too_many_wrong_passwords_lock_and_say_for_how_long(
    nobody: Caller, owner: Caller, email: str
) -> None:
    wrong = {"email": email, "password": "wrong horse battery"}
    answers = [nobody.post(LOGIN, json=wrong) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    for answer in answers[5:]:
        assert answer.json is not None
        assert answer.json["code"] == "locked"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert nobody.post(LOGIN, json=wrong | {"password": PASSWORD}).status_code == 429


def test_of_many_attempts_at_once_no_more_than_six_are_looked_at(nobody: Caller, owner: Caller) -> None:
    wrong, start = {"email": "owner@example.org", "password": "wrong horse battery"}, Barrier(12)

    def attempt(_: int) -> int:
        start.wait()
        return nobody.post(LOGIN, json=wrong).status_code

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(attempt, range(12))) == [401] * 5 + [429] * 7
    with db.quick():
        assert db.value("SELECT failed_count FROM users WHERE user_id = %(id)s", id=owner.id) == 6
        assert db.value("SELECT count(*) FROM audit_log WHERE action = 'auth.failed'") == 6
        assert db.value("SELECT count(*) FROM audit_log WHERE action = 'auth.locked'") == 1


def test_an_unknown_name_takes_as_long_as_a_wrong_password(nobody: Caller, owner: Caller) -> None:
    def seconds(email: str) -> float:
        began = time.perf_counter()
        assert nobody.post(LOGIN, json={"email": email, "password": "wrong horse battery"}).status_code == 401
        return time.perf_counter() - began

    known, unknown = [], []
    for turn in range(4):  # in turns, so that a busy machine slows down both
        known.append(seconds("owner@example.org"))
        unknown.append(seconds(f"nobody{turn}@example.org"))
    assert 0.5 < min(unknown) / min(known) < 2


def test_a_wrong_current_password_counts_as_one(nobody: Caller, owner: Caller) -> None:
    tokens = signed_in(nobody)
    wrong = {"current_password": "wrong horse battery", "new_password": "another battery"}
    codes = [by_token(owner, tokens).post("/api/v1/auth/password", json=wrong).status_code for _ in range(7)]

    assert codes == [422] * 5 + [429] * 2


def test_one_sees_where_one_is_signed_in_and_ends_it(nobody: Caller, owner: Caller) -> None:
    here, there = signed_in(nobody), signed_in(nobody)
    me = by_token(owner, here)
    listed = (me.get(LOGINS).json or {})["logins"]
    assert [(each["kind"], each["alive"]) for each in listed] == [("token", True)] * 2
    (current,) = [each for each in listed if each["current"]]
    (other,) = [each for each in listed if not each["current"]]

    assert me.call("DELETE", f"{LOGINS}/{other['login_id']}").status_code == 204
    assert by_token(owner, there).get("/api/v1/me").status_code == 401
    assert nobody.post(REFRESH, json={"refresh_token": there["refresh_token"]}).status_code == 401
    signed_in(nobody)
    assert me.call("DELETE", LOGINS).json == {"ended": 1}
    assert me.get("/api/v1/me").status_code == 200
    assert owner.call("DELETE", f"{LOGINS}/{current['login_id']}").status_code == 204
    assert me.get("/api/v1/me").status_code == 401


def test_asking_for_a_link_tells_nobody_whether_there_is_an_account(
    configure: Callable[..., None], nobody: Caller, owner: Caller
) -> None:
    configure(smtp_host="mail.example.org")
    answers = [
        nobody.post("/api/v1/auth/forgot", json={"email": email})
        for email in ("OWNER@example.org", "nobody@example.org")
    ]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    with db.quick():
        sent = [(row["event"], row["target"]) for row in db.rows("SELECT event, target FROM deliveries")]
    assert sent == [("account.reset", "owner@example.org")]


def test_asking_for_links_is_limited_by_name(nobody: Caller, owner: Caller) -> None:
    codes = [
        nobody.post("/api/v1/auth/forgot", json={"email": "owner@example.org"}).status_code for _ in range(6)
    ]

    assert codes == [202] * 5 + [429]


def test_a_link_gives_a_new_password_and_ends_every_login(nobody: Caller, owner: Caller) -> None:
    tokens = signed_in(nobody)
    with db.transaction():
        token = links.make(owner.id, "reset")
    wish = {"token": token, "password": "another battery"}

    assert nobody.post("/api/v1/auth/reset", json=wish | {"password": "short"}).status_code == 422
    assert nobody.post("/api/v1/auth/reset", json=wish).status_code == 204
    assert nobody.post("/api/v1/auth/reset", json=wish).status_code == 404
    assert by_token(owner, tokens).get("/api/v1/me").status_code == 401
    assert (
        nobody.post(LOGIN, json={"email": "owner@example.org", "password": "another battery"}).status_code
        == 200
    )


def test_tokens_of_the_key_before_are_accepted_while_it_is_named(
    configure: Callable[..., None], nobody: Caller, owner: Caller
) -> None:
    old, new = "the old secret, and long enough for HS256", "the new secret, and long enough for HS256"
    configure(jwt_secret=old)
    before = signed_in(nobody)
    configure(jwt_secret=new, jwt_secret_previous=old)
    assert by_token(owner, before).get("/api/v1/me").status_code == 200
    after = signed_in(nobody)
    configure(jwt_secret=new)

    assert by_token(owner, before).get("/api/v1/me").status_code == 401
    assert by_token(owner, after).get("/api/v1/me").status_code == 200
