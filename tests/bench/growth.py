"""Whether a job costs the same, however many came before it and however many wait.

    make bench-growth     or    python -m tests.bench.growth [--sizes 1000 10000 100000 1000000] [--waiting 100000]

For each size the tables are filled with so many jobs that are over, with their attempts, history, log, ledger and audit.
Then everything is measured that is done once a job or once in a while; last, the largest size again with many waiting.
`ratio` says how each stands to the smallest size. Goal: at most 1.2, of the processor time of Postgres and Python
together; time by the clock is told as well. `plans` are those of the largest: pages, rows looked at, scans.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil

from actors import sweeps
from app import create_app
from app import settings as configuration
from app.db import db
from app.jobs import claims, dispatch, intake, lifecycle, pruning, rollups, stats
from app.jobs.intake import Wish
from app.settings import Settings
from tests.bench import filling, lists
from tests.bench.drain import servers
from tests.bench.lists import Viewer
from tests.bench.metering import Figures, Meter, used_by_tree, watched
from tests.waiting import until

GOAL = 1.2
FEW_WAITING = 1200  # so that the place in the queue is counted up to its end at every size
DAYS = 30
PURGED = 300


class Bench:
    """One size after the other, measured the same way."""

    def __init__(self, times: int, drained: int, filled: int) -> None:
        """`times` each, and `drained` jobs through real workers; the tables have `filled` jobs already."""
        self.times, self.drained = times, drained
        self.app, self.settings = create_app(), configuration.load()
        self.filled = filled
        dispatch.use(lambda _pool, _times: None)
        self.meter = Meter()
        self.admin: Viewer = lists.viewer(self.app, "admin")
        viewers = [lists.viewer(self.app, "user", n) for n in range(4)]
        self.person, self.people = viewers[0], [each.user_id for each in viewers]

    def at(self, jobs: int, waiting: int) -> dict[str, Any]:
        """Fill, or only let more wait where so many jobs are there already, and measure."""
        if jobs == self.filled and waiting == FEW_WAITING:
            took = 0.0
        elif jobs == self.filled:
            took = filling.queue(waiting, self.people[0])
        else:
            took = filling.fill(jobs, self.people, waiting=waiting)
            while rollups_behind():
                pass
        self.filled = jobs
        cost = {name: self._cost(do, times) for name, (do, times) in self._operations().items()}
        cost["run and settle, real workers"] = self._drained()
        cost["retention, a job"] = self._retention()
        measured = {"jobs": jobs, "waiting": waiting, "filled_in_seconds": round(took, 1), "cost": cost}
        print(json.dumps(measured), file=sys.stderr)  # so that a run that is broken off was not for nothing
        return measured

    def _cost(self, do: Callable[[], object], times: int) -> Figures:
        for _ in range(3):
            do()  # plans, pages of the catalogue and whatever is kept in the process
        return self.meter.per(times, lambda: [do() for _ in range(times)])

    def _operations(self) -> dict[str, tuple[Callable[[], object], int]]:
        n, ask = self.times, self._ask
        with db.quick():
            done = db.value(
                "SELECT job_id::text FROM jobs WHERE status = 'completed' ORDER BY job_id DESC LIMIT 1"
            )
            last = db.value(
                "SELECT job_id::text FROM jobs WHERE status = 'queued' ORDER BY job_id DESC LIMIT 1"
            )
        status = f"/api/v1/jobs/{done}/status"
        tag = ask(status).headers["ETag"]
        held: list[claims.Claim] = []
        return {
            "submit": (partial(self._submit, 1), n),
            "submit 100 at once": (partial(self._submit, 100), max(1, n // 10)),
            "claim": (quickly(lambda: held.extend(claimed())), n),
            "settle": (quickly(lambda: lifecycle.complete(held.pop(), {"text": "done"})), n),
            "status, 200": (partial(ask, status), n),
            "status, 304": (partial(ask, status, expected=304, tag=tag), n),
            "list": (partial(ask, "/api/v1/jobs?limit=50"), n),
            "list, failed ones": (partial(ask, "/api/v1/jobs?limit=50&filter=status:failed"), n),
            "list, of one person": (partial(ask, "/api/v1/jobs?limit=50", who=self.person), n),
            "explain": (partial(ask, f"/api/v1/jobs/{last}/explain"), n),
            "figures of the queues": (quickly(partial(stats.queues, fresh=True)), n // 4),
            "pools": (quickly(stats.by_pool), n // 4),
            "sweep": (partial(sweeps.sweep, self.settings), n // 4),
            "what is due": (partial(sweeps.call_due, self.settings), n // 4),
            "watch": (partial(sweeps.watch, self.settings), n // 4),
            "roll up": (partial(sweeps.roll_up, self.settings), n // 4),
            "retention, nothing to do": (partial(nothing_old, self.settings), 4),
        }

    def _submit(self, count: int) -> None:
        with db.quick():
            lifecycle.submit_many([intake.order(_wish()) for _ in range(count)])

    def _ask(self, path: str, *, expected: int = 200, tag: str = "", who: Viewer | None = None) -> Any:
        headers = {"X-API-Key": (who or self.admin).key} | ({"If-None-Match": tag} if tag else {})
        answer = self.app.test_client().get(path, headers=headers)
        assert answer.status_code == expected, (path, answer.status_code, answer.text[:300])
        return answer

    def _drained(self) -> Figures:
        """Urgent jobs, whatever else waits, from the first that real workers settle to the last."""
        settle_all()
        with db.quick():
            self.meter.not_counted = {db.value("SELECT pg_backend_pid()")}
            db.run("UPDATE queues SET paused = true")
            self._submit(self.drained)
            worker = worker_process()
            process = psutil.Process(worker.pid)
            try:
                until(_two_workers, 60)
                db.run("UPDATE queues SET paused = false")
                first = self.drained - self.drained // 5
                until(lambda: left() <= first, 120, 0.02)
                begun = max(1, left())
                return self.meter.per(
                    begun, lambda: until(lambda: not left(), 300, 0.02), others=lambda: used_by_tree(process)
                )
            finally:
                worker.terminate()
                worker.wait(120)
                self.meter.not_counted = set()

    def _retention(self) -> Figures:
        with db.quick():
            cut = db.value(
                "SELECT extract(epoch FROM now() - submitted_at) / 86400 FROM jobs ORDER BY job_id OFFSET %(n)s LIMIT 1",
                n=PURGED + 100,
            )
        purge = partial(forget, float(cut), PURGED // 3)
        purge()
        return self.meter.per(2 * (PURGED // 3), lambda: [purge() for _ in range(2)])

    def plans(self) -> dict[str, Any]:
        """How the statements of each operation are really run now."""
        found = {}
        for name, (do, _) in self._operations().items():
            with watched() as seen:
                do()
            found[name] = {
                "pages": sum(each["pages"] for each in seen),
                "read": sum(each["read"] for each in seen),
                "statements": sorted(seen, key=lambda each: -each["pages"])[:6],
            }
        return found


def quickly(do: Callable[[], object]) -> Callable[[], None]:
    """`do` as a worker does it: each statement its own transaction."""

    def quick() -> None:
        with db.quick():
            do()

    return quick


def _wish() -> Wish:
    return Wish(agent_id="test-noop", parameters={}, submitted_by="bench", priority="critical")


def claimed() -> list[claims.Claim]:
    """One job, taken; there is always one."""
    found = claims.claim_next("bench", ("general",), lease_seconds=3600)
    assert found
    return found


def forget(days: float, limit: int) -> None:
    """One transaction's worth of retention."""
    with db.transaction():
        gone = pruning.purge(days, forget_files=lambda _job: None, limit=limit)
    assert gone == limit, gone


def settle_all() -> None:
    """Nothing urgent waits, and nothing runs."""
    with db.quick():
        db.run(
            "UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE status = 'queued' AND priority_rank = 0"
        )
        db.run(
            """UPDATE jobs SET status = 'cancelled', finished_at = now(), lease_id = NULL, lease_expires_at = NULL,
                   worker_id = NULL WHERE status = 'running'"""
        )
        db.run("DELETE FROM followups")


def left() -> int:
    """How many of the urgent jobs are not over."""
    return int(
        db.value(
            """SELECT (SELECT count(*) FROM jobs WHERE status IN ('pending','queued','retry') AND pool = 'general'
                         AND priority_rank = 0) + (SELECT count(*) FROM jobs WHERE status = 'running')"""
        )
    )


def worker_process() -> subprocess.Popen[bytes]:
    """Two processes of eight threads, as in tests/bench/drain.py."""
    command = [sys.executable, "-m", "dramatiq", "actors.worker", "--processes", "2", "--threads", "8"]
    return subprocess.Popen([*command, "--skip-logging"], start_new_session=True, env=os.environ)


def _two_workers() -> bool:
    return bool(db.value("SELECT count(*) >= 2 FROM workers WHERE seen_at > now() - interval '5 s'"))


def rollups_behind() -> bool:
    """Sum one part of the history; answers whether there is more."""
    with db.transaction():
        db.run("SET LOCAL statement_timeout = 0")
        return rollups.roll_up()


def nothing_old(settings: Settings) -> None:
    """The whole of what retention does where nothing is old enough."""
    sweeps.purge(settings.model_copy(update={"job_retention_days": DAYS + 1}))


def ratios(sizes: list[dict[str, Any]], figure: str) -> dict[str, list[float]]:
    """How each size stands to the first, by operation."""
    first = sizes[0]["cost"]
    return {
        name: [round(size["cost"][name][figure] / max(cost[figure], 1), 2) for size in sizes]
        for name, cost in first.items()
    }


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--waiting", type=int, default=100_000, help="so many wait, last, at the largest size"
    )
    parser.add_argument("--times", type=int, default=400)
    parser.add_argument("--drained", type=int, default=1500)
    parser.add_argument(
        "--filled", action="store_true", help="that of DATABASE_URL is of the first size already"
    )
    chosen = parser.parse_args()
    with servers():
        bench = Bench(chosen.times, chosen.drained, chosen.sizes[0] if chosen.filled else 0)
        sizes = [bench.at(jobs, FEW_WAITING) for jobs in chosen.sizes]
        sizes.append(bench.at(chosen.sizes[-1], chosen.waiting))
        plans = bench.plans()
    cpu = ratios(sizes, "cpu_us")
    print(
        json.dumps(
            {
                "machine": {
                    "processors": os.cpu_count(),
                    "load": [round(each, 2) for each in os.getloadavg()],
                },
                "ratio": {
                    "cpu": cpu,
                    "postgres": ratios(sizes, "postgres_us"),
                    "wall": ratios(sizes, "wall_us"),
                },
                "over": {name: values for name, values in cpu.items() if max(values[1:]) > GOAL},
                "sizes": sizes,
                "plans": plans,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
