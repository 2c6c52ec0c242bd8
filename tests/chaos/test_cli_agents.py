"""Workers that end in the middle of a coding CLI: nothing of it is left, and its session is gone on with elsewhere.

The CLI is a scripted one (tests/scripted_cli.py) with two tools in sessions of their own, where no signal to a
process group finds them; one of them is nobody's child any more.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.db import db
from tests import acting
from tests.actors.runners.playing_cli import ALL, HANG, TOOL, UNTIL_THE_TOOL, Stage
from tests.fleet import LEASE_SECONDS, Fleet, Unit
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)

AGENT = "chaos-cli"
ORPHAN = {"run": ["sh", "-c", "setsid sleep 301 </dev/null >/dev/null 2>&1 &"]}
# The CLI itself, and its two tools.
PROCESSES = 3


class Scene:
    """One job of a CLI agent that hangs in the middle of its first run, and finishes in its second."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        """Start two workers and the job; over when the CLI and its tools run."""
        self.fleet = fleet
        self.stage = Stage(folder, [[UNTIL_THE_TOOL, TOOL, ORPHAN, HANG], [ALL]])
        with db.quick():
            acting.agent(AGENT, runner="cli", cli=self.stage.work().config)
        fleet.scheduler()
        self.workers = [fleet.worker("worker-a"), fleet.worker("worker-b")]
        with db.quick():
            self.job_id = acting.submitted(AGENT, parameters={"task": "Count the files."})
        fleet.until(self._hangs, 30)
        self.started = [psutil.Process(pid) for pid in self.left()]

    def _hangs(self) -> bool:
        """The tools run, and the session is kept where the next attempt finds it."""
        begun = self.fleet.value(
            "SELECT checkpoint -> 'cli' -> 'begun' FROM jobs WHERE job_id = %(job)s", job=self.job_id
        )
        return bool(begun) and {"sleep 300", "sleep 301"} <= {words.strip() for words in self.left().values()}

    def left(self) -> dict[int, str]:
        """What runs of the first attempt, wherever it hides: by the mark in its environment."""
        marker = f"CALLBOARD_IDEMPOTENCY_KEY={self.job_id}:1".encode()
        return {
            int(place.name): words
            for place in Path("/proc").glob("[0-9]*")
            if (words := marked(place, marker))
        }

    @property
    def all_gone(self) -> bool:
        """No process of the first attempt is left: none with its mark, none of those that were seen."""
        return not self.left() and not any(alive(process) for process in self.started)

    @property
    def worker_pid(self) -> int:
        """The worker process that has the job."""
        return int(
            self.fleet.value(
                "SELECT w.process_id FROM jobs j JOIN workers w USING (worker_id) WHERE j.job_id = %(job)s",
                job=self.job_id,
            )
        )

    @property
    def unit(self) -> Unit:
        """The worker that has the job."""
        pid = self.worker_pid
        return next(unit for unit in self.workers if pid in [child.pid for child in unit.children()])

    def job(self) -> dict[str, Any]:
        """Its row."""
        return self.fleet.rows("SELECT * FROM jobs WHERE job_id = %(job)s", {"job": self.job_id})[0]

    def completes_in_the_same_session(self) -> dict[str, Any]:
        """Wait for the second attempt; answers the job's row."""
        self.fleet.until(lambda: self.job()["status"] == "completed", 4 * LEASE_SECONDS)
        first, second = (self.stage.call(number)["argv"] for number in (0, 1))
        session = first[first.index("--session-id") + 1]
        row = self.job()

        assert second[second.index("--resume") + 1] == session
        assert row["result"]["session_id"] == session
        assert row["result"]["result"] == "Done: one file."
        assert self.fleet.outcomes().get("open", 0) == 0
        return row


def marked(place: Path, marker: bytes) -> str:
    """The words of a process whose environment holds `marker`; empty for others, also for zombies."""
    try:
        if marker not in (place / "environ").read_bytes().split(b"\0"):
            return ""
        return (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_killed_under_a_cli_leaves_nothing_of_it_and_the_session_goes_on(
    fleet: Fleet, tmp_path: Path
) -> None:
    scene = Scene(fleet, tmp_path / "stage")
    assert len(scene.started) >= PROCESSES
    assert len({os.getsid(process.pid) for process in scene.started}) >= PROCESSES

    os.kill(scene.worker_pid, signal.SIGKILL)
    until(lambda: scene.all_gone, 5)  # nobody restarts or clears up anything meanwhile

    row = scene.completes_in_the_same_session()
    assert (row["lost_count"], row["retry_count"], row["fence"]) == (1, 0, 2)
    assert fleet.outcomes() == {"lost": 1, "completed": 1}


def test_a_terminated_worker_hands_a_cli_back_uncounted_and_the_session_goes_on(
    make_fleet: Any, tmp_path: Path
) -> None:
    fleet = make_fleet(SHUTDOWN_GRACE_SECONDS="1")
    scene = Scene(fleet, tmp_path / "stage")
    unit = scene.unit
    unit.wanted = False

    psutil.Process(unit.pid).terminate()
    until(lambda: scene.all_gone and not unit.alive, 15)

    row = scene.completes_in_the_same_session()
    assert unit.exit_code == 0
    assert (row["lost_count"], row["retry_count"], row["released_count"]) == (0, 0, 1)
    assert fleet.outcomes() == {"released": 1, "completed": 1}
    assert [each.surprises() for each in scene.workers] == [[], []]
