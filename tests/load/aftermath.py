"""A Callboard before, during and after a load: what it uses, and whether anything was lost, broken or said in alarm."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2.extras import RealDictCursor

from tests import invariants
from tests.bench.memory import used
from tests.journeys.product import Product, is_alive

SERVERS = ("postgres", "redis")
OURS = ("web", "worker", "scheduler")
ALARMS = re.compile(r"ERROR|FATAL|PANIC|Traceback|# Warning|BUG REPORT")
REST_SECONDS = 20.0

_ENDS = """
    SELECT count(*) AS jobs, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE job_id = ANY(%(ids)s::uuid[])) AS promised,
           extract(epoch FROM max(finished_at) - min(submitted_at))::float AS seconds,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - submitted_at))::float AS waited_p95
    FROM jobs WHERE tags @> ARRAY[%(tag)s]"""
_BY_MINUTE = """
    SELECT count(*) AS n FROM jobs, (SELECT min(submitted_at) AS at FROM jobs WHERE tags @> ARRAY[%(tag)s]) AS first
    WHERE tags @> ARRAY[%(tag)s] AND status = 'completed'
    GROUP BY floor(extract(epoch FROM finished_at - first.at) / 60)
    ORDER BY floor(extract(epoch FROM finished_at - first.at) / 60)"""


class Watch:
    """One product, from before the load on."""

    def __init__(self, product: Product) -> None:
        """Remember its processes and what they use."""
        self.product = product
        self.processes = {name: psutil.Process(product.pid(name)) for name in (*SERVERS, *OURS)}
        self.below = {name: _children(self.processes[name]) for name in ("web", "worker")}
        self.read = {path: path.stat().st_size for path in self._logs()}
        self.before = self.memory()
        self.peak = self.before

    def memory(self) -> float:
        """MiB of web, worker and scheduler, shared pages counted once."""
        return sum(each.mib for name in OURS for each in used(self.product.pid(name)))

    @contextmanager
    def looking(self, every: float = 2.0) -> Iterator[None]:
        """Note the most memory meanwhile."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(every):
                self.peak = max(self.peak, self.memory())

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def died(self) -> list[str]:
        """The processes that are not there any more, or were started anew."""
        gone = [name for name, process in self.processes.items() if not is_alive(process)]
        return gone + [
            f"below {name}" for name, before in self.below.items() if before - _children(self.processes[name])
        ]

    def alarms(self) -> dict[str, int]:
        """What the logs said since then that they should not, and how often."""
        found: Counter[str] = Counter()
        for path in self._logs():
            # What a first start says of tables that are not there yet was before.
            new = path.read_bytes()[self.read.get(path, 0) :].decode(errors="replace")
            found.update(f"{path.stem}: {told}"[:200] for line in new.splitlines() if (told := _alarm(line)))
        return dict(found.most_common(10))

    def _logs(self) -> list[Path]:
        return sorted((self.product.home / "log").glob("*.log"))

    def settled(self, tag: str, accepted: list[str], patience: float) -> dict[str, Any]:
        """How the jobs with this tag ended, once none is under way; which invariants do not hold."""
        deadline = time.monotonic() + patience
        while self._rows("SELECT 1 AS one FROM jobs WHERE finished_at IS NULL LIMIT 1", {}):
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        # What follows an end is done a moment later.
        broken: dict[str, Any] = {}
        for _ in range(10):
            if not (broken := invariants.broken(self._rows, at_rest=True, promised=accepted)):
                break
            time.sleep(0.5)
        (ends,) = self._rows(_ENDS, {"ids": accepted, "tag": tag})
        minutes = [row["n"] for row in self._rows(_BY_MINUTE, {"tag": tag})]
        return {**ends, "by_minute": minutes, "broken": {name: str(rows) for name, rows in broken.items()}}

    def rested(self, most: float) -> float:
        """MiB in use, once no more than `most`, or after a while."""
        deadline = time.monotonic() + REST_SECONDS
        while (now := self.memory()) > most and time.monotonic() < deadline:
            time.sleep(1)
        return now

    def _rows(self, statement: str, values: Any) -> list[Any]:
        connection = psycopg2.connect(
            host=str(self.product.home / "run"), user="callboard", dbname="callboard"
        )
        try:
            with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()


def _children(process: psutil.Process) -> set[int]:
    try:
        return {child.pid for child in process.children()}
    except psutil.NoSuchProcess:
        return set()


def _alarm(line: str) -> str | None:
    if line.startswith("{"):
        entry = json.loads(line)
        if entry.get("level") in ("error", "critical") or entry.get("exception"):
            last = str(entry.get("exception") or "").strip().splitlines()[-1:]
            return " ".join([str(entry.get("event")), *last])
        return None
    return line if ALARMS.search(line) else None
