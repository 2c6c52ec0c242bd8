"""Checks that are addresses: a real server of the test answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.errors import TemporaryError
from tests.actors.judges.conftest import MakeCheck
from tests.doubles import RecordingContext
from tests.local_server import Server, at_work, hold


class Reviewer(BaseHTTPRequestHandler):
    """Answers as the test says, and remembers what it was sent."""

    protocol_version = "HTTP/1.1"
    replies: list[Any]
    asked: list[tuple[dict[str, str], Any]]
    over: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((dict(self.headers), json.loads(body)))
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if reply == "silence":
            hold(self.connection, self.over)
            return
        status, answer = reply if isinstance(reply, tuple) else (200, reply)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def reviewer(*replies: Any) -> Iterator[Any]:
    handler = type("Bound", (Reviewer,), {"replies": list(replies), "asked": [], "over": threading.Event()})
    server = Server(("127.0.0.1", 0), handler)
    with at_work(server):
        handler.url = f"http://127.0.0.1:{server.server_address[1]}/review"  # type: ignore[attr-defined]
        try:
            yield handler
        finally:
            handler.over.set()  # type: ignore[attr-defined]


def test_the_draft_is_sent_and_the_score_is_taken(check: MakeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_KEY", "s3cret")
    with reviewer({"score": 8, "issues": [], "evidence": "read twice"}) as server:
        found = check(
            "Some text.",
            check="http",
            url=server.url,
            headers={"Authorization": "Bearer {{secret.REVIEW_KEY}}"},
        )
    assert (found.score, found.passed, found.evidence) == (8.0, True, "read twice")
    ((headers, body),) = server.asked
    assert headers["Authorization"] == "Bearer s3cret"
    assert {name: body[name] for name in ("check", "draft", "text", "result", "brief")} == {
        "check": "http", "draft": 1, "text": "Some text.", "result": {"text": "Some text."},
        "brief": {"topic": "drafts"},
    }  # fmt: skip


@pytest.mark.parametrize(("passed", "score"), [(True, 10.0), (False, 0.0)])
def test_an_answer_may_say_passed_instead(check: MakeCheck, passed: bool, score: float) -> None:
    with reviewer({"passed": passed}) as server:
        found = check(check="http", url=server.url)
    assert (found.score, found.passed) == (score, passed)
    assert (found.issue is None) is passed


@pytest.mark.parametrize("reply", [
    (500, {"score": 1}), (429, {}), (404, {"score": 9}), (302, {}), {"score": 11}, {"score": None}, {"fine": True}, [],
    "silence",
], ids=str)  # fmt: skip
def test_what_could_not_be_made_is_no_score(check: MakeCheck, reply: Any) -> None:
    with reviewer(reply) as server, pytest.raises(TemporaryError, match="could not be made"):
        check(check="http", url=server.url, timeout=0.5)


def test_nobody_there_is_no_score(check: MakeCheck) -> None:
    found = check(check="http", url="http://127.0.0.1:1/", on_error="skip")
    assert (found.score, found.passed) == (None, None)


def test_it_is_made_again_until_there_is_an_answer(check: MakeCheck) -> None:
    with reviewer((503, {}), (503, {}), {"score": 9}) as server:
        found = check(check="http", url=server.url, pauses=(0.01, 0.02, 0.03))
    assert (found.score, len(server.asked)) == (9.0, 3)


def test_a_private_address_is_not_called(check: MakeCheck) -> None:
    with reviewer({"score": 9}) as server:
        with pytest.raises(TemporaryError, match="not an address of the public internet"):
            check(check="http", url=server.url, work={"config": {}})
        assert server.asked == []


def test_a_job_that_must_stop_stops(check: MakeCheck, context: RecordingContext) -> None:
    context.stop_error = TemporaryError("it has stalled")
    with reviewer({"score": 9}) as server, pytest.raises(TemporaryError, match="^it has stalled$"):
        check(check="http", url=server.url, on_error="skip")


@pytest.mark.parametrize("name", ["Prüfung", "\N{SLIGHTLY SMILING FACE}", "two words", "a\nX-Evil: 1"])
def test_a_check_may_have_any_name(check: MakeCheck, name: str) -> None:
    with reviewer({"score": 8}) as endpoint:
        assert check(check="http", url=endpoint.url, name=name).score == 8
    ((headers, _),) = endpoint.asked
    assert "X-Evil" not in headers


@pytest.mark.parametrize("secret", ["s3cret\n", "s3cret\r\nX-Evil: 1", "s3crét"])
def test_a_secret_that_is_no_header_is_not_said(
    check: MakeCheck, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("REVIEW_KEY", secret)
    with reviewer({"score": 8}) as endpoint:
        found = check(
            check="http",
            url=endpoint.url,
            headers={"Authorization": "Bearer {{secret.REVIEW_KEY}}"},
            on_error="skip",
        )
    assert found.error is not None
    assert "`Authorization`" in found.error
    assert "s3c" not in found.error
    assert endpoint.asked == []
