"""Six attempts to sign in within a minute are an alert, by both doors, and so are those that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app.accounts import attempts
from app.alerts import measures, queries, watching
from app.alerts.measures import Limits
from app.api import limits
from app.dashboard import session
from app.db import db
from tests.app.dashboard.visiting import Visitor

ADDRESS = "203.0.113.7"


@pytest.fixture(autouse=True)
def strict(quick: Engine, app: Flask) -> Iterator[None]:
    """The limits of logins that the product has."""
    app.config["CALLBOARD_LOGIN_LIMIT"] = limits.LOGIN
    _reset()
    yield
    app.config["CALLBOARD_LOGIN_LIMIT"] = "1000 per second"
    _reset()


def _reset() -> None:
    attempts.forget()
    limits.limiter.reset()
    session.limiter.reset()


def by_api(client: FlaskClient, name: str) -> int:
    return client.post(
        "/api/v1/auth/login",
        json={"email": f"{name}@example.org", "password": "wrong"},
        environ_base={"REMOTE_ADDR": ADDRESS},
    ).status_code


def by_page(visitor: Visitor, name: str) -> int:
    form = {"csrf_token": visitor.token(), "email": f"{name}@example.org", "password": "wrong"}
    return visitor.client.post("/sign-in", data=form, environ_base={"REMOTE_ADDR": ADDRESS}).status_code


def raised() -> list[str]:
    with db.transaction():
        watching.look(Limits())
    with db.quick():
        return [alert["subject"] for alert in queries.listing("active") if alert["rule"] == "failed_logins"]


def test_five_are_none_and_the_sixth_is(client: FlaskClient) -> None:
    assert [by_api(client, f"name{number}") for number in range(5)] == [401] * 5
    assert raised() == []
    assert by_api(client, "name5") == 401
    assert raised() == [ADDRESS]


def test_by_the_page_as_well(app: Flask) -> None:
    visitor = Visitor(app)
    assert [by_page(visitor, "ada") for _ in range(6)] == [401] * 5 + [429]
    assert raised() == [ADDRESS]


def test_who_goes_on_does_not_fill_the_audit_log(client: FlaskClient) -> None:
    assert [by_api(client, f"name{number}") for number in range(40)][10:] == [429] * 30
    with db.quick():
        assert db.value("SELECT count(*) FROM audit_log WHERE action LIKE 'auth.%%'") == 11
        assert [reading.value for reading in measures.failed_logins(Limits())] == [11]


def test_it_is_over_five_minutes_after_the_last(client: FlaskClient) -> None:
    for number in range(6):
        by_api(client, f"name{number}")
    assert raised() == [ADDRESS]
    with db.transaction():
        now = db.value("SELECT now()")
        db.run("SET LOCAL callboard.retention = 'on'")
        db.run("DELETE FROM audit_log")
        for seconds in range(15, 420, 15):
            watching.look(Limits(), at=now + timedelta(seconds=seconds))
    with db.quick():
        assert [alert["subject"] for alert in queries.listing("resolved")] == [ADDRESS]
