"""Log lines: one JSON object each, and never a secret."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
import structlog

from app.observe import logs
from app.settings import ROOT


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the root logger back to pytest."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    logs.get("room").info("job.settled", job_id="j-1", seconds=1.5)
    logging.getLogger("elsewhere").warning("plain %s", "words")
    ours, theirs = _lines(capsys)
    assert (ours["event"], ours["job_id"], ours["level"], ours["logger"]) == (
        "job.settled",
        "j-1",
        "info",
        "room",
    )
    assert (theirs["event"], theirs["level"]) == ("plain words", "warning")


@pytest.mark.parametrize(
    "name", ["password", "API_KEY", "access_token", "Authorization", "parameters", "secret_key"]
)
def test_a_secret_never_stands_in_a_line(capsys: pytest.CaptureFixture[str], name: str) -> None:
    logs.configure("INFO", "json")
    logs.get("room").info("x", **{name: "the-secret"})
    assert "the-secret" not in capsys.readouterr().err


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_the_address_of_a_call_is_not_logged(capsys: pytest.CaptureFixture[str], level: str) -> None:
    logs.configure(level, "json")
    answer = httpx2.MockTransport(lambda _: httpx2.Response(204))
    with httpx2.Client(transport=answer) as client:
        client.post("https://hooks.example/in?token=the-secret")
    assert "the-secret" not in capsys.readouterr().err


def test_bound_ids_are_on_every_line_of_whichever_library(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    with structlog.contextvars.bound_contextvars(worker_id="w-1"):
        logs.get("room").info("x")
        logging.getLogger("elsewhere").warning("y")
    assert [line["worker_id"] for line in _lines(capsys)] == ["w-1", "w-1"]


def test_a_traceback_stays_inside_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logs.get("room").exception("x.broken")
    (line,) = _lines(capsys)
    assert "ZeroDivisionError: by zero" in str(line["exception"])


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", "json")
    logs.get("room").info("quiet")
    assert capsys.readouterr().err == ""


def test_a_line_says_which_process_wrote_it_and_for_which_request(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json", service="worker", version="9.9")
    structlog.contextvars.clear_contextvars()
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logs.get("room").info("x")
    with structlog.contextvars.bound_contextvars(request_id="r-2", correlation_id="c-1"):
        logging.getLogger("gunicorn.error").warning("y")
    first, second = _lines(capsys)
    assert (first["service"], first["version"], first["pid"]) == ("worker", "9.9", os.getpid())
    assert (first["correlation_id"], second["correlation_id"], second["service"]) == ("r-1", "c-1", "worker")


def test_what_a_process_dies_of_and_what_python_warns_of_are_lines_too() -> None:
    script = """
import threading, warnings
from app.observe import logs
logs.configure("INFO", "json", service="worker", version="9.9")
logs.catch_the_rest()
warnings.warn("old ways")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise LookupError("and out")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    warned, thread, died = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert "old ways" in str(warned["event"])
    assert (thread["event"], died["event"]) == ("thread.died", "process.died")
    assert "ZeroDivisionError" in str(thread["exception"])
    assert "LookupError: and out" in str(died["exception"])
