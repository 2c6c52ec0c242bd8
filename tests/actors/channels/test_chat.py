"""Chats through Apprise against a real receiver, which stands in for Slack."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from apprise.plugins.slack import NotifySlack

from actors.channels import chat
from app.notify.deliveries import Outcome
from tests.webhook_receiver import Answer, Receiver, receiving

TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
PAYLOAD = {
    "title": "3 jobs failed",
    "body": "<!channel> look",
    "severity": "error",
    "link": "https://b.example/dlq",
}


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as made:
        monkeypatch.setattr(NotifySlack, "webhook_url", made.url + "/services")
        made.answer = Answer(200, body=b"ok")
        yield made


def send(name: str = "slack", **chats: str) -> Outcome:
    return chat.send({"target": name, "payload": PAYLOAD}, {"slack": SLACK} | chats)


def test_it_arrives_at_slack(slack: Receiver) -> None:
    assert send() == Outcome(delivered=True)

    (got,) = slack.got
    assert got.path == f"/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
    (part,) = got.json["attachments"]
    assert (part["title"], part["footer"]) == ("3 jobs failed", "Callboard")
    assert part["text"] == "&lt;!channel&gt; look\n\nhttps://b.example/dlq"


def test_any_address_of_apprise_will_do() -> None:
    with receiving() as made:
        made.answer = Answer(200)
        assert send("ops", ops=made.url.replace("http://", "json://")).delivered
        assert (made.got[0].json["title"], made.got[0].json["type"]) == ("3 jobs failed", "failure")


@pytest.mark.parametrize(
    "answer", [Answer(404, body=b"no_service"), Answer(500), Answer(200, body=b"not what it says")]
)
def test_a_refusal_may_pass(slack: Receiver, answer: Answer) -> None:
    slack.answer = answer
    outcome = send()
    assert (outcome.delivered, outcome.final, bool(outcome.error)) == (False, False, True)


def test_no_secret_is_said_or_logged(
    slack: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.answer = Answer(500, body=TOKEN.encode())
    outcomes: list[Any] = [
        send(),
        send("ops", ops=f"json://127.0.0.1:1/{TOKEN}"),
        send("odd", odd=f"nonsense://{TOKEN}"),
    ]

    assert TOKEN not in repr(outcomes)
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slack", "not configured: set SLACK_WEBHOOK_URL"),
        ("ops", "not configured: set NOTIFY_CHANNELS with ops=address"),
    ],
)
def test_what_is_not_configured_is_skipped(name: str, words: str) -> None:
    assert chat.send({"target": name, "payload": PAYLOAD}, {}).skipped == words


def test_an_address_that_apprise_does_not_know_is_skipped() -> None:
    assert (
        send("odd", odd="nonsense://x").skipped
        == "not configured: the address of odd is none that Apprise knows"
    )
