from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.accounts import api_keys, queries, users
from app.accounts.api_keys import FreshKey
from app.accounts.permissions import Principal
from app.db import db
from app.errors import Forbidden, Invalid, NotFound


def principal(role: str = "user", **more: object) -> Principal:
    made = users.create(f"{role}.keys@example.org", None, role=role)
    return Principal(user_id=str(made["user_id"]), email=made["email"], role=role, **more)  # type: ignore[arg-type]


@pytest.fixture
def owner() -> Principal:
    return principal()


@pytest.fixture
def key(owner: Principal) -> FreshKey:
    return api_keys.create(owner, name="test")


def test_a_key_speaks_for_its_owner_with_its_scopes(owner: Principal) -> None:
    key = api_keys.create(owner, name="reader", scopes=frozenset({"read"}))
    who = api_keys.recognise(key.text)

    assert who is not None
    assert (who.user_id, who.role, who.scopes, who.key_id) == (owner.user_id, "user", {"read"}, key.key_id)


def test_a_key_has_the_promised_form(key: FreshKey) -> None:
    assert api_keys.PATTERN.fullmatch(key.text)
    assert key.text.startswith(f"cb_{key.key_id}_")


@pytest.mark.parametrize("role", ["admin", "user", "viewer"])
def test_without_scopes_a_key_gets_all_that_its_maker_has(role: str) -> None:
    who = api_keys.recognise(api_keys.create(principal(role), name="all").text)

    expected = {"admin": {"read", "write", "admin"}, "user": {"read", "write"}, "viewer": {"read"}}
    assert who is not None
    assert who.scopes == expected[role]


def test_nobody_gives_a_scope_they_lack() -> None:
    with pytest.raises(Forbidden):
        api_keys.create(principal("viewer"), name="x", scopes=frozenset({"write"}))
    with pytest.raises(Forbidden):
        api_keys.create(
            principal("admin", scopes=frozenset({"write"})), name="x", scopes=frozenset({"admin"})
        )


def test_unknown_empty_and_expired_are_invalid(owner: Principal) -> None:
    with pytest.raises(Invalid):
        api_keys.create(owner, name="x", scopes=frozenset({"fly"}))
    with pytest.raises(Invalid):
        api_keys.create(owner, name="x", scopes=frozenset())
    with pytest.raises(Invalid):
        api_keys.create(owner, name="x", expires_at=clock.now())


def test_a_wrong_secret_an_unknown_id_and_another_format_are_nobody(key: FreshKey) -> None:
    swapped = key.text[:-5] + key.text[:-6:-1].swapcase()
    assert swapped != key.text
    for text in (swapped, key.text + "A", key.text[:-1], "cb_aaaaaaaa_" + "a" * 43, "", "cb_", "x" * 1000):
        assert api_keys.recognise(text) is None


def test_a_revoked_key_is_nobody_at_once(owner: Principal, key: FreshKey) -> None:
    first = api_keys.revoke(owner, key.key_id)["revoked_at"]

    assert api_keys.recognise(key.text) is None
    assert api_keys.revoke(owner, key.key_id)["revoked_at"] == first


def test_revoking_what_is_not_there_says_so(owner: Principal) -> None:
    with pytest.raises(NotFound):
        api_keys.revoke(owner, "nothing1")


def test_an_expired_key_is_nobody(owner: Principal) -> None:
    key = api_keys.create(owner, name="short", expires_at=clock.now() + timedelta(hours=1))
    assert api_keys.recognise(key.text) is not None
    db.run("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE key_id = %(k)s", k=key.key_id)

    assert api_keys.recognise(key.text) is None


def test_the_key_of_a_disabled_user_is_nobody_and_of_a_demoted_one_shrinks(
    owner: Principal, key: FreshKey
) -> None:
    users.change(owner.user_id, role="viewer", actor="test")
    who = api_keys.recognise(key.text)
    assert who is not None
    assert who.scopes == {"read"}

    users.change(owner.user_id, enabled=False, actor="test")
    assert api_keys.recognise(key.text) is None


def test_use_is_noted_at_most_once_a_minute(key: FreshKey) -> None:
    def last_used() -> object:
        row = queries.api_key(key.key_id)
        assert row is not None
        return row["last_used_at"]

    assert last_used() is None
    api_keys.recognise(key.text)
    db.run("UPDATE api_keys SET last_used_at = now() - interval '30 s' WHERE key_id = %(k)s", k=key.key_id)
    recent = last_used()
    api_keys.recognise(key.text)
    assert last_used() == recent

    db.run("UPDATE api_keys SET last_used_at = now() - interval '61 s' WHERE key_id = %(k)s", k=key.key_id)
    api_keys.recognise(key.text)
    assert last_used() > recent  # type: ignore[operator]


def test_the_table_holds_no_secret(key: FreshKey) -> None:
    secret = key.text.split("_", 2)[2]
    rows = db.rows("SELECT api_keys::text AS whole FROM api_keys")

    assert rows
    assert not [row for row in rows if secret in row["whole"]]


def test_reading_keys_never_shows_a_hash(owner: Principal, key: FreshKey) -> None:
    page, total = queries.api_keys(owner.user_id, limit=10, offset=0)

    assert (total, [row["key_id"] for row in page]) == (1, [key.key_id])
    assert "secret_sha256" not in page[0]


def test_a_given_key_of_another_form_is_refused(owner: Principal) -> None:
    with pytest.raises(Invalid, match="looks like"):
        api_keys.store("secret", user_id=owner.user_id, name="x", scopes=frozenset({"read"}))
