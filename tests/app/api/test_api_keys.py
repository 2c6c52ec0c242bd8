from __future__ import annotations

from dataclasses import replace

import pytest

from app.accounts import users
from app.db import db
from tests.app.api.calling import Caller
from tests.app.api.conftest import PASSWORD

PATH = "/api/v1/api-keys"


def test_a_new_key_is_shown_once_and_works(owner: Caller) -> None:
    made = owner.post(PATH, json={"name": "ci", "scopes": ["read"]})
    assert made.json is not None
    assert made.status_code == 201
    assert made.json["scopes"] == ["read"]

    assert replace(owner, key=made.json["api_key"]).get("/api/v1/me").status_code == 200
    assert "api_key" not in (owner.get(f"{PATH}/{made.json['key_id']}").json or {})


def test_a_revoked_key_stops_at_once_and_revoking_again_is_no_error(owner: Caller) -> None:
    made = owner.post(PATH, json={"name": "ci"}).json
    assert made is not None
    path = f"{PATH}/{made['key_id']}"

    first, second = (owner.call("DELETE", path).json for _ in range(2))
    assert first is not None
    assert first == second
    assert first["revoked_at"]
    assert replace(owner, key=made["api_key"]).get("/api/v1/me").status_code == 401


def test_users_list_their_own_keys_and_admins_all(owner: Caller, other: Caller, admin: Caller) -> None:
    mine, everybodys = (caller.get(PATH).json for caller in (owner, admin))

    assert mine is not None
    assert everybodys is not None
    assert {key["user_id"] for key in mine["api_keys"]} == {owner.id}
    assert {owner.id, other.id, admin.id} <= {key["user_id"] for key in everybodys["api_keys"]}
    assert everybodys["total"] == len(everybodys["api_keys"])


def test_viewers_manage_their_read_keys_when_signed_in(nobody: Caller, viewer: Caller) -> None:
    with db.transaction():
        users.change(viewer.id, password=PASSWORD, actor="test")
    tokens = nobody.post(
        "/api/v1/auth/login", json={"email": "viewer@example.org", "password": PASSWORD}
    ).json
    assert tokens is not None
    person = replace(viewer, key=tokens["access_token"])

    made = person.post(PATH, json={"name": "mine"})
    assert made.json is not None
    assert made.json["scopes"] == ["read"]
    assert person.post(PATH, json={"name": "more", "scopes": ["write"]}).status_code == 403
    assert person.call("DELETE", f"{PATH}/{made.json['key_id']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "expires_at": "2031-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "user_id": "somebody"}, "/user_id"),
        ({"name": "x", "key_id": "12345678"}, "/key_id"),
    ],
)
def test_a_wrong_key_names_the_field(body: dict[str, object], pointer: str, owner: Caller) -> None:
    refused = owner.post(PATH, json=body)

    assert refused.json is not None
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, pointer)
