from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from argon2 import PasswordHasher
from flask import Flask

from app.accounts import api_keys, queries, users
from app.db import db
from app.errors import CallboardError, Conflict, Invalid, NotFound, Unauthenticated

PASSWORD = "correct horse battery"


def stored_hash(email: str) -> str:
    return str(db.value("SELECT password_hash FROM users WHERE email = %(email)s", email=email))


@pytest.fixture
def ada() -> str:
    return str(users.create("Ada@Example.org", PASSWORD, role="user", name="Ada")["user_id"])


def test_people_sign_in_with_any_case_of_their_address(ada: str) -> None:
    assert str(users.sign_in("ADA@example.ORG", PASSWORD)["user_id"]) == ada


def test_signing_in_notes_when(ada: str) -> None:
    assert users.sign_in("ada@example.org", PASSWORD)["last_login_at"] is not None


def test_wrong_password_unknown_name_disabled_and_passwordless_are_told_the_same(ada: str) -> None:
    users.create("robot@example.org", None, role="user")
    users.create("gone@example.org", PASSWORD, role="user")
    gone = queries.user_by_email("gone@example.org")
    assert gone is not None
    users.change(str(gone["user_id"]), enabled=False, actor="test")

    told = set()
    for email, password in (
        ("ada@example.org", "wrong horse battery"),
        ("nobody@example.org", PASSWORD),
        ("gone@example.org", PASSWORD),
        ("robot@example.org", "nobody has this password"),
    ):
        with pytest.raises(Unauthenticated) as refused:
            users.sign_in(email, password)
        told.add(refused.value.message)

    assert len(told) == 1


def test_an_address_is_taken_in_every_case(ada: str) -> None:
    with pytest.raises(Conflict):
        users.create("ADA@EXAMPLE.ORG", PASSWORD, role="user")


@pytest.mark.parametrize("email", ["", "x", "a@", "@b", "a b@c", "a@b\n", "a@b@c", "x" * 200 + "@y"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Invalid) as refused:
        users.create(email, PASSWORD, role="user")

    assert refused.value.fields[0][0] == "/email"


def test_an_unknown_role_is_refused(ada: str) -> None:
    with pytest.raises(Invalid):
        users.create("b@example.org", PASSWORD, role="root")
    with pytest.raises(Invalid):
        users.change(ada, role="root", actor="test")


def test_a_hash_with_old_figures_is_renewed_at_login(ada: str) -> None:
    weak = PasswordHasher(memory_cost=1024, time_cost=1, parallelism=1).hash(PASSWORD)
    db.run("UPDATE users SET password_hash = %(weak)s WHERE user_id = %(id)s", weak=weak, id=ada)
    users.sign_in("ada@example.org", PASSWORD)

    assert "m=19456" in stored_hash("ada@example.org")
    assert users.sign_in("ada@example.org", PASSWORD)


def test_changing_a_user_who_is_not_there_says_so() -> None:
    with pytest.raises(NotFound):
        users.change("00000000-0000-7000-8000-000000000000", name="x", actor="test")


def test_changes_are_audited_without_the_password(ada: str) -> None:
    users.change(ada, password="another battery", role="viewer", actor="boss")
    entries = db.rows("SELECT actor, details::text FROM audit_log WHERE subject = %(id)s ORDER BY id", id=ada)

    assert [entry["actor"] for entry in entries] == ["system", "boss"]
    assert "another battery" not in str(entries)


def only_admins() -> None:
    db.run("UPDATE users SET role = 'user' WHERE role = 'admin'")


def test_the_last_admin_can_neither_be_demoted_nor_disabled() -> None:
    only_admins()
    boss = str(users.create("boss@example.org", PASSWORD, role="admin")["user_id"])

    with pytest.raises(Conflict):
        users.change(boss, role="user", actor=boss)
    with pytest.raises(Conflict):
        users.change(boss, enabled=False, actor=boss)
    users.change(boss, name="Boss", role="admin", actor=boss)


def test_the_first_admin_is_made_with_secrets_that_are_told_once() -> None:
    made = users.ensure_admin("root@example.org", "", "")

    assert made.password
    assert made.api_key
    assert users.sign_in("root@example.org", made.password)["role"] == "admin"
    who = api_keys.recognise(made.api_key)
    assert who is not None
    assert who.scopes == {"read", "write", "admin"}

    again = users.ensure_admin("root@example.org", "", "")
    assert (again.user_id, again.password, again.api_key) == (made.user_id, None, None)


def test_given_secrets_are_used_and_not_repeated() -> None:
    key = api_keys.generate().text
    made = users.ensure_admin("root@example.org", PASSWORD, key)

    assert (made.password, made.api_key) == (None, None)
    assert users.sign_in("root@example.org", PASSWORD)
    assert api_keys.recognise(key)


def test_an_existing_admin_keeps_the_password_and_gains_the_key() -> None:
    users.ensure_admin("root@example.org", PASSWORD, "")
    key = api_keys.generate().text
    users.ensure_admin("root@example.org", "another battery", key)

    assert users.sign_in("root@example.org", PASSWORD)
    assert api_keys.recognise(key)


class TestInParallel:
    """With real transactions, so these clean up by hand."""

    @pytest.fixture
    def two_admins(self, app: Flask) -> Iterator[list[str]]:
        others = [
            row["user_id"] for row in db.rows("SELECT user_id FROM users WHERE role = 'admin' AND enabled")
        ]
        db.run("UPDATE users SET enabled = false WHERE user_id = ANY(%(ids)s::uuid[])", ids=others)
        made = [str(users.create(f"pair{n}@example.org", None, role="admin")["user_id"]) for n in (1, 2)]
        db.session.commit()
        yield made
        db.session.rollback()
        db.run("DELETE FROM users WHERE user_id = ANY(%(ids)s::uuid[])", ids=made)
        db.run("UPDATE users SET enabled = true WHERE user_id = ANY(%(ids)s::uuid[])", ids=others)
        db.session.commit()

    def test_two_admins_who_demote_each_other_leave_one(self, app: Flask, two_admins: list[str]) -> None:
        start = Barrier(2)

        def demote(user_id: str) -> bool:
            with app.app_context():
                start.wait()
                try:
                    users.change(user_id, role="user", actor="test")
                except CallboardError:
                    db.session.rollback()
                    return False
                db.session.commit()
                return True

        with ThreadPoolExecutor(2) as pool:
            done = sorted(pool.map(demote, two_admins))

        assert done == [False, True]
