"""A link by which somebody chooses a password is made when its mail is sent, and stands in that mail alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from actors.delivery import Courier
from app.accounts import links, users
from app.accounts.links import Purpose
from app.db import db
from app.notify.passwords import send_link
from app.settings import Settings
from tests.app.notify.telling import only
from tests.smtp_server import Post, mail_server
from tests.waiting import until

ADA, NEW = "ada@example.org", "another battery"


@pytest.fixture(autouse=True)
def clean(quick: Engine) -> None:
    """Nothing of other tests."""


@pytest.fixture
def ada() -> str:
    with db.transaction():
        return str(users.create(ADA, "correct horse battery", role="user")["user_id"])


def courier(settings: Settings, port: int | None) -> Courier:
    wanted = {"base_url": "https://board.example", "smtp_security": "none", "smtp_from": "cb@example.org"}
    if port:
        wanted |= {"smtp_host": "127.0.0.1", "smtp_port": str(port)}
    changed = settings.model_copy(update=wanted)
    vars(changed).pop("public_url", None)  # of the settings as they were
    return Courier(changed)


@pytest.fixture
def mails(settings: Settings) -> Iterator[Post]:
    with mail_server() as post:
        running = courier(settings, post.port)
        running.start()
        yield post
        running.stop()


def ask(user_id: str, purpose: Purpose) -> None:
    with db.transaction():
        send_link(user_id, ADA, purpose)


def status() -> str:
    return str(only()["status"])


@pytest.mark.parametrize(
    ("purpose", "subject"), [("reset", "Choose a new password"), ("invite", "You are invited")]
)
def test_it_opens_the_account_once_and_stands_nowhere_else(
    mails: Post, ada: str, purpose: Purpose, subject: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ask(ada, purpose)
    until(lambda: status() == "delivered")

    (mail,) = mails.mails
    assert (mail["To"], subject in mail["Subject"]) == (ADA, True)
    (token,) = re.findall(r"https://board\.example/reset/(\S+)", mail.get_content())
    said = capfd.readouterr()
    assert token not in said.out + said.err
    with db.quick():
        for table in ("deliveries", "delivery_attempts", "notifications", "audit_log", "account_links"):
            assert (
                db.value(f"SELECT count(*) FROM {table} t WHERE strpos(t::text, %(token)s) > 0", token=token)
                == 0
            )
    with db.transaction():
        assert str(links.use(token, NEW)["user_id"]) == ada


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("UPDATE users SET enabled = false", "This account is switched off"),
        ("UPDATE deliveries SET created_at = now() - interval '2 hours'", "could not be sent in time"),
    ],
)
def test_one_that_nobody_should_get_is_not_made(settings: Settings, ada: str, spoil: str, why: str) -> None:
    ask(ada, "reset")
    with db.quick():
        db.run(spoil)
    with mail_server() as post:
        running = courier(settings, post.port)
        assert running.look() == 1
        until(lambda: status() == "skipped")
        assert post.mails == []

    assert why in only()["reason"]
    with db.quick():
        assert links.living(ada) == []


def test_without_a_mail_server_none_is_made(settings: Settings, ada: str) -> None:
    ask(ada, "reset")
    assert courier(settings, None).look() == 1
    until(lambda: status() == "skipped")

    assert "set SMTP_HOST" in only()["reason"]
    with db.quick():
        assert links.living(ada) == []
