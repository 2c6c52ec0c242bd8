"""One Callboard per home and per port: the lock, the port, the sign of life."""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from app.errors import Conflict, Unavailable
from app.ops.processes import write_atomically

STOP_SECONDS = 35.0  # an instance that is stopping is waited for so long


@contextmanager
def only_one(home: Path) -> Iterator[Callable[[], None]]:
    """Hold `home` for ourselves; yields what to call when we begin to stop.

    Raises Conflict when another supervisor has it. The kernel frees the lock of a killed one.
    """
    run = _private(home / "run")
    _private(home / "log")
    with (run / "supervisor.lock").open("a") as lock:
        _take(lock, run)
        (run / "stopping").unlink(missing_ok=True)
        write_atomically(run / "supervisor.pid", f"{os.getpid()}\n")
        try:
            yield (run / "stopping").touch
        finally:
            for name in ("supervisor.pid", "stopping"):
                (run / name).unlink(missing_ok=True)


def check_port_free(host: str, port: int) -> None:
    """Raise Unavailable when `port` cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            msg = f"port {port} on {host} cannot be used ({error.strerror}): set PORT to another one"
            raise Unavailable(msg) from error


def answers_health(host: str, port: int) -> bool:
    """True when the web process says that all is well."""
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _take(lock: TextIO, run: Path) -> None:
    end = time.monotonic() + STOP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not (run / "stopping").exists() or time.monotonic() > end:
                msg = f"Callboard already runs in {run.parent} (pid {_pid(run)})"
                raise Conflict(msg) from error
            time.sleep(0.2)
        else:
            return


def _pid(run: Path) -> str:
    try:
        return (run / "supervisor.pid").read_text().strip()
    except OSError:
        return "unknown"


def _private(folder: Path) -> Path:
    folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _reachable(host: str) -> str:
    """Where to knock: an address that means "all" is answered on the loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
