"""The whole product on a free port, started as `make run` starts it; to be stopped, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2

from app.ops.processes import MARK
from app.settings import ROOT
from tests.services import free_port
from tests.waiting import until

EMAIL, PASSWORD = "admin@callboard.test", "a password for journeys"
API_KEY = "cb_journey0_" + "j" * 43
AGENTS = f"{ROOT / 'tests' / 'agents'}:{ROOT / 'tests' / 'journeys' / 'agents'}"
SETTINGS = {
    "CALLBOARD_ENV": "test",
    "CALLBOARD_ADMIN_EMAIL": EMAIL,
    "CALLBOARD_ADMIN_PASSWORD": PASSWORD,
    "CALLBOARD_ADMIN_API_KEY": API_KEY,
    "AGENT_FOLDERS": AGENTS,
    # A lost worker is noticed within a test's patience.
    "HEARTBEAT_SECONDS": "1",
    "LEASE_SECONDS": "6",
    "SWEEP_INTERVAL_SECONDS": "1",
    "LOOK_SECONDS": "0.5",
    "LOST_BACKOFF_SECONDS": "0.2",
    "POLL_QUEUED_MS": "300",
    "POLL_RUNNING_MS": "300",
    "POLL_RETRY_MS": "300",
    "POLL_MIN_MS": "100",
    "RATE_LIMIT_PER_MINUTE": "0",
    "RATE_LIMIT_PER_HOUR": "0",
    "RATE_LIMIT_BURST_PER_SECOND": "0",
    "POLL_LIMIT_PER_MINUTE": "0",
}


class Product:
    """One Callboard with its servers, below one supervisor."""

    def __init__(self, home: Path, **environ: str) -> None:
        """Choose a port; nothing runs before `start`. `environ` overrides the settings of journeys."""
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.said = home.with_name(home.name + ".out")
        self._environ = {**SETTINGS, **environ, "CALLBOARD_HOME": str(home), "PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor and wait for its one line; also after a kill."""
        # The servers of somebody's shell, or of the test session, must not be taken for the embedded ones.
        rest = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        with self.said.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "up", "--stop-with-parent"],
                cwd=ROOT,
                env={**rest, **self._environ},
                stdout=out,
                stderr=out,
            )
        until(self._is_ready, 120, 0.1)

    def _is_ready(self) -> bool:
        assert self._process is not None
        said = self.said.read_text(errors="replace")
        assert self._process.poll() is None, f"it ended with {self._process.returncode}: {said}"
        return f"Callboard is ready at {self.url}" in said

    def stop(self) -> int:
        """Ask it to stop, wait, and answer its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(40)

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    @contextmanager
    def unattended(self) -> Iterator[None]:
        """The supervisor frozen: what dies meanwhile stays dead until the end of the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def pid(self, name: str) -> int:
        """The process of postgres, redis, web, worker or scheduler, by its pid file."""
        return int((self.home / "run" / f"{name}.pid").read_text())

    def end(self, name: str, number: signal.Signals) -> None:
        """Send `number` to a process, and wait for its end."""
        process = psutil.Process(self.pid(name))
        process.send_signal(number)
        until(lambda: not is_alive(process), 30)

    def processes(self) -> list[str]:
        """Every living process that belongs to this home, as text."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                ours = process.environ().get(MARK) == str(self.home) or str(self.home) in words
                if ours and is_alive(process) and process.pid != os.getpid():
                    found.append(f"{process.pid} {words}")
        return found

    def sql(self, statement: str) -> None:
        """Do in the database what no endpoint does yet."""
        connection = psycopg2.connect(host=str(self.home / "run"), user="callboard", dbname="callboard")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()


@contextmanager
def running(**environ: str) -> Iterator[Product]:
    """A Callboard of its own, with these settings; at the end SIGTERM must end it, and leave no process."""
    home = Path(tempfile.mkdtemp(prefix="cb-j-"))  # short: sockets lie in it
    product = Product(home, **environ)
    product.start()
    try:
        yield product
    finally:
        code = product.stop()
    assert code == 0, product.said.read_text()
    assert product.processes() == []
    product.said.unlink()
    shutil.rmtree(home)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
