"""What a supervisor that was killed left behind: found, and stopped, before anything is started again.

The caller holds the home's lock, so no living supervisor owns any of it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from app.ops.processes import MARK

SERVERS = {"postgres", "valkey-server", "redis-server"}
GRACE = 4.0  # seconds for web, worker and scheduler: what they had begun is recovered anyway
POSTGRES_GRACE = 15.0


def stop_leftovers(home: Path) -> list[str]:
    """Stop everything that an earlier supervisor of `home` started; returns what it was."""
    found = list(leftovers(home))
    names = sorted(f"{_name(p)} ({p.pid})" for p in found)
    servers = [p for p in found if _name(p) in SERVERS]
    _stop([p for p in found if p not in servers], signal.SIGTERM, GRACE)
    _stop([p for p in servers if _name(p) != "postgres"], signal.SIGTERM, GRACE)
    _stop([p for p in servers if _name(p) == "postgres"], signal.SIGINT, POSTGRES_GRACE)
    for pid_file in (home / "run").glob("*.pid"):
        if pid_file.name != "supervisor.pid":
            pid_file.unlink()
    return names


def leftovers(home: Path) -> Iterator[psutil.Process]:
    """Living processes that carry the mark of `home`, or are servers at work inside its data."""
    sessions = set(_recorded(home / "run"))
    data = (home / "data").resolve()
    ours = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if process.pid in ours or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _marked(process, home, sessions) or _serves(process, data):
                yield process


def clear_postgres_locks(pgdata: Path, sockets: Path) -> None:
    """Stop servers at work in `pgdata` and unlink lock files whose owner is gone.

    Postgres asks only whether the pid exists: a zombie, or a stranger with the same number after
    a container's restart, would make it refuse to start.
    """
    at_work = [p for p in psutil.process_iter() if _serves(p, pgdata)]
    _stop(at_work, signal.SIGINT, POSTGRES_GRACE)
    for lock in (pgdata / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        lock.unlink(missing_ok=True)


def end_descendants(seconds: float, *, but: set[int | None]) -> None:
    """Give our children other than `but`, and theirs, `seconds` to end by themselves, then kill them."""
    end = time.monotonic() + seconds
    while strangers := [child for child in psutil.Process().children() if child.pid not in but]:
        if time.monotonic() > end:
            _each(strangers, _kill_tree)
        psutil.wait_procs(strangers, timeout=0.05)


def _kill_tree(process: psutil.Process) -> None:
    _each([*process.children(recursive=True), process], psutil.Process.kill)


def _marked(process: psutil.Process, home: Path, sessions: set[int]) -> bool:
    try:
        return process.environ().get(MARK) == str(home)
    except psutil.AccessDenied:
        # A worker that made itself undumpable hides its environment, even from its own account:
        # then it must belong to a session of our pid files and run our own interpreter.
        return os.getsid(process.pid) in sessions and any(sys.prefix in word for word in process.cmdline())


def _serves(process: psutil.Process, folder: Path) -> bool:
    """True for a server whose working directory lies in `folder`; both kinds change into their data."""
    with suppress(psutil.Error):
        return _name(process) in SERVERS and Path(process.cwd()).is_relative_to(folder)
    return False


def _recorded(run: Path) -> Iterator[int]:
    for pid_file in run.glob("*.pid"):
        with suppress(ValueError, OSError):
            yield int(pid_file.read_text())


def _stop(processes: list[psutil.Process], number: signal.Signals, grace: float) -> None:
    """Ask, wait, kill."""
    _each(processes, lambda process: process.send_signal(number))
    _each(_wait(processes, grace), psutil.Process.kill)
    _wait(processes, 5)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after `seconds`; a zombie is as good as gone, whenever PID 1 collects it."""
    end = time.monotonic() + seconds
    while (living := [p for p in processes if _lives(p)]) and time.monotonic() < end:
        time.sleep(0.02)
    return living


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _each(processes: Iterable[psutil.Process], do: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            do(process)


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.name())
    return "?"
