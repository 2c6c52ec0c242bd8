from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from flask import Flask

from app.accounts import logins, queries, refresh, users
from app.accounts.refresh import Session
from app.db import db

WEEK = timedelta(days=7)


@pytest.fixture
def user_id() -> str:
    return str(users.create("refresh@example.org", "correct horse battery", role="user")["user_id"])


@pytest.fixture
def login(user_id: str) -> Session:
    return refresh.open_session(user_id, token_version=0, life=WEEK)


def rotated(token: str) -> Session:
    session = refresh.rotate(token, life=WEEK)
    assert session is not None
    return session


def test_a_refresh_token_is_traded_for_another_of_the_same_login(login: Session) -> None:
    second = rotated(login.refresh_token)

    assert second.claims == login.claims
    assert second.refresh_token != login.refresh_token


def test_using_a_token_twice_ends_the_whole_login(login: Session) -> None:
    second = rotated(login.refresh_token)

    assert refresh.rotate(login.refresh_token, life=WEEK) is None
    assert refresh.rotate(second.refresh_token, life=WEEK) is None
    assert queries.bearer(login.claims) is None


def test_another_login_of_the_same_user_goes_on(login: Session, user_id: str) -> None:
    other = refresh.open_session(user_id, token_version=0, life=WEEK)
    rotated(login.refresh_token)
    refresh.rotate(login.refresh_token, life=WEEK)

    assert queries.bearer(other.claims) is not None
    assert rotated(other.refresh_token)


def test_an_expired_token_is_refused(user_id: str) -> None:
    old = refresh.open_session(user_id, token_version=0, life=timedelta(seconds=-1))

    assert refresh.rotate(old.refresh_token, life=WEEK) is None


def test_an_unknown_token_is_refused(login: Session) -> None:
    assert refresh.rotate("cbr_unknown", life=WEEK) is None
    assert rotated(login.refresh_token)


@pytest.mark.parametrize(
    "change", [{"role": "viewer"}, {"password": "another battery"}, {"enabled": False}], ids=str
)
def test_whatever_bears_on_access_ends_refresh_and_access_tokens(
    login: Session, user_id: str, change: dict[str, object]
) -> None:
    assert queries.bearer(login.claims) is not None
    users.change(user_id, actor="test", **change)  # type: ignore[arg-type]

    assert refresh.rotate(login.refresh_token, life=WEEK) is None
    assert queries.bearer(login.claims) is None


def test_a_new_name_ends_nothing(login: Session, user_id: str) -> None:
    users.change(user_id, name="Ada", actor="test")

    assert rotated(login.refresh_token)


def test_signing_out_ends_the_login(login: Session) -> None:
    refresh.close(login.claims.session_id)
    refresh.close(login.claims.session_id)

    assert queries.bearer(login.claims) is None
    assert refresh.rotate(login.refresh_token, life=WEEK) is None


def test_the_refresh_token_alone_can_end_its_login(login: Session) -> None:
    refresh.close_by_token(login.refresh_token)

    assert queries.bearer(login.claims) is None


def test_all_logins_of_a_user_can_be_ended(login: Session, user_id: str) -> None:
    assert logins.end_all(user_id) == 1
    assert queries.bearer(login.claims) is None


def test_tokens_long_expired_are_pruned_and_others_stay(login: Session, user_id: str) -> None:
    refresh.open_session(user_id, token_version=0, life=timedelta(days=-2))

    assert refresh.prune() == 1
    assert rotated(login.refresh_token)


def test_the_table_holds_no_token(login: Session) -> None:
    rows = db.rows("SELECT refresh_tokens::text AS whole FROM refresh_tokens")

    assert rows
    assert not [row for row in rows if login.refresh_token in row["whole"]]


class TestInParallel:
    """With real transactions, so these clean up by hand."""

    @pytest.fixture
    def committed(self, app: Flask) -> Iterator[Session]:
        made = users.create("race@example.org", "correct horse battery", role="user")
        session = refresh.open_session(str(made["user_id"]), token_version=0, life=WEEK)
        db.session.commit()
        yield session
        db.session.rollback()
        db.run("DELETE FROM users WHERE email = 'race@example.org'")
        db.session.commit()

    def test_of_many_who_use_one_token_at_once_exactly_one_wins(self, app: Flask, committed: Session) -> None:
        start = Barrier(8)

        def use() -> bool:
            with app.app_context():
                start.wait()
                session = refresh.rotate(committed.refresh_token, life=WEEK)
                db.session.commit()
                return session is not None

        with ThreadPoolExecutor(8) as pool:
            won = [future.result() for future in [pool.submit(use) for _ in range(8)]]

        assert won.count(True) == 1
        assert queries.bearer(committed.claims) is None  # and the family is revoked: one of them was a thief
