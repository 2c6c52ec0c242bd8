"""A whole Callboard under a test's control: real processes in sessions of their own, to be killed and frozen.

    with Fleet(pair, database_url, home) as fleet:
        fleet.scheduler()
        worker = fleet.worker()
        worker.kill_children()
        fleet.until(lambda: fleet.unfinished() == 0, 30)      # restarts whoever died meanwhile

Leases are short (5 s), so that a lost worker is noticed within a test's patience.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import psycopg2
import psycopg2.extras

from app.ops.processes import Child, Program
from app.settings import ROOT
from tests import invariants
from tests.services import Pair, libpq
from tests.waiting import until

T = TypeVar("T")

# psycopg2 says plain DatabaseError when the server goes away in the middle of an answer.
CUT_OFF = (psycopg2.DatabaseError, psycopg2.InterfaceError)

AGENTS = ROOT / "tests" / "agents"
API_KEY = "cb_chaos000_" + "c" * 43
LEASE_SECONDS = 5
HASTE = {
    "HEARTBEAT_SECONDS": "1",
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "SWEEP_INTERVAL_SECONDS": "1",
    "LOOK_SECONDS": "0.5",
    "LOST_BACKOFF_SECONDS": "0.2",
    # Chance must not make a poison job of one that was merely unlucky; where that is the matter, a test says 3.
    "MAX_LOST": "100",
    "CALLBOARD_POOLS": "general",
    "CALLBOARD_ENV": "test",
    "AGENT_FOLDERS": str(AGENTS),
    "CALLBOARD_ADMIN_API_KEY": API_KEY,
    "CALLBOARD_ADMIN_PASSWORD": "a long enough password for chaos",
    "RATE_LIMIT_PER_MINUTE": "0",
    "RATE_LIMIT_PER_HOUR": "0",
    "RATE_LIMIT_BURST_PER_SECOND": "0",
    "POLL_LIMIT_PER_MINUTE": "0",
}


def prepare(database_url: str, redis_url: str, home: Path, **environ: str) -> None:
    """What a release does before its processes start: schema, agents, the first admin."""
    own = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "CALLBOARD_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "app", "prepare"],
        cwd=ROOT,
        env={**os.environ, **HASTE, **environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Unit(Child):
    """One process of the fleet, with what runs below it."""

    def __init__(self, program: Program, home: Path) -> None:
        """`wanted` says whether the fleet restarts it when it died."""
        super().__init__(program, home)
        self.wanted = True

    def children(self) -> list[psutil.Process]:
        """The processes below the first one: gunicorn's and dramatiq's own workers."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True) if self.alive else []
        return []

    def kill_children(self) -> int:
        """kill -9 what runs below the first process; answers how many."""
        victims = self.children()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
        return len(victims)

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """The entries of its log named `event`."""
        return [entry for entry in self._entries() if entry.get("event") == event]

    def surprises(self) -> list[str]:
        """The tracebacks in its log, by their last line: what the product did not expect."""
        return [
            str(entry["exception"]).strip().splitlines()[-1]
            for entry in self._entries()
            if entry.get("exception")
        ]

    def _entries(self) -> Iterator[dict[str, Any]]:
        for line in self.log_file.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


class Fleet:
    """The processes of one Callboard on the servers of `pair`, and a look into its database."""

    at = ROOT
    """The folder whose code the next process runs."""

    def __init__(self, pair: Pair, database_url: str, home: Path, **environ: str) -> None:
        """`environ` overrides the hasty settings; nothing runs before a process is asked for."""
        self.pair = pair
        self.database_url = database_url
        self.home = home
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TEST_")},
            **HASTE,
            "DATABASE_URL": database_url,
            "REDIS_URL": pair.redis.url,
            "CALLBOARD_HOME": str(home),
            **environ,
        }
        self.units: dict[str, Unit] = {}
        self.restarts = 0
        self._connection: psycopg2.extensions.connection | None = None
        for folder in ("run", "log"):
            (home / folder).mkdir(parents=True, exist_ok=True)

    # -- processes

    def worker(
        self,
        name: str = "worker",
        *,
        processes: int = 1,
        threads: int = 6,
        module: str = "actors.worker",
        **environ: str,
    ) -> Unit:
        """Start a worker as the Procfile does; `module` may be one that tampers with the product first."""
        count = ("--processes", str(processes), "--threads", str(threads))
        rest = ("--worker-shutdown-timeout", "20000", "--skip-logging")
        return self.start(
            name, "-m", "dramatiq", module, *count, *rest, WORKER_THREADS=str(threads), **environ
        )

    def scheduler(self, name: str = "scheduler") -> Unit:
        """Start a scheduler."""
        return self.start(name, "-m", "actors.clockwork")

    def web(self, port: int, name: str = "web") -> Unit:
        """Start gunicorn as the Procfile does."""
        config = ("--config", "app/ops/gunicorn_conf.py", "--bind", f"127.0.0.1:{port}")
        size = ("--workers", "2", "--threads", "4")
        return self.start(name, "-m", "gunicorn", *config, *size, "app:create_app()", PORT=str(port))

    def start(self, name: str, *arguments: str, **environ: str) -> Unit:
        """Start `python ...` in a session of its own, with `environ` on top of the fleet's."""
        program = Program(
            name=name, argv=(sys.executable, *arguments), environ={**self.environ, **environ}, cwd=self.at
        )
        unit = self.units[name] = Unit(program, self.home)
        unit.start()
        return unit

    def revive(self) -> None:
        """What a platform does: start again what died. From the thread that started it, whose death they share."""
        for unit in self.units.values():
            if unit.wanted and not unit.alive:
                unit.kill()  # what its first process left behind
                unit.start()
                self.restarts += 1

    def until(self, condition: Callable[[], T], seconds: float = 30.0, every: float = 0.05) -> T:
        """Wait for `condition`, restarting whoever dies meanwhile."""

        def met() -> T:
            self.revive()
            return condition()

        return until(met, seconds, every)

    def close(self) -> None:
        """End all processes at once."""
        for unit in self.units.values():
            unit.signal_group(signal.SIGKILL)
            unit.kill()
        if self._connection:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    # -- a look into the database

    def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """What `statement` answers, on a connection that is opened again when it was cut."""
        try:
            return self._rows(statement, values)
        except CUT_OFF as error:
            if error.pgcode and not isinstance(error, psycopg2.OperationalError):
                raise  # the statement is wrong
            self._connection = None
            return self._rows(statement, values)

    def value(self, statement: str, **values: object) -> Any:
        """The first column of the first row, or None."""
        found = self.rows(statement, values)
        return next(iter(found[0].values())) if found else None

    def _rows(self, statement: str, values: Mapping[str, object] | None) -> list[dict[str, Any]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(libpq(self.database_url), application_name="chaos")
            self._connection.autocommit = True
        with self._connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()]

    def count(self, *statuses: str) -> int:
        """How many jobs have one of `statuses`."""
        return int(
            self.value("SELECT count(*) FROM jobs WHERE status = ANY(%(statuses)s)", statuses=list(statuses))
        )

    def unfinished(self) -> int:
        """How many jobs have not ended."""
        return self.count("pending", "queued", "running", "awaiting_input", "retry")

    def finished(self) -> int:
        """How many jobs have ended."""
        return self.count("completed", "failed", "cancelled")

    def to_follow_up(self) -> int:
        """How many jobs and runs have ended and still have to be followed up."""
        return int(self.value("SELECT count(*) FROM followups"))

    def outcomes(self) -> dict[str, int]:
        """How many attempts ended how."""
        statement = "SELECT coalesce(outcome, 'open') AS outcome, count(*) AS n FROM job_attempts GROUP BY 1"
        return {row["outcome"]: row["n"] for row in self.rows(statement)}

    def running_on(self, unit: Unit) -> list[dict[str, Any]]:
        """The attempts that the processes of `unit` have in hand: {job_id, fence, agent_id}."""
        pids = [child.pid for child in unit.children()]
        return self.rows(
            """SELECT j.job_id::text, j.fence, j.agent_id FROM jobs j JOIN workers w USING (worker_id)
               WHERE j.status = 'running' AND w.process_id = ANY(%(pids)s)""",
            {"pids": pids},
        )

    def contradictions(self) -> list[tuple[str, Any, Any]]:
        """What a worker says of an attempt it ended, and the database does not: (job, said, stands there).

        The database alone cannot tell whose settle it took; with the workers' own words it can.
        """
        said: dict[tuple[str, int], list[str]] = {}
        for unit in self.units.values():
            for line in unit.log_lines("attempt.ended"):
                said.setdefault((line["job_id"], line["attempt"]), []).append(
                    "released" if line["outcome"] == "held" else line["outcome"]
                )
        stands = {
            (row["job_id"], row["fence"]): row["outcome"]
            for row in self.rows("SELECT job_id::text, fence, outcome FROM job_attempts")
        }
        wrong = [
            (key[0], words, stands.get(key)) for key, words in said.items() if {*words} != {stands.get(key)}
        ]
        return wrong[:5]

    def broken(self, **rest: Any) -> dict[str, list[Any]]:
        """The invariants that do not hold; see tests/invariants.py."""
        return invariants.broken(self.rows, max_lost=int(self.environ["MAX_LOST"]), **rest)
