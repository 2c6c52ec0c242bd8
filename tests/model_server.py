"""What the local model servers of the tests share: a script of replies, and an HTTP server that plays it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local_server import Server, at_work, hold


@dataclass(frozen=True)
class Say:
    """The model answers with text."""

    text: str
    input_tokens: int = 1000
    output_tokens: int = 40
    cached_tokens: int = 200


@dataclass(frozen=True)
class UseTool:
    """The model asks for a tool."""

    name: str
    arguments: dict[str, Any]
    text: str = ""
    input_tokens: int = 1200
    output_tokens: int = 60
    cached_tokens: int = 200


@dataclass(frozen=True)
class Refuse:
    """The API answers with an error."""

    status: int
    kind: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """The stream begins with this text and then says nothing until the client leaves."""

    text: str = "Let me think"


Reply = Say | UseTool | Refuse | Hang


@dataclass
class Model:
    """A model that follows a script; the last reply is given again and again."""

    url: str
    script: list[Reply]
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """By their lower-case names."""
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _given: int = 0

    def next_reply(self, request: dict[str, Any]) -> Reply:
        """The reply to one request, which is written down."""
        with self._lock:
            self.asked.append(request)
            reply = self.script[min(self._given, len(self.script) - 1)]
            self._given += 1
        return reply


class Speaker(BaseHTTPRequestHandler):
    """Reads requests; subclasses speak one protocol in `reply`."""

    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self) -> None:
        """Answer one request; a client that hangs up is no failure."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.model.paths.append(f"{self.command} {self.path}")
        self.model.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            self.reply(json.loads(body) if body else {})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_GET

    def reply(self, request: dict[str, Any]) -> None:
        """Answer `request`."""
        raise NotImplementedError

    def send_json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self) -> None:
        """Server-sent events follow, until the connection closes."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_event(self, data: dict[str, Any], name: str | None = None) -> None:
        """One server-sent event."""
        head = f"event: {name}\n" if name else ""
        self.wfile.write(f"{head}data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def hold(self) -> None:
        """Say nothing more until the test is over or the client has hung up."""
        hold(self.connection, self.model.over)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def speaking(speaker: type[Speaker], *script: Reply) -> Iterator[Model]:
    """A model behind `speaker` on a free port of 127.0.0.1."""
    model = Model("", list(script))
    server = Server(("127.0.0.1", 0), type("Bound", (speaker,), {"model": model}))
    model.url = f"http://127.0.0.1:{server.server_address[1]}"
    with at_work(server):
        try:
            yield model
        finally:
            model.over.set()
