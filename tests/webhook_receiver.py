"""A real receiver of webhooks for tests: it checks every signature, and can be told to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson
from standardwebhooks import Webhook, WebhookVerificationError

from tests.local_server import Server, at_work, hold


@dataclass(frozen=True)
class Answer:
    """What the receiver says, again and again."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


HANG = Answer(status=0)
"""Say nothing until the other side leaves."""
CLOSE = Answer(status=-1)
"""Hang up without a word."""


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """By the clock on the wall, like Postgres' own."""
    verified: tuple[str, ...]
    """Which of the receiver's secrets fit."""

    @property
    def json(self) -> dict[str, Any]:
        """The payload."""
        told: dict[str, Any] = orjson.loads(self.body)
        return told

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """The receiver's side: what came, what is answered, and by which secrets signatures are checked."""

    url: str = ""
    answer: Answer = field(default_factory=Answer)
    choose: Callable[[Received], Answer] | None = None
    """Says what is answered to each, instead of `answer`; called in the thread of its request."""
    secrets: list[str] = field(default_factory=list)
    got: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def check(self, headers: dict[str, str], body: bytes) -> tuple[str, ...]:
        """The secrets by which the request is genuine."""
        return tuple(secret for secret in self.secrets if _verifies(secret, headers, body))

    @property
    def ids(self) -> list[str]:
        """The ids of all that came, in order."""
        return [received.id for received in self.got]


def _verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


class Door(BaseHTTPRequestHandler):
    """Takes POSTs for one receiver."""

    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        """Write the request down and answer as told."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver, answer = self.receiver, self.receiver.answer
        received = Received(self.path, headers, body, time.time(), receiver.check(headers, body))
        receiver.got.append(received)
        if receiver.choose:
            answer = receiver.choose(received)
        if answer is HANG:
            hold(self.connection, receiver.over)
        if answer in (HANG, CLOSE):
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(*secrets: str) -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver(secrets=list(secrets))
    server = Server(("127.0.0.1", 0), type("Bound", (Door,), {"receiver": receiver}))
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield receiver
        finally:
            receiver.over.set()
