"""The scaler: one decision, one call of the platform, tried again, and what the figures leave out."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine
from standardwebhooks import Webhook

from actors import scaler
from app import audit
from app.alerts import measures
from app.alerts.measures import Limits
from app.db import db
from app.jobs import pools, sizing
from app.notify.secrets import fresh
from app.ops import growing
from app.settings import Settings
from app.workers import fleet
from app.workers.scaling import Bounds
from tests import acting

SECRET = fresh()


@pytest.fixture(autouse=True)
def _here(quick: Engine) -> Iterator[None]:
    """Each statement of the test is its own transaction."""
    sizing.forget()
    with db.quick():
        yield


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(CALLBOARD_ENV="test", CALLBOARD_HOME=tmp_path, scale_cooldown_seconds=1, **more)


def decided(wanted: int, before: int | None = None) -> None:
    """A decision as it is written down."""
    state = {"all": {"wanted": wanted, "changed_at": "2026-01-01T00:00:00Z", "grew_at": None}}
    with db.transaction():
        audit.record(
            sizing.ACTION,
            actor="",
            subject="all",
            details={"wanted": wanted, "before": before, "why": "so it is", "pools": {}, "state": state},
        )


def actions() -> list[str]:
    return [
        row["action"]
        for row in db.rows("SELECT action FROM audit_log WHERE starts_with(action, 'scaling.') ORDER BY id")
    ]


def later(seconds: float) -> None:
    """Let the entries become older; only the owner of the tables may."""
    with db.transaction():
        db.run("ALTER TABLE audit_log DISABLE TRIGGER USER")
        db.run(
            "UPDATE audit_log SET at = at - %(by)s WHERE starts_with(action, 'scaling.')",
            by=timedelta(seconds=seconds),
        )
        db.run("ALTER TABLE audit_log ENABLE TRIGGER USER")


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scale.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{path} worker={{wanted}}"


def test_only_what_could_be_claimed_counts_as_waiting() -> None:
    acting.submitted()
    acting.submitted("test-noop")
    assert sizing.figures(fresh=True)["general"]["waiting"] == 2
    with db.transaction():
        pools.pause("general", by="ada")
    assert sizing.figures(fresh=True)["all"]["waiting"] == 0


def test_a_decision_is_written_once_and_again_only_when_it_changes(tmp_path: Path) -> None:
    assert scaler.decide(settings(tmp_path)) is not None
    assert scaler.decide(settings(tmp_path)) is None
    assert actions() == ["scaling.decided"]
    assert [(each["wanted"], each["before"]) for each in sizing.history()] == [(5, None)]


def test_the_command_gets_the_number_and_is_called_once(tmp_path: Path) -> None:
    said = tmp_path / "said"
    chosen = settings(
        tmp_path,
        scale_command=script(tmp_path, f'echo "$1 $CALLBOARD_WANTED_BEFORE $DATABASE_URL" >> {said}'),
    )
    decided(7, before=5)
    scaler.tell(chosen)
    scaler.tell(chosen)

    assert said.read_text() == "worker=7 5 \n"
    assert actions() == ["scaling.decided", "scaling.called", "scaling.told"]


def test_a_command_that_fails_is_tried_again_later_and_then_alerts(tmp_path: Path) -> None:
    chosen = settings(tmp_path, scale_command=script(tmp_path, "echo no such app; exit 3"))
    decided(7)
    for _ in range(3):
        scaler.tell(chosen)
    assert actions().count("scaling.called") == 1
    assert [(r.value, r.about) for r in measures.scale_hook(Limits())] == [
        (1, "it ended with 3: no such app")
    ]

    later(scaler.FIRST_WAIT_SECONDS)
    scaler.tell(chosen)
    assert actions().count("scaling.called") == 2
    for _ in range(9):
        later(600)
        scaler.tell(chosen)
    assert actions().count("scaling.called") == scaler.TRIES
    decided(8, before=7)
    assert measures.scale_hook(Limits()) == []


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    chosen = settings(tmp_path, scale_command=script(tmp_path, "sleep 60"), scale_timeout_seconds=1)
    decided(7)
    scaler.tell(chosen)
    assert "longer than 1 s" in measures.scale_hook(Limits())[0].about


def test_one_that_is_under_way_is_not_called_by_another_scheduler(tmp_path: Path) -> None:
    chosen = settings(tmp_path, scale_command="true")
    decided(7)
    with db.transaction():
        audit.record("scaling.called", actor="", subject=f"scaling:{sizing.history()[0]['decision_id']}")
    scaler.tell(chosen)
    assert actions() == ["scaling.decided", "scaling.called"]

    later(31)  # it died in the middle
    scaler.tell(chosen)
    assert actions()[-1] == "scaling.told"


class Platform(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    got: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        """Accept it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def platform() -> Iterator[HTTPServer]:
    Platform.got = []
    server = HTTPServer(("127.0.0.1", 0), Platform)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_url_gets_the_number_signed(tmp_path: Path, platform: HTTPServer) -> None:
    url = f"http://127.0.0.1:{platform.server_port}/scale"
    decided(7, before=5)
    scaler.tell(settings(tmp_path, scale_url=url, scale_secret=SECRET))

    ((headers, body),) = Platform.got
    told = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    assert (told["type"], told["data"]["wanted"], told["data"]["before"]) == ("scaling.wanted", 7, 5)
    assert actions()[-1] == "scaling.told"


def test_a_url_that_nobody_answers_is_a_failure(tmp_path: Path) -> None:
    decided(7)
    scaler.tell(settings(tmp_path, scale_url="http://127.0.0.1:1/", scale_secret=SECRET))
    assert actions()[-1] == "scaling.refused"


def test_the_plan_says_what_each_worker_of_this_host_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    decided(3)
    with db.transaction():
        fleet.register(
            "w", hostname=scaler.os.uname().nodename, process_id=7, pools=("general",), threads=2, release="1"
        )
        fleet.register(
            "elsewhere", hostname="elsewhere", process_id=8, pools=("general",), threads=2, release="1"
        )
    scaler.lay_out(settings(tmp_path, workers="1..4"))

    assert json.loads((tmp_path / "run" / growing.PLAN).read_text()) == {
        "wanted": 3,
        "why": "so it is",
        "busy": {"7": 0},
    }


def test_the_bounds_are_those_of_the_settings(tmp_path: Path) -> None:
    assert settings(tmp_path, workers="2..3").worker_bounds == Bounds(2, 3)
    assert settings(tmp_path).worker_bounds == Bounds()
