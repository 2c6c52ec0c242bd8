"""Choosing a new password by a link, and how little that tells strangers."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from app.accounts import links, users
from app.dashboard.session import limiter
from app.db import db
from app.settings import Settings
from tests.app.dashboard.aside import db as aside
from tests.app.dashboard.visiting import Visitor, words

OLD, NEW = "correct horse battery", "another battery"
ADA = "ada@example.org"


@pytest.fixture
def ada() -> str:
    with db.transaction():
        return str(users.create(ADA, OLD, role="user")["user_id"])


@pytest.fixture
def sends_mail(app: Flask) -> Iterator[None]:
    """A product that has a mail server."""
    before: Settings = app.config["CALLBOARD"]
    app.config["CALLBOARD"] = before.model_copy(update={"smtp_host": "mail.example.org"})
    yield
    app.config["CALLBOARD"] = before


@pytest.fixture
def link(ada: str) -> str:
    with db.transaction():
        return links.address("", links.make(ada, "reset"))


def outbox() -> list[tuple[str, str]]:
    return [(row["event"], row["target"]) for row in aside.rows("SELECT event, target FROM deliveries")]


def without_token(page: str) -> str:
    return re.sub(r'name="csrf_token" value="[^"]*"', "", page)


def test_known_and_unknown_addresses_are_told_the_same_and_only_one_gets_mail(
    app: Flask, stranger: Visitor, ada: str, sends_mail: None
) -> None:
    said = [
        stranger.post("/forgot", {"email": email}) for email in (" ADA@example.org", "nobody@example.org")
    ]

    assert [answer.status_code for answer in said] == [200, 200]
    assert without_token(said[0].text) == without_token(said[1].text)
    assert "a link is on its way" in said[0].text
    assert outbox() == [("account.reset", ADA)]


def test_without_a_mail_server_the_page_says_who_helps(stranger: Visitor, ada: str) -> None:
    assert "sends no mail" in words(stranger.soup("/forgot"))
    answer = stranger.client.post("/forgot", data={"csrf_token": stranger.token(), "email": ADA})

    assert "Ask an admin for a link" in answer.text
    assert outbox() == []


def test_asking_again_and_again_is_slowed_down(
    app: Flask, stranger: Visitor, ada: str, sends_mail: None
) -> None:
    limiter.reset()
    codes = [stranger.post("/forgot", {"email": ADA}).status_code for _ in range(6)]

    assert codes == [200] * 5 + [429]
    assert stranger.post("/forgot", {"email": "bob@example.org"}).status_code == 200


def test_the_link_lets_one_choose_a_password_and_ends_every_session(
    app: Flask, stranger: Visitor, ada: str, link: str
) -> None:
    inside = Visitor(app)
    inside.user_id = ada
    inside.come_in(0)
    assert inside.get("/").status_code == 200
    assert f"for {ADA}" in words(stranger.soup(link))

    done = stranger.post(link, {"new": NEW, "again": NEW})

    assert (done.status_code, done.headers["Location"]) == (303, "/sign-in")
    assert inside.get("/").status_code == 302
    assert stranger.post("/sign-in", {"email": ADA, "password": NEW}).headers["Location"] == "/"
    assert stranger.get(link).status_code == 404


def test_looking_changes_nothing(stranger: Visitor, link: str) -> None:
    for _ in range(2):
        assert stranger.get(link).status_code == 200
    assert stranger.client.head(link).status_code == 200

    assert aside.value("SELECT used_at FROM account_links") is None


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"new": NEW, "again": NEW + "x"}, "is not the same as the new password"),
        ({"new": "short", "again": "short"}, "must have 10 to 200 characters"),
        ({}, "must have 10 to 200 characters"),
    ],
)
def test_what_cannot_be_is_said_and_the_link_stays_good(
    stranger: Visitor, link: str, typed: dict[str, str], complaint: str
) -> None:
    refused = stranger.post(link, typed)

    assert refused.status_code == 422
    assert complaint in refused.text
    assert NEW not in refused.text
    assert stranger.get(link).status_code == 200


def test_the_address_goes_nowhere(
    stranger: Visitor, link: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [stranger.get(link), stranger.post(link, {"new": NEW, "again": NEW}), stranger.get(link)]

    token = link.rpartition("/")[2]
    for answer in answers:
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    captured = capfd.readouterr()
    assert token not in caplog.text + captured.out + captured.err
    assert token not in str(aside.rows("SELECT * FROM audit_log"))
    assert token not in str(aside.rows("SELECT * FROM api_access"))


def test_a_form_from_elsewhere_is_refused(stranger: Visitor, link: str) -> None:
    assert stranger.client.post(link, data={"new": NEW, "again": NEW}).status_code == 400
    assert (
        stranger.post(link, {"new": NEW, "again": NEW}, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    )
    assert stranger.get(link).status_code == 200


def test_over_https_the_form_works_though_it_sends_no_referer(app: Flask, link: str) -> None:
    client, site = app.test_client(), "https://board.example.org"
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(link, base_url=site).text)
    assert token

    form = {"csrf_token": token[1], "new": NEW, "again": NEW}
    assert client.post(link, data=form, base_url=site).status_code == 303


@pytest.mark.parametrize("token", ["nothing", "%00", "a" * 43, "..%2F..%2Fetc"])
def test_what_is_no_link_leads_nowhere(stranger: Visitor, token: str) -> None:
    assert stranger.get(f"/reset/{token}").status_code in (400, 404)
