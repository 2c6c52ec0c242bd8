"""Webhooks against a real receiver: signed, judged by what it says, and only ever sent to public addresses."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from actors.channels import webhook
from actors.runners import outbound
from app.errors import Released
from app.notify import secrets
from app.notify.deliveries import Outcome
from tests.webhook_receiver import CLOSE, HANG, Answer, Receiver, receiving

OLD, NEW = secrets.fresh(), secrets.fresh()
PAYLOAD = {"type": "job.completed", "timestamp": "2026-01-31T12:00:00.000Z", "data": {"word": "Grüße"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(NEW, OLD) as made:
        yield made


def send(url: str, *keys: str, allow_private: bool = True, patrol: Any = lambda: None) -> Outcome:
    taken = {"delivery_id": "msg-1", "target": url, "payload": PAYLOAD}
    return webhook.send(taken, keys or (NEW,), patrol=patrol, allow_private=allow_private)


def test_it_arrives_signed(receiver: Receiver) -> None:
    outcome = send(receiver.url + "/in?a=b")

    assert (outcome.delivered, outcome.status_code) == (True, 204)
    (got,) = receiver.got
    assert got.verified == (NEW,)
    assert (got.path, got.json, got.id) == ("/in?a=b", PAYLOAD, "msg-1")
    assert got.headers["content-type"] == "application/json"


def test_after_a_rotation_both_secrets_fit(receiver: Receiver) -> None:
    send(receiver.url, NEW, OLD)
    assert receiver.got[0].verified == (NEW, OLD)


def test_a_changed_body_does_not_fit(receiver: Receiver) -> None:
    send(receiver.url)
    got = receiver.got[0]
    assert receiver.check(got.headers, got.body) == (NEW,)
    assert receiver.check(got.headers, got.body.replace(b"completed", b"cancelled")) == ()
    assert receiver.check(got.headers | {"webhook-id": "msg-2"}, got.body) == ()


def test_secrets_are_32_random_bytes() -> None:
    assert secrets.fresh() != secrets.fresh()
    assert len(base64.b64decode(NEW.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.answer = Answer(status)
    assert send(receiver.url).delivered


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 503])
def test_other_answers_are_failures_that_may_pass(receiver: Receiver, status: int) -> None:
    receiver.answer = Answer(status, body=b"the reason" * 1000)
    outcome = send(receiver.url)

    assert (outcome.delivered, outcome.final, outcome.gone, outcome.status_code) == (
        False,
        False,
        False,
        status,
    )
    assert outcome.error
    assert outcome.error.startswith(f"It answered {status}")
    assert outcome.response == ("the reason" * 100)


def test_410_is_the_end(receiver: Receiver) -> None:
    receiver.answer = Answer(410)
    outcome = send(receiver.url)
    assert (outcome.final, outcome.gone) == (True, True)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with receiving(NEW) as elsewhere:
        receiver.answer = Answer(307, headers={"Location": elsewhere.url})
        outcome = send(receiver.url)

        assert elsewhere.got == []
    assert (outcome.delivered, outcome.status_code) == (False, 307)
    assert "redirect" in (outcome.error or "")


def test_who_hangs_up_may_be_called_again(receiver: Receiver) -> None:
    receiver.answer = CLOSE
    outcome = send(receiver.url)
    assert (outcome.delivered, outcome.final) == (False, False)
    assert outcome.error


def test_who_is_not_there_may_be_called_again() -> None:
    outcome = send("http://127.0.0.1:1/")
    assert (outcome.delivered, outcome.final) == (False, False)
    assert "cannot be reached" in (outcome.error or "")


def test_who_does_not_answer_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.4)
    receiver.answer = HANG
    outcome = send(receiver.url)
    assert (outcome.delivered, outcome.final) == (False, False)
    assert len(receiver.got) == 1


def test_the_process_that_ends_interrupts_it(receiver: Receiver) -> None:
    receiver.answer = HANG

    def patrol() -> None:
        if receiver.got:
            raise Released

    with pytest.raises(Released):
        send(receiver.url, patrol=patrol)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://10.1.2.3/",
        "http://2130706433:1/",
    ],
)
def test_private_addresses_are_never_called(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(outbound, "connect", lambda *arguments: called.append(arguments))
    outcome = send(url, allow_private=False)

    assert (outcome.delivered, outcome.final, called) == (False, True, [])
    assert "not an address of the public internet" in (outcome.error or "")


def test_a_name_server_that_changes_its_mind_is_asked_once_a_try(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    called: list[object] = []

    def refuse(address: outbound.Address, *more: object) -> socket.socket:
        called.append(address[1])
        raise ConnectionRefusedError

    monkeypatch.setattr(outbound, "resolve", lambda host, port: [(socket.AF_INET, (next(answers), port))])
    monkeypatch.setattr(outbound, "connect", refuse)

    first = send("http://rebinding.test/", allow_private=False)
    second = send("http://rebinding.test/", allow_private=False)

    assert called == [("93.184.216.34", 80)]
    assert (first.final, second.final) == (False, True)


@pytest.mark.parametrize("url", ["http://[::1/", "http://a.example:99999/", "nothing", "http://\x00/"])
def test_what_is_no_address_is_the_end(url: str) -> None:
    outcome = send(url, allow_private=False)
    assert (outcome.delivered, bool(outcome.error)) == (False, True)


def test_retry_after_is_read(receiver: Receiver) -> None:
    receiver.answer = Answer(429, headers={"Retry-After": "77"})
    assert send(receiver.url).retry_after == 77


@pytest.mark.parametrize(("ahead", "low", "high"), [(100_000, 99_000, 100_000), (-100_000, 0, 0)])
def test_retry_after_may_be_a_date(ahead: float, low: float, high: float) -> None:
    told = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    seconds = webhook.retry_after(told)
    assert seconds is not None
    assert low <= seconds <= high


def test_retry_after_may_be_now() -> None:
    assert webhook.retry_after("0") == 0


@pytest.mark.parametrize("nonsense", [None, "", "soon", "-5", "1e9", "²"])
def test_other_words_for_it_are_ignored(nonsense: str | None) -> None:
    assert webhook.retry_after(nonsense) is None
