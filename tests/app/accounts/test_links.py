from __future__ import annotations

import pytest

from app.accounts import forgetting, links, lockout, logins, users
from app.db import db
from app.errors import Conflict, Invalid, NotFound

OLD, NEW = "correct horse battery", "another battery"


@pytest.fixture
def ada() -> str:
    return str(users.create("ada@example.org", OLD, role="user")["user_id"])


def age(hours: float) -> None:
    db.run("UPDATE account_links SET expires_at = expires_at - %(hours)s * interval '1 hour'", hours=hours)


def test_a_link_gives_a_new_password_once(ada: str) -> None:
    token = links.make(ada, "reset")
    assert links.read(token)["email"] == "ada@example.org"

    links.use(token, NEW)

    assert str(users.sign_in("ada@example.org", NEW)["user_id"]) == ada
    for use in (lambda: links.use(token, OLD), lambda: links.read(token)):
        with pytest.raises(NotFound):
            use()


def test_it_ends_every_login_and_a_lock(ada: str) -> None:
    login_id = logins.open_login(
        ada, kind="browser", method="password", ip=None, user_agent=None, life=links.LIVES["reset"]
    )
    for _ in range(6):
        lockout.failed(ada)

    links.use(links.make(ada, "reset"), NEW)

    assert not logins.alive(login_id)
    assert users.sign_in("ada@example.org", NEW)


def test_a_password_that_may_not_be_leaves_the_link_good(ada: str) -> None:
    token = links.make(ada, "reset")
    with pytest.raises(Invalid):
        links.use(token, "short")

    assert links.use(token, NEW)


@pytest.mark.parametrize(("purpose", "hours"), [("reset", 1), ("invite", 7 * 24)])
def test_it_ends_with_its_time(ada: str, purpose: links.Purpose, hours: int) -> None:
    token = links.make(ada, purpose)
    age(hours - 0.1)
    assert links.read(token)["purpose"] == purpose
    age(0.2)

    with pytest.raises(NotFound):
        links.use(token, NEW)
    assert links.living(ada) == []


def test_only_the_newest_of_a_kind_works(ada: str) -> None:
    first, invitation, second = links.make(ada, "reset"), links.make(ada, "invite"), links.make(ada, "reset")

    with pytest.raises(NotFound):
        links.read(first)
    assert {each["purpose"] for each in links.living(ada)} == {"invite", "reset"}
    links.use(second, NEW)
    with pytest.raises(NotFound):  # a password was chosen: nobody needs it any more
        links.read(invitation)


def test_there_is_none_for_whoever_is_switched_off_or_unknown(ada: str) -> None:
    token = links.make(ada, "reset")
    users.change(ada, enabled=False, actor="boss")

    with pytest.raises(NotFound):
        links.use(token, NEW)
    with pytest.raises(Conflict):
        links.make(ada, "reset")
    with pytest.raises(NotFound):
        links.make("00000000-0000-7000-8000-000000000000", "reset")


@pytest.mark.parametrize(
    "token", ["", "x", "\x00" * 43, "\ud800" * 43, "é" * 43, "a" * 43, "a" * 5000, "' OR 1=1 --"]
)
def test_what_is_no_link_is_none(token: str) -> None:
    with pytest.raises(NotFound):
        links.read(token)


def test_neither_the_database_nor_the_audit_log_knows_the_token(ada: str) -> None:
    token = links.make(ada, "reset", by="boss")
    stored = str(db.rows("SELECT * FROM account_links")) + str(db.rows("SELECT * FROM audit_log"))

    assert token not in stored
    assert [(each["purpose"], each["created_by"]) for each in links.living(ada)] == [("reset", "boss")]


def test_old_links_are_pruned(ada: str) -> None:
    links.make(ada, "reset")
    age(1 + 7 * 24 - 0.1)
    assert links.prune() == 0
    age(0.2)

    assert links.prune() == 1


def test_only_who_signs_in_with_a_password_is_sent_a_link_and_every_wish_is_written_down(ada: str) -> None:
    users.create("machine@example.org", None, role="user")
    asked = [
        forgetting.ask(email) for email in ("ADA@example.org", "machine@example.org", "nobody@example.org")
    ]

    assert [person and person["user_id"] for person in asked] == [ada, None, None]
    assert db.value("SELECT count(*) FROM audit_log WHERE action = 'auth.reset_asked'") == 3
