"""One supervised process: started in its own session, known by a pid file, restarted with back-off."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.ops import warm
from app.ops.ground import Account, identity

# In the environment of everything we start: how the leftovers of a killed supervisor are recognised.
MARK = "CALLBOARD_SUPERVISED"
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before a restart
SOUND_AFTER = 60.0  # a process that lived so long may die once without being made to wait

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start; `before` runs ahead of every start, `stop_signal` asks it to end."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    before: Callable[[], None] | None = None
    inside: Callable[[], object] | None = None
    """What `argv` comes to, to be run in a fork of ourselves (app/ops/warm.py); None: start it as a program."""


class Child:
    """A program that should be running."""

    def __init__(self, program: Program, home: Path) -> None:
        """Name its files; `start` starts it."""
        self.program = program
        self.name = program.name
        self.pid_file = home / "run" / f"{program.name}.pid"
        self.log_file = home / "log" / f"{program.name}.log"
        self.deaths = 0  # in a row, without a sound stretch of life between them
        self._process: subprocess.Popen[bytes] | warm.Forked | None = None
        self._asked = False
        self._started = 0.0
        self._wait = FIRST_WAIT

    def start(self) -> None:
        """Start it in a session of its own; on Linux it is told to stop when we die."""
        program = self.program
        if program.before:
            program.before()
        self._process = self._fork(program.inside) if program.inside else self._execute()
        self._asked = False
        self._started = time.monotonic()
        write_atomically(self.pid_file, f"{self._process.pid}\n")

    def _execute(self) -> subprocess.Popen[bytes]:
        program = self.program
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                program.argv,
                cwd=program.cwd,
                env=dict(program.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=told_when_parent_dies(program.stop_signal),  # noqa: PLW1509 - one thread
                **identity(program.account),
            )

    def _fork(self, inside: Callable[[], object]) -> warm.Forked:
        program = self.program
        return warm.fork(
            inside,
            name=self.name,
            environ=program.environ,
            cwd=program.cwd,
            log_file=self.log_file,
            before=told_when_parent_dies(program.stop_signal),
        )

    @property
    def pid(self) -> int | None:
        """The process id, which is also that of its session and group; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs. Reaps it."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """True while its first process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def age(self) -> float:
        """Seconds since it was last started."""
        return time.monotonic() - self._started

    def note_death(self) -> float:
        """Count the death, clear up behind it, and say after how many seconds to start it again.

        gunicorn's and dramatiq's own processes may outlive their master: they are told to hand back
        their work and go.
        """
        self.signal_group(signal.SIGTERM)
        if self.age > SOUND_AFTER:
            self.deaths, self._wait = 0, FIRST_WAIT
        self.deaths += 1
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        return wait

    def ask_to_stop(self) -> None:
        """Send the polite signal to its first process, which tells the others; once, however often called."""
        if self.alive and self._process and not self._asked:
            self._asked = True
            self._process.send_signal(self.program.stop_signal)

    def quit_hard(self) -> None:
        """Postgres: leave at once and recover at the next start. Others: the last word before `kill`."""
        if self.alive and self._process:
            self._process.send_signal(signal.SIGQUIT)

    def kill(self) -> None:
        """End the whole group at once and take the pid file away."""
        self.signal_group(signal.SIGKILL)
        if self._process:
            self._process.wait()
        self.pid_file.unlink(missing_ok=True)

    def signal_group(self, number: signal.Signals) -> None:
        """Send `number` to whatever is left of its group; nothing if all are gone."""
        if self._process:
            with suppress(ProcessLookupError, PermissionError):  # macOS says "not permitted" of zombies
                os.killpg(self._process.pid, number)


def told_when_parent_dies(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `number` when the parent's thread ends; Linux only.

    It runs after the change of account, which would clear the wish. Without it (macOS) the next
    start finds the leftovers.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def wish() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return wish


def stop_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send ourselves `number` when whoever started us ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that none gets away; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_strangers(known: set[int]) -> None:
    """Collect dead children that are not in `known`: adopted orphans, and everybody's when we are PID 1."""
    if not hasattr(os, "waitid"):
        return
    with suppress(ChildProcessError):
        # Peek first: a status taken away from one of our own children would read as exit code 0.
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in known:
                return
            os.waitpid(found.si_pid, 0)


def reach_the_disk(folder: Path) -> None:
    """Make what files of `folder` are called outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step: nobody reads half a pid."""
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)
