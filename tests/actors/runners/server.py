"""A small server that speaks real HTTP, badly where a test asks for it."""

from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_server import Server, at_work


@dataclass
class Site:
    """Where the server is, and what it was asked."""

    url: str
    port: int
    asked: list[dict[str, Any]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """One path for each `on_` method; anything else is echoed."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.site.asked.append(
            {"path": self.path, "headers": dict(self.headers), "body": body, "method": self.command}
        )
        act = getattr(self, "on_" + parts.path.split("/")[1], self.on_echo)
        try:
            act(parts.path, query, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_GET

    def on_echo(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(200, json.dumps({"got": json.loads(body or b"null"), "query": query}).encode())

    def on_status(self, path: str, query: dict[str, str], body: bytes) -> None:
        headers = {"Retry-After": query["after"]} if "after" in query else {}
        self.answer(int(path.rpartition("/")[2]), b'{"why": "because"}', headers)

    def on_redirect(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(302, b"", {"Location": query["to"]})

    def on_loop(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(302, b"", {"Location": "/loop"})

    def on_text(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(
            200, query.get("say", "hello").encode(), {"Content-Type": query.get("type", "text/plain")}
        )

    def on_silence(self, path: str, query: dict[str, str], body: bytes) -> None:
        time.sleep(20)

    def on_hangup(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.close_connection = True

    def on_trickle(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def on_large(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(200, b"x" * 6_000_000)

    def on_bomb(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(200, gzip.compress(b"\0" * 50_000_000), {"Content-Encoding": "gzip"})

    def on_zipped(self, path: str, query: dict[str, str], body: bytes) -> None:
        self.answer(200, gzip.compress(b'{"zipped": true}'), {"Content-Encoding": "gzip"})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server on a free port of 127.0.0.1."""
    site = Site("", 0)
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    site.url = f"{'https' if tls else 'http'}://127.0.0.1:{site.port}"
    with at_work(server):
        yield site
