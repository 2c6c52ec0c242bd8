"""The supervisor as a process: first start, crash, restart, stop, and who is refused."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from app.ops.leftovers import leftovers
from app.settings import ROOT
from tests.services import free_port
from tests.waiting import until

PROCFILE = """
release: python -m tests.app.ops.stand_ins release
web: exec python -m tests.app.ops.stand_ins web
worker: exec python -m tests.app.ops.stand_ins worker
scheduler: exec python -m tests.app.ops.stand_ins scheduler
"""
NAMES = {"postgres", "redis", "web", "worker", "scheduler"}


class Callboard:
    """One home with a Procfile, and the supervisor running in it."""

    def __init__(self, home: Path) -> None:
        """Choose a port; nothing runs yet."""
        self.home = home
        self.port = free_port()
        self.procfile = home / "Procfile"
        self.procfile.write_text(PROCFILE)
        self.output = home / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the supervisor without waiting."""
        arguments = [str(self.home), str(self.port), str(self.procfile)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.app.ops.supervised", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
        return self.process

    def start(self) -> None:
        """Start it and wait for the ready line."""
        self.begin()
        until(lambda: "is ready" in self.said() or self.ended(), 60)
        assert not self.ended(), self.said()

    def said(self) -> str:
        """Its output so far."""
        return self.output.read_text()

    def ended(self) -> bool:
        """True when the supervisor is gone."""
        return self.process is not None and self.process.poll() is not None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def crash(self) -> None:
        """Kill the supervisor, and nothing else."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def pid(self, name: str) -> int:
        """What the pid file of `name` says."""
        return int((self.home / "run" / f"{name}.pid").read_text())

    def second_worker(self) -> psutil.Process:
        """The process that the worker's master has made."""
        pid_file = self.home / "second_worker.pid"
        until(pid_file.exists)
        return psutil.Process(int(pid_file.read_text()))

    def alive(self) -> list[psutil.Process]:
        """Every process that was started in this home and lives."""
        return list(leftovers(self.home))

    def database(self) -> psycopg2.extensions.connection:
        """A connection to the embedded database."""
        return psycopg2.connect(host=str(self.home / "run"), user="callboard", dbname="callboard")


@pytest.fixture
def callboard() -> Iterator[Callboard]:
    """A home in a short path that the unprivileged account can enter; stopped and removed at the end."""
    board = Callboard(Path(tempfile.mkdtemp(prefix="cb-")))
    yield board
    if board.process and not board.ended():
        board.stop()
    for process in board.alive():
        process.kill()
    shutil.rmtree(board.home)


def test_the_first_start_brings_everything_up_and_says_so_once(callboard: Callboard) -> None:
    callboard.start()

    assert callboard.said().count(f"Callboard is ready at http://127.0.0.1:{callboard.port}\n") == 1
    assert "the password is sesame" in callboard.said()
    assert not list((callboard.home / "log").glob("release*"))
    pids = {path.stem for path in (callboard.home / "run").glob("*.pid")}
    assert pids == NAMES | {"supervisor"}
    assert all(psutil.pid_exists(callboard.pid(name)) for name in NAMES)


def test_a_stop_leaves_no_process_and_no_pid_file(callboard: Callboard) -> None:
    callboard.start()
    running = [psutil.Process(callboard.pid(name)) for name in NAMES]

    code = callboard.stop()

    assert code == 0
    assert callboard.alive() == []
    assert not any(process.is_running() for process in running)
    assert not list((callboard.home / "run").glob("*.pid"))


def test_ctrl_c_twice_is_an_orderly_stop(callboard: Callboard) -> None:
    callboard.start()

    assert callboard.process
    callboard.process.send_signal(signal.SIGINT)
    code = callboard.stop(signal.SIGINT)

    assert code == 0
    assert callboard.alive() == []


def test_a_stop_during_the_start_is_heard(callboard: Callboard) -> None:
    callboard.begin()
    until((callboard.home / "run" / "postgres.pid").exists, 60)

    code = callboard.stop()

    assert code == 0
    assert callboard.alive() == []
    assert "is ready" not in callboard.said()


def test_the_second_start_finds_the_data(callboard: Callboard) -> None:
    callboard.start()
    write(callboard, "before")
    callboard.stop()

    callboard.start()

    assert read(callboard) == ["before"]


def test_after_a_killed_supervisor_the_next_start_cleans_up_and_keeps_the_data(callboard: Callboard) -> None:
    callboard.start()
    write(callboard, "survives")
    second_worker = callboard.second_worker()
    before = {callboard.pid(name) for name in NAMES}

    callboard.crash()
    callboard.start()

    assert read(callboard) == ["survives"]
    assert not second_worker.is_running()
    assert before.isdisjoint({process.pid for process in callboard.alive()})


def test_a_process_that_dies_is_started_again(callboard: Callboard) -> None:
    callboard.start()
    for name in sorted(NAMES):
        dead = callboard.pid(name)
        os.kill(dead, signal.SIGKILL)

        until(lambda name=name, dead=dead: callboard.pid(name) != dead, 20)

    until(lambda: _answers(callboard), 20)
    assert "is started again in" in callboard.said()


def test_a_master_that_dies_takes_its_second_process_along(callboard: Callboard) -> None:
    callboard.start()
    second = callboard.second_worker()

    os.kill(callboard.pid("worker"), signal.SIGKILL)

    until(lambda: not second.is_running(), 10)


def test_a_second_instance_in_the_same_home_is_refused(callboard: Callboard) -> None:
    callboard.start()
    rival = Callboard(callboard.home)
    rival.output = callboard.home / "rival"

    code = rival.begin().wait(timeout=30)

    assert code == 1
    assert f"already runs in {callboard.home} (pid {callboard.pid('supervisor')})" in rival.said()
    assert not callboard.ended()


def test_a_taken_port_is_said_before_anything_is_started(callboard: Callboard) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", callboard.port))
        holder.listen()

        code = callboard.begin().wait(timeout=30)

    assert code == 1
    assert f"port {callboard.port}" in callboard.said()
    assert not (callboard.home / "data").exists()


def test_a_failed_release_stops_everything_and_shows_why(callboard: Callboard) -> None:
    callboard.procfile.write_text(PROCFILE.replace("stand_ins release", "stand_ins broken"))

    code = callboard.begin().wait(timeout=60)

    assert code == 1
    assert "the schema is upside down" in callboard.said()
    assert callboard.alive() == []


def test_a_process_that_keeps_dying_at_the_start_is_given_up(
    callboard: Callboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOP_SECONDS", "3")  # the deaf stand-in uses them up
    unready = PROCFILE.replace("stand_ins web", "stand_ins deaf")
    callboard.procfile.write_text(unready.replace("stand_ins scheduler", "stand_ins broken"))

    code = callboard.begin().wait(timeout=60)

    assert code == 1
    assert "scheduler keeps dying" in callboard.said()
    assert "the schema is upside down" in callboard.said()


def test_a_deaf_process_is_killed_in_the_end(callboard: Callboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOP_SECONDS", "5")
    callboard.procfile.write_text(PROCFILE.replace("stand_ins scheduler", "stand_ins deaf"))
    callboard.start()
    until(lambda: "not listening any more" in callboard.said())
    began = time.monotonic()

    code = callboard.stop()

    assert code == 0
    assert 4 < time.monotonic() - began < 20
    assert callboard.alive() == []


def test_warnings_of_the_children_are_shown(callboard: Callboard) -> None:
    callboard.start()

    until(lambda: "[scheduler] ERROR the clock is late" in callboard.said(), 20)


def write(callboard: Callboard, word: str) -> None:
    """Commit a row."""
    with callboard.database() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO kept VALUES (%s)", (word,))
    connection.close()


def read(callboard: Callboard) -> list[str]:
    """All rows."""
    with callboard.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT word FROM kept")
        found = [word for (word,) in cursor.fetchall()]
    connection.close()
    return found


def _answers(callboard: Callboard) -> bool:
    try:
        callboard.database().close()
        with socket.create_connection(("127.0.0.1", callboard.port), timeout=1):
            return True
    except (OSError, psycopg2.OperationalError):
        return False
