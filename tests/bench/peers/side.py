"""One peer under the benchmark's control: its feeder, its workers, and the file in which noted jobs are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.ops.processes import told_when_parent_dies
from app.settings import ROOT
from tests.bench.peers import installing
from tests.bench.peers.catalogue import NAMES, Peer
from tests.bench.peers.servers import Servers
from tests.waiting import until


class Failed(Exception):
    """The peer did not do what it was asked; the message has its last words."""


class Side:
    """A peer that is installed; nothing runs before `open`."""

    def __init__(self, peer: Peer, servers: Servers) -> None:
        """Install it; raises NotInstalled."""
        self.peer = peer
        self.servers = servers
        own = peer.package is None
        self.python = Path(sys.executable) if own else installing.python_of(peer.name, peer.needs)
        self.log = servers.home / f"{peer.name}.log"
        self.notes_file = servers.home / f"{peer.name}.notes"
        self.about: dict[str, Any] = {}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.rest: dict[str, subprocess.Popen[bytes]] = {}
        self._feeder: subprocess.Popen[str] | None = None
        self._database = ""

    def version(self) -> str:
        """Of what was installed."""
        if self.peer.package is None:
            from app import __version__

            return __version__
        code = f"import importlib.metadata as m; print(m.version({self.peer.package!r}))"
        return subprocess.run(
            [self.python, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()

    # -- the feeder

    def open(self) -> None:
        """Start what submits and counts, with a new empty database."""
        with self.log.open("ab") as log:
            self._feeder = subprocess.Popen(
                [self.python, "-m", "tests.bench.peers.inside", self.peer.module],
                cwd=ROOT,
                env=self._environ(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=told_when_parent_dies(signal.SIGKILL),  # noqa: PLW1509 - one thread
            )
        self.about = self.ask("about")
        self.ask("prepare")
        self.ask("clear")

    def ask(self, do: str, **more: Any) -> Any:
        """Have the feeder do something, and its answer."""
        feeder = self._feeder
        assert feeder
        assert feeder.stdin
        assert feeder.stdout
        try:
            print(json.dumps({"do": do, **more}), file=feeder.stdin, flush=True)
        except BrokenPipeError:
            raise Failed(self.last_words()) from None
        line = feeder.stdout.readline()
        if not line:
            raise Failed(self.last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{do}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """End everything of it and forget what it has kept."""
        self.stop_workers()
        self.stop_rest()
        if self._feeder:
            self._feeder.kill()
            self._feeder.wait()
            self._feeder = None
        if self.peer.package:
            self.servers.drop_database_of(self.peer.name)

    # -- its workers, and of Callboard web and scheduler

    def start_workers(self) -> None:
        """Start all of them."""
        self.workers = [self._started(command) for command in self.about["workers"]]

    def stop_workers(self) -> None:
        """Ask politely, then not."""
        _stopped(self.workers)
        self.workers = []

    def start_rest(self) -> None:
        """Start what belongs to it besides workers."""
        self.rest = {name: self._started(command) for name, command in self.about["rest"].items()}

    def stop_rest(self) -> None:
        """Stop it again."""
        _stopped(list(self.rest.values()))
        self.rest = {}

    def revive(self) -> int:
        """Start workers again that have ended, as a platform does; answers how many."""
        dead = [place for place, worker in enumerate(self.workers) if worker.poll() is not None]
        for place in dead:
            self.workers[place] = self._started(self.about["workers"][place])
        return len(dead)

    def warm(self) -> None:
        """Wait until a job ran."""
        self.ask("note", number=-1)
        self.wait(lambda: self.notes()[-1] > 0, 180)

    def wait(self, condition: Any, seconds: float, every: float = 0.005) -> None:
        """Wait for `condition`; fails with the peer's own last words."""
        try:
            until(condition, seconds, every)
        except AssertionError:
            raise Failed(f"nothing happened for {seconds:g} s: {self.last_words()}") from None

    # -- noted jobs

    def forget_notes(self) -> None:
        """Begin a new page."""
        self.notes_file.write_bytes(b"")

    def notes(self) -> Counter[int]:
        """How often each noted job ran."""
        return Counter(number for number, _ in self.noted())

    def noted(self) -> list[tuple[int, float]]:
        """Number and seconds from submission to body, in the order they ran; whole lines only."""
        text = self.notes_file.read_text() if self.notes_file.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [(int(number), float(seconds)) for number, seconds in (line.split() for line in lines)]

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return " | ".join(lines[-3:])[-500:] or "it said nothing"

    def pids(self) -> dict[str, list[int]]:
        """Its trees of processes: what feeds it is apart, for that is the benchmark's."""
        feeder = [self._feeder.pid] if self._feeder else []
        return {"worker": [each.pid for each in self.workers], "feeder": feeder}

    def _started(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=told_when_parent_dies(signal.SIGTERM),  # noqa: PLW1509 - one thread
            )

    def _environ(self) -> dict[str, str]:
        number = NAMES.index(self.peer.name)
        environ = self.servers.environ | {
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.servers.redis_for(number) if self.peer.package else self.servers.redis_url,
            "PEER_NOTES": str(self.notes_file),
        }
        if self.peer.package:
            if self._feeder is None:
                self._database = self.servers.database_for(self.peer.name)
            environ |= {"PEER_DATABASE": self._database}
        return environ


def _stopped(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
