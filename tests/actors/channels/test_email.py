"""Mail against a real SMTP server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.channels import email
from app.notify.deliveries import Outcome
from app.settings import Settings
from tests.smtp_server import Post, mail_server

PAYLOAD = {
    "title": "Job writer failed",
    "body": "It said: no.",
    "severity": "error",
    "link": "https://b.example/jobs/1",
}

Send = Callable[..., Outcome]


@pytest.fixture
def post() -> Iterator[Post]:
    with mail_server() as made:
        yield made


@pytest.fixture
def send(settings: Settings, post: Post) -> Send:
    def do(target: str = "ada@example.org", payload: dict[str, Any] | None = None, **smtp: str) -> Outcome:
        usual = {
            "host": "127.0.0.1",
            "port": str(post.port),
            "security": "none",
            "from": "cb@example.org",
        } | smtp
        told = settings.model_copy(update={f"smtp_{name}": value for name, value in usual.items()})
        return email.send(
            {"delivery_id": "d-1", "target": target, "payload": {**PAYLOAD, **(payload or {})}}, told
        )

    return do


def test_it_arrives(send: Send, post: Post) -> None:
    assert send() == Outcome(delivered=True)

    (mail,) = post.mails
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "cb@example.org",
        "ada@example.org",
        "Job writer failed",
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "It said: no.\n\nhttps://b.example/jobs/1" in text.replace("\r\n", "\n")


def test_every_try_has_the_same_message_id(send: Send, post: Post) -> None:
    send()
    send()
    assert {mail["Message-ID"] for mail in post.mails} == {"<d-1@example.org>"}


def test_nothing_in_the_news_becomes_a_header(send: Send, post: Post) -> None:
    send(payload={"title": "Hi\r\nBcc: eve@example.org", "body": "", "link": None})

    (envelope,) = post.taken
    assert envelope.rcpt_tos == ["ada@example.org"]
    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Hi  Bcc: eve@example.org"


@pytest.mark.parametrize(
    "title",
    [
        "=?utf-8?q?=0ABcc:_eve@example.org?=",
        "Hi =?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLm9yZw==?=",
        "é =?utf-8?q?=0D=0A=0D=0AAnother_body?=",
    ],
)
def test_no_encoded_word_becomes_a_header_or_a_body(send: Send, post: Post, title: str) -> None:
    send(payload={"title": title, "body": "The body", "link": None})

    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].replace("\u200b", "") == title
    assert mail["Message-ID"] == "<d-1@example.org>"
    assert mail.get_content().startswith("The body")


@pytest.mark.parametrize(
    ("smtp", "words"),
    [
        ({"host": ""}, "not configured: set SMTP_HOST"),
        ({"from": ""}, "not configured: set SMTP_FROM"),
        ({"security": "some"}, "not configured: SMTP_SECURITY must be one of starttls, tls, none"),
        ({"user": "u"}, "not configured: SMTP_SECURITY=none would send the password"),
    ],
)
def test_without_a_server_it_is_skipped(send: Send, post: Post, smtp: dict[str, str], words: str) -> None:
    assert (send(**smtp).skipped or "").startswith(words)
    assert post.taken == []


@pytest.mark.parametrize(("reply", "final"), [("550 5.1.1 no such user", True), ("450 4.2.1 later", False)])
def test_a_refused_address(send: Send, post: Post, reply: str, final: bool) -> None:
    post.refusals["ada@example.org"] = reply
    outcome = send()

    assert (outcome.delivered, outcome.final, outcome.status_code) == (False, final, int(reply[:3]))
    assert reply[4:] in (outcome.error or "")


@pytest.mark.parametrize(("reply", "final"), [("554 spam", True), ("451 busy", False)])
def test_a_refused_mail(send: Send, post: Post, reply: str, final: bool) -> None:
    post.data_reply = reply
    outcome = send()
    assert (outcome.delivered, outcome.final, outcome.status_code) == (False, final, int(reply[:3]))


def test_a_server_that_is_away_may_come_back(send: Send) -> None:
    outcome = send(port="1")
    assert (outcome.delivered, outcome.final) == (False, False)
    assert "cannot be reached" in (outcome.error or "")


def test_what_is_no_address_is_the_end(send: Send, post: Post) -> None:
    outcome = send("not an address")
    assert (outcome.final, post.taken) == (True, [])
