from __future__ import annotations

from collections.abc import Callable

import pytest

from app.db import db
from tests.app.api.calling import Caller

PATH = "/api/v1/users"


def test_an_admin_adds_changes_and_finds_users(admin: Caller) -> None:
    made = admin.post(PATH, json={"email": "New@Example.org", "role": "viewer", "name": "New"}).json
    assert made is not None
    assert (made["email"], made["role"], made["enabled"]) == ("new@example.org", "viewer", True)

    changed = admin.call("PATCH", f"{PATH}/{made['user_id']}", json={"enabled": False}).json
    assert changed == admin.get(f"{PATH}/{made['user_id']}").json
    assert changed is not None
    assert (changed["enabled"], changed["role"], changed["name"]) == (False, "viewer", "New")
    listed = admin.get(PATH).json
    assert listed is not None
    assert [user["email"] for user in listed["users"]] == ["admin@example.org", "new@example.org"]


def test_an_address_is_taken_once(admin: Caller) -> None:
    assert admin.post(PATH, json={"email": "ADMIN@example.org"}).status_code == 409


def test_the_last_admin_stays(admin: Caller) -> None:
    refused = admin.call("PATCH", f"{PATH}/{admin.id}", json={"role": "user"})

    assert refused.status_code == 409
    assert admin.get("/api/v1/me").status_code == 200


def test_who_is_not_there_is_not_found(admin: Caller) -> None:
    nothing = f"{PATH}/01890000-0000-7000-8000-000000000000"

    assert admin.get(nothing).status_code == 404
    assert admin.call("PATCH", nothing, json={"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    "field", ["user_id", "password_hash", "token_version", "created_at", "last_login_at"]
)
def test_what_is_not_for_clients_cannot_be_set(field: str, admin: Caller) -> None:
    refused = admin.call("PATCH", f"{PATH}/{admin.id}", json={field: "x"})

    assert refused.json is not None
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, f"/{field}")


def test_a_hash_is_never_sent(admin: Caller) -> None:
    assert "argon2" not in admin.get(PATH).get_data(as_text=True)


def test_an_invited_user_chooses_a_password_by_the_link(admin: Caller, nobody: Caller) -> None:
    made = admin.post(PATH, json={"email": "new@example.org", "invite": True}).json or {}
    token = made["invite_link"].rpartition("/")[2]
    assert (made["has_password"], made["logins"], made["api_keys"], made["locked_until"]) == (
        False,
        0,
        0,
        None,
    )

    chosen = {"token": token, "password": "correct horse battery"}
    assert nobody.post("/api/v1/auth/reset", json=chosen).status_code == 204
    login = {"email": "new@example.org", "password": "correct horse battery"}
    assert nobody.post("/api/v1/auth/login", json=login).status_code == 200
    shown = admin.get(f"{PATH}/{made['user_id']}").json or {}
    assert (shown["has_password"], shown["logins"]) == (True, 1)
    assert shown["last_login_at"]


@pytest.mark.parametrize("more", [{"invite": True}, {"send": True}])
def test_an_invitation_and_a_password_contradict_each_other(admin: Caller, more: dict[str, bool]) -> None:
    wish = {"email": "new@example.org", "password": "correct horse battery", **more}

    assert admin.post(PATH, json=wish).status_code == 422
    assert (admin.get(PATH).json or {})["total"] == 1


def test_a_link_is_answered_or_mailed_and_never_both(
    configure: Callable[..., None], admin: Caller, owner: Caller
) -> None:
    place = f"{PATH}/{owner.id}/invite-link"
    assert admin.post(place, json={"send": True}).status_code == 422  # there is no mail server
    answered = admin.post(place, json={"purpose": "reset"}).json or {}
    assert (answered["purpose"], answered["hours"], "/reset/" in answered["link"]) == ("reset", 1, True)

    configure(smtp_host="mail.example.org")
    mailed = admin.post(place, json={"send": True}).json or {}
    assert (mailed["link"], mailed["hours"]) == (None, 7 * 24)
    with db.quick():
        assert [row["event"] for row in db.rows("SELECT event FROM deliveries")] == ["account.invite"]
    admin.call("PATCH", f"{PATH}/{owner.id}", json={"enabled": False})
    assert admin.post(place, json={"send": True}).status_code == 409
    assert admin.post(place).status_code == 409


def test_an_admin_sees_the_logins_of_a_user_ends_them_and_lifts_a_lock(
    admin: Caller, nobody: Caller, owner: Caller
) -> None:
    login = {"email": "owner@example.org", "password": "correct horse battery"}
    nobody.post("/api/v1/auth/login", json=login)
    (seen,) = (admin.get(f"{PATH}/{owner.id}/logins").json or {})["logins"]
    assert (seen["ip"], seen["alive"], seen["current"]) == ("127.0.0.1", True, False)
    assert admin.call("DELETE", f"{PATH}/{owner.id}/logins").json == {"ended": 1}

    for _ in range(6):
        nobody.post("/api/v1/auth/login", json=login | {"password": "wrong horse battery"})
    assert (admin.get(f"{PATH}/{owner.id}").json or {})["locked_until"]
    assert (admin.post(f"{PATH}/{owner.id}/unlock").json or {})["locked_until"] is None
    assert nobody.post("/api/v1/auth/login", json=login).status_code == 200
    with db.quick():
        done = [
            row["action"]
            for row in db.rows("SELECT action FROM audit_log WHERE actor = %(id)s ORDER BY id", id=admin.id)
        ]
    assert done[-2:] == ["user.signed_out", "user.unlocked"]


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", "logins"), ("DELETE", "logins"), ("POST", "unlock"), ("POST", "invite-link")]
)
def test_of_nobody_there_is_nothing_to_do(admin: Caller, method: str, tail: str) -> None:
    assert admin.call(method, f"{PATH}/01890000-0000-7000-8000-000000000000/{tail}").status_code == 404
