"""`callboard users …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from app.accounts import links, lockout, queries, users
from app.db import db
from app.settings import Settings
from tests.app.cli.calling import ADMIN, Run, caller, told

ADA, PASSWORD = "ada@example.org", "correct horse battery"


@pytest.fixture
def run(quick: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on a clean database with one admin."""
    return caller("users", settings, monkeypatch, user=ADA)


def signs_in(email: str, password: str) -> bool:
    with db.transaction():
        return users.sign_in(email, password)["email"] == email


def test_who_may_come_in(run: Run) -> None:
    for words in ((), ("list",)):
        done = run(*words)
        assert done.exit_code == 0
        assert [line.split()[:3] for line in done.output.splitlines()] == [
            [ADA, "user", "on"],
            [ADMIN, "admin", "on"],
        ]
    assert [each["email"] for each in told(run, "list")] == [ADA, ADMIN]
    assert "password_hash" not in run("list", "--json").output


def test_a_new_person_gets_a_link_and_chooses_a_password_by_it(run: Run) -> None:
    made = told(run, "add", "Bea@example.org", "--role", "viewer", "--name", "Bea")
    assert (made["email"], made["role"], made["has_password"]) == ("bea@example.org", "viewer", False)
    with db.transaction():
        links.use(made["link"].rpartition("/")[2], PASSWORD)

    assert signs_in("bea@example.org", PASSWORD)
    assert run("add", "bea@example.org").exit_code == 1
    assert run("add", "c@example.org", "--role", "root").exit_code == 2
    assert run("add", "c@example.org", "--password", "--keys-only").exit_code == 2


def test_a_password_comes_from_standard_input_and_is_printed_nowhere(run: Run) -> None:
    done = run("password", ADA, stdin=PASSWORD + "\n")

    assert (done.exit_code, done.output) == (0, f"{ADA}: has a new password\n")
    assert signs_in(ADA, PASSWORD)
    refused = run("password", ADA, stdin="short\n")
    assert refused.exit_code == 1
    assert "10 to 200 characters" in refused.output
    added = run("add", "bea@example.org", "--password", stdin=PASSWORD + "\n")
    assert added.output == "added: bea@example.org (user)\n"
    assert signs_in("bea@example.org", PASSWORD)


def test_a_last_admin_who_is_locked_out_comes_back_in(run: Run) -> None:
    with db.transaction():
        admin = queries.user_by_email(ADMIN)
        assert admin
        for _ in range(6):
            lockout.failed(str(admin["user_id"]))
    assert " locked " in run("list").output

    assert run("password", ADMIN, stdin=PASSWORD + "\n").exit_code == 0
    assert signs_in(ADMIN, PASSWORD)


def test_a_lock_is_lifted_and_that_is_written_down(run: Run) -> None:
    assert "was not locked" in run("unlock", ADA).output
    with db.transaction():
        user = queries.user_by_email(ADA)
        assert user
        for _ in range(6):
            lockout.failed(str(user["user_id"]))

    assert "may try again" in run("unlock", ADA).output
    with db.quick():
        assert db.value("SELECT count(*) FROM audit_log WHERE action = 'user.unlocked'") == 1


def test_roles_change_and_the_last_admin_stays_one(run: Run) -> None:
    assert told(run, "role", ADA, "admin")["role"] == "admin"
    assert told(run, "disable", ADMIN)["enabled"] is False
    for words in (("role", ADA, "user"), ("disable", ADA)):
        done = run(*words)
        assert done.exit_code == 1
        assert "last admin" in done.output
    assert told(run, "enable", ADMIN)["enabled"] is True


def test_whoever_is_unknown_or_off_gets_no_link(run: Run) -> None:
    assert run("disable", ADA).exit_code == 0
    assert "switched off" in run("invite", ADA).output
    for command in ("invite", "unlock", "disable", "password"):
        done = run(command, "nobody@example.org", stdin=PASSWORD + "\n")
        assert done.exit_code == 1
        assert "there is no user nobody@example.org" in done.output
