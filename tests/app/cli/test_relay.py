"""`callboard relay` as a process of its own, between a real server and a real receiver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import BaseWSGIServer, make_server

from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.cli import cli
from app.db import db
from app.hooks import changes, receiving, signatures
from app.settings import ROOT
from tests.app.hooks.sending import PUSH, by_github, raw
from tests.waiting import until

SECRET = "a secret of the tests, long"


class Receiver:
    """A program that takes webhooks; it may be away, and it may say no."""

    def __init__(self) -> None:
        """It is there."""
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        """What it says next; 200 when there is nothing more."""
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def ids(self) -> list[str]:
        """What it took, in order."""
        return [headers["x-github-delivery"] for headers, _ in self.taken]

    def start(self) -> None:
        """Be there, at the same port as before."""
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = ours.answers.pop(0) if ours.answers else 200
                if status == 200:
                    ours.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        """Be away."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Callboard:
    """The server, in this process, which may go and come back."""

    app: Flask
    key: str
    port: int = 0
    _server: BaseWSGIServer | None = field(default=None)

    def start(self) -> None:
        """Serve, at the same port as before."""
        self._server = make_server("127.0.0.1", self.port, self.app, threaded=True)
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def server(quick: Engine, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callboard]:
    monkeypatch.setitem(
        app.config, "CALLBOARD", app.config["CALLBOARD"].model_copy(update={"poll_running_ms": 50})
    )
    with db.transaction():
        user = users.create("ada@example.org", None, role="user")
        who = Principal(user_id=str(user["user_id"]), email="ada@example.org", role="user")
        key = api_keys.create(who, name="relay", scopes=frozenset({"read"}))
        changes.create("repo", who=who, secret=SECRET)
        changes.create("other", who=who, secret=SECRET)
    made = Callboard(app, key.text)
    made.start()
    yield made
    made.stop()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(server: Callboard, receiver: Receiver, tmp_path: Path) -> Iterator[Start]:
    """Start a relay whose place is in tmp_path, with more words."""
    running: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        environment = os.environ | {
            "CALLBOARD_URL": f"http://127.0.0.1:{server.port}", "CALLBOARD_API_KEY": server.key,
        }  # fmt: skip
        command = [
            sys.executable,
            "-m",
            "app",
            "relay",
            "--forward",
            receiver.url,
            "--state",
            str(tmp_path / "place"),
        ]
        process = subprocess.Popen(
            [*command, "--json", *words], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


Once = Callable[..., Result]


@pytest.fixture
def once(server: Callboard, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Once:
    """Let a relay in this process hand on what is there."""
    monkeypatch.setenv("CALLBOARD_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("CALLBOARD_API_KEY", server.key)

    def call(*words: str) -> Result:
        given = [
            "relay",
            "--forward",
            receiver.url,
            "--state",
            str(tmp_path / "place"),
            "--json",
            "--once",
            *words,
        ]
        return CliRunner().invoke(cli, given)

    return call


def told(done: Result) -> list[dict[str, Any]]:
    """What a relay said that did what it should."""
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def came(*ids: str, slug: str = "repo") -> None:
    """Webhooks reach the server."""
    for external in ids:
        data = raw(PUSH | {"after": external})
        with db.transaction():
            headers = by_github(SECRET, "push", data, delivery=external)
            receiving.receive(slug, headers=headers, body=data, ip="192.0.2.1")


def steps(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=20)
    return [json.loads(line) for line in out.splitlines()]


def cursor(tmp_path: Path) -> int:
    return int(json.loads((tmp_path / "place").read_text())["cursor"])


def test_bytes_and_headers_arrive_as_they_came_and_a_signal_ends_it(
    start: Start, receiver: Receiver, tmp_path: Path
) -> None:
    came("d-1", "d-2")
    relay = start("--from", "start")
    until(lambda: len(receiver.taken) == 2)
    came("d-3")
    until(lambda: len(receiver.taken) == 3)
    relay.send_signal(signal.SIGTERM)

    said = steps(relay)
    assert receiver.ids == ["d-1", "d-2", "d-3"]
    headers, body = receiver.taken[0]
    assert body == raw(PUSH | {"after": "d-1"})
    assert signatures.why_not("github", headers, body, [SECRET]) is None
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    assert ([each["what"] for each in said], relay.returncode) == (["begins", *["delivered"] * 3, "ends"], 0)
    assert said[-1]["handed"] == 3
    assert cursor(tmp_path) == said[-2]["position"]


def test_a_killed_relay_goes_on_where_it_was(
    start: Start, once: Once, receiver: Receiver, tmp_path: Path
) -> None:
    came("d-1")
    relay = start("--from", "start")
    until(lambda: (tmp_path / "place").exists() and cursor(tmp_path) > 0)
    relay.kill()
    relay.wait()
    came("d-2", "d-3")

    assert told(once())[-1]["handed"] == 2
    assert receiver.ids == ["d-1", "d-2", "d-3"]
    # One that was killed between the receiver's answer and writing its place:
    place = json.loads((tmp_path / "place").read_text())
    (tmp_path / "place").write_text(json.dumps(place | {"cursor": place["cursor"] - 1}))
    assert told(once())[-1]["handed"] == 1
    assert receiver.ids == ["d-1", "d-2", "d-3", "d-3"]


def test_it_waits_for_both_sides_and_keeps_the_order(
    start: Start, receiver: Receiver, server: Callboard
) -> None:
    receiver.stop()
    came("d-1", "d-2")
    relay = start("--from", "start")
    said: list[str] = []

    def hears(what: str) -> bool:
        assert relay.stdout is not None
        said.append(json.loads(relay.stdout.readline())["what"])
        return said[-1] == what

    until(lambda: hears("not_taken"))
    receiver.start()
    until(lambda: len(receiver.taken) == 2)
    server.stop()
    until(lambda: hears("server_away"))
    came("d-3")
    server.start()
    until(lambda: len(receiver.taken) == 3, 20)
    relay.send_signal(signal.SIGINT)

    assert receiver.ids == ["d-1", "d-2", "d-3"]
    steps(relay)
    assert relay.returncode == 0


def test_two_relays_do_not_share_a_place(start: Start, once: Once, tmp_path: Path) -> None:
    first = start()
    until(lambda: (tmp_path / "place").exists())
    second = once()

    assert (second.exit_code, first.poll()) == (1, None)
    assert "another relay goes on from" in second.output
    first.send_signal(signal.SIGTERM)
    assert steps(first)[-1]["what"] == "ends"
    assert "the place of another relay" in once("--hook", "repo").output
    (tmp_path / "place").write_text("{}")
    assert "is no place of a relay" in once().output


def test_410_ends_it_and_what_is_never_taken_is_set_aside_only_when_asked(
    once: Once, receiver: Receiver, tmp_path: Path
) -> None:
    came("d-1")
    came("d-2", slug="other")
    came("d-3")
    for status, said in ((410, "answered 410"), (500, "HTTP 500"), (302, "HTTP 302")):
        receiver.answers = [status]
        refused = once("--hook", "repo", *(["--from", "start"] if status == 410 else []))
        assert (refused.exit_code, said in refused.output, receiver.taken) == (1, True, [])

    receiver.answers = [500]
    heard = told(once("--hook", "repo", "--skip-after", "1"))
    assert [each["what"] for each in heard] == ["begins", "set_aside", "delivered", "ends"]
    assert receiver.ids == ["d-3"]
    (dead,) = (tmp_path / "place.dead.jsonl").read_text().splitlines()
    assert json.loads(dead)["headers"]["x-github-delivery"] == "d-1"


def test_without_from_it_begins_with_what_comes_next(once: Once, receiver: Receiver) -> None:
    came("d-1")
    assert told(once())[-1]["handed"] == 0
    came("d-2")
    assert told(once())[-1]["handed"] == 1
    assert receiver.ids == ["d-2"]


def test_a_server_that_was_restored_from_an_older_copy_is_told(once: Once, tmp_path: Path) -> None:
    came("d-1")
    told(once())
    place = json.loads((tmp_path / "place").read_text())
    (tmp_path / "place").write_text(json.dumps(place | {"cursor": place["cursor"] + 5}))

    assert [each["what"] for each in told(once())] == ["begins", "ahead", "ends"]


def test_a_server_that_is_away_or_refuses_is_told_by_the_exit_code(once: Once, server: Callboard) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLBOARD_API_KEY", "cb_nobody")
        assert once().exit_code == 1
    server.stop()
    away = once()

    assert away.exit_code == 69
    assert "cannot be reached" in away.output
