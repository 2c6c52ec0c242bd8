"""Error pages."""

from __future__ import annotations

import psycopg2
import pytest
from flask import Flask

from app.accounts import queries
from app.jobs import stats
from tests.app.dashboard.visiting import Visitor


def test_an_address_that_leads_nowhere_gets_a_page(stranger: Visitor) -> None:
    answer = stranger.get("/no/such/place")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_api_keeps_its_own_errors(stranger: Visitor) -> None:
    answer = stranger.get("/api/v1/no-such-thing")

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_wrong_method_gets_a_page(user: Visitor) -> None:
    assert user.client.delete("/jobs").status_code == 405


def test_a_form_that_is_too_large_gets_a_page(app: Flask, user: Visitor) -> None:
    answer = user.client.post("/submit/test-noop", data={"x": "y" * (app.config["MAX_CONTENT_LENGTH"] + 1)})

    assert answer.status_code == 413
    assert "That is too large" in answer.text


@pytest.mark.parametrize("path", ["/", "/ui/jobs/table"])
def test_without_a_database_pages_say_so_and_come_back(
    user: Visitor, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def away(*_: object) -> None:
        raise psycopg2.OperationalError("server closed the connection")

    monkeypatch.setattr(queries, "signed_in", away)

    answer = user.get(path)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "cannot reach its database" in answer.text
    assert ('http-equiv="refresh"' in answer.text) == (path == "/")


def test_what_nobody_foresaw_is_told_without_its_secrets(
    user: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the password is hunter2")

    monkeypatch.setattr(stats, "overview", broken)

    answer = user.get("/")

    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
