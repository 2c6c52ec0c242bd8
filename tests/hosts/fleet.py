"""A fleet whose processes run on hosts of their own: a name, an address, a process table and a home each."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from app.ops.processes import Program
from app.settings import ROOT
from tests.fleet import API_KEY, Fleet, Unit
from tests.hosts.network import Host, Network
from tests.services import Pair

WEB_PORT = 8000
# Long enough for a program that ignores SIGTERM to be killed between the fence and the end of the lease.
LEASE_SECONDS = 16
PATIENCE = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "HEARTBEAT_SECONDS": "3",
    # What hosts have to share besides the two servers.
    "SECRET_KEY": "one key for all the hosts of the test",
    "ARTIFACTS_URL": "postgres:",
}


class Hosts(Fleet):
    """The processes of one Callboard, each on a host of `network` that has its name."""

    def __init__(self, network: Network, pair: Pair, database_url: str, home: Path, **environ: str) -> None:
        """Nothing runs, and no host is there, before a process is asked for."""
        super().__init__(pair, database_url, home, **(PATIENCE | environ))
        self.network = network
        self._ahead: dict[str, int] = {}

    def host(self, unit: Unit) -> Host:
        """Where `unit` runs."""
        return self.network.host(unit.name)

    def start(self, name: str, *arguments: str, **environ: str) -> Unit:
        """Start `python ...` on the host `name`."""
        home = self.home / "hosts" / name
        home.mkdir(parents=True, exist_ok=True)
        program = Program(
            name=name,
            argv=(
                *self.network.host(name).enter(self._ahead.get(name, 0)),
                sys.executable,
                *arguments,
            ),
            environ={**self.environ, "CALLBOARD_HOME": str(home), **environ},
            cwd=ROOT,
        )
        unit = self.units[name] = Unit(program, self.home)
        unit.start()
        return unit

    def here(self, name: str, *arguments: str) -> Unit:
        """Start `python ...` beside the servers, on no host of its own."""
        program = Program(name=name, argv=(sys.executable, *arguments), environ=self.environ, cwd=ROOT)
        unit = self.units[name] = Unit(program, self.home)
        unit.start()
        return unit

    def set_clock(self, name: str, ahead_seconds: int) -> None:
        """Let the wall clock of the host `name` be wrong; before its process starts."""
        self._ahead[name] = ahead_seconds

    def worker(self, name: str = "worker", *, processes: int = 1, threads: int = 4, **environ: str) -> Unit:  # type: ignore[override]
        """Start a worker as the Procfile does."""
        count = ("--processes", str(processes), "--threads", str(threads))
        rest = ("--worker-shutdown-timeout", "20000")
        return self.start(name, "-m", "actors", *count, *rest, WORKER_THREADS=str(threads), **environ)

    def door(self, name: str) -> Unit:
        """Start gunicorn as the Procfile does."""
        config = ("--config", "app/ops/gunicorn_conf.py", "--bind", f"0.0.0.0:{WEB_PORT}")
        size = ("--workers", "1", "--threads", "4")
        return self.start(name, "-m", "gunicorn", *config, *size, "app:create_app()", PORT=str(WEB_PORT))

    def address(self, unit: Unit) -> str:
        """Where the door `unit` answers."""
        return f"http://{self.host(unit).address}:{WEB_PORT}"

    def power_off(self, unit: Unit) -> None:
        """End everything that runs on the host of `unit`, at once and without a word, and pull its plug."""
        self.host(unit).cut()
        unit.wanted = False
        for process in [*unit.children(), psutil.Process(unit.pid)]:
            with suppress(psutil.NoSuchProcess):  # a runner may just have ended by itself
                process.send_signal(signal.SIGKILL)
        unit.kill()

    def registered(self, *names: str) -> bool:
        """Whether the workers on all these hosts beat."""
        rows = self.rows(
            "SELECT hostname FROM workers WHERE seen_at > clock_timestamp() - interval '6 s' AND NOT redis_away"
        )
        return {*names} <= {row["hostname"] for row in rows}

    def running_on(self, unit: Unit) -> list[dict[str, Any]]:
        """The attempts that the host of `unit` has in hand: {job_id, fence, agent_id}."""
        return self.rows(
            """SELECT j.job_id::text, j.fence, j.agent_id FROM jobs j JOIN workers w USING (worker_id)
               WHERE j.status = 'running' AND w.hostname = %(name)s""",
            {"name": unit.name},
        )

    def lost(self) -> int:
        """How many attempts lost their worker."""
        return self.outcomes().get("lost", 0)

    def ended_on(self, job_ids: list[str]) -> dict[str, int]:
        """How many of the jobs each host brought to their end."""
        rows = self.rows(
            """SELECT split_part(a.worker_id, '-', 1) || '-' || split_part(a.worker_id, '-', 2) AS host, count(*) AS n
               FROM job_attempts a JOIN jobs j ON j.job_id = a.job_id AND j.fence = a.fence
               WHERE j.job_id = ANY(%(ids)s::uuid[]) GROUP BY 1""",
            {"ids": job_ids},
        )
        return {row["host"]: row["n"] for row in rows}

    def lines(self, unit: Unit, event: str, since: int = 0) -> list[dict[str, Any]]:
        """The entries of its log named `event`, without the first `since`."""
        return unit.log_lines(event)[since:]


def bearer() -> dict[str, str]:
    """Who asks the doors."""
    return {"Authorization": f"Bearer {API_KEY}"}
