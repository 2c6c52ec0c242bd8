from __future__ import annotations

import pytest

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
