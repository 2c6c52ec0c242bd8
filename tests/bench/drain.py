"""Jobs drained a second, as a ratio to raw Dramatiq in the same run, and idle latency.

    make bench            or    python -m tests.bench.drain [--jobs 3000] [--rounds 3]

Both sides: 2 processes x 8 threads, a no-op, the queue filled before the clock starts, rounds interleaved. Ours begins
once the workers are at rest: with their first beat they look whether each agent could run here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from actors.broker import make_ringer
from app import settings as configuration
from app.db import db, make_engine
from app.jobs import dispatch, intake, lifecycle
from app.jobs.intake import Wish
from tests.bench.metering import used_by_tree
from tests.services import pair
from tests.waiting import until

PROCESSES, THREADS = 2, 8


def _dramatiq(module: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "dramatiq",
        module,
        "--processes",
        str(PROCESSES),
        "--threads",
        str(THREADS),
    ]
    return subprocess.Popen([*command, "--skip-logging"], start_new_session=True, env=os.environ)


def _wish() -> Wish:
    return Wish(agent_id="test-noop", parameters={}, submitted_by="bench")


def fill(jobs: int) -> None:
    """Put `jobs` waiting no-ops into an empty table."""
    with db.quick():
        db.run("TRUNCATE jobs, job_history, task_history, dead_letters, job_events CASCADE")
        for start in range(0, jobs, 100):
            lifecycle.submit_many([intake.order(_wish()) for _ in range(min(100, jobs - start))])
        db.run("VACUUM ANALYZE jobs")


def unfinished() -> int:
    """How many jobs are not final."""
    with db.quick():
        return int(db.value("SELECT count(*) FROM jobs WHERE finished_at IS NULL"))


def ours(jobs: int) -> float:
    """Jobs a second from the first claim to the last settle, by the database's clock."""
    dispatch.use(lambda _pool, _times: None)
    with db.quick():
        db.run("UPDATE queues SET paused = true")
    fill(jobs)
    worker = _dramatiq("actors.worker")
    try:
        until(_two_workers, 30)
        wait_for_rest(worker)
        with db.quick():
            db.run("UPDATE queues SET paused = false")
        make_ringer(os.environ["REDIS_URL"]).ring("general", 64)
        until(lambda: unfinished() == 0, 120, 0.25)  # each look reads the table
    finally:
        worker.terminate()
        worker.wait(30)
    with db.quick():
        span = db.value("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM jobs")
    return jobs / float(span)


def _two_workers() -> bool:
    with db.quick():
        return bool(
            db.value(
                "SELECT count(*) >= %(n)s FROM workers WHERE seen_at > now() - interval '5 s'", n=PROCESSES
            )
        )


def wait_for_rest(worker: subprocess.Popen[bytes]) -> None:
    """Until all processes of a worker together use next to nothing for longer than the pause before their first beat."""
    tree = psutil.Process(worker.pid)

    def rests() -> bool:
        before = used_by_tree(tree)
        time.sleep(3)
        return used_by_tree(tree) - before < 0.3

    until(rests, 60, 0)


def raw(jobs: int) -> float:
    """Messages a second of Dramatiq alone, from the first done to the last."""
    from tests.bench.raw_dramatiq import raw_done, raw_enqueue

    raw_enqueue(jobs)
    worker = _dramatiq("tests.bench.raw_dramatiq")
    try:
        until(lambda: raw_done() > 0, 30)
        began, first = time.perf_counter(), raw_done()
        until(lambda: raw_done() >= jobs, 120)
        return (jobs - first) / (time.perf_counter() - began)
    finally:
        worker.terminate()
        worker.wait(30)


def idle_latency_ms(samples: int) -> list[float]:
    """Milliseconds from commit of a submit to the start of its attempt, on a worker at rest."""
    ringer = make_ringer(os.environ["REDIS_URL"])
    dispatch.use(ringer.ring)
    fill(0)
    worker = _dramatiq("actors.worker")
    taken = []
    try:
        until(_two_workers, 30)
        wait_for_rest(worker)
        for _ in range(samples):
            with db.quick():
                job = lifecycle.submit(intake.order(_wish()))["job_id"]
            until(lambda job=job: _started(job) is not None, 10)  # type: ignore[misc]
            taken.append(float(_started(job) or 0))
            time.sleep(0.15)  # rest between samples: the figure is about an idle worker
    finally:
        worker.terminate()
        worker.wait(30)
    return sorted(taken)


def _started(job: str) -> float | None:
    with db.quick():
        return db.value(  # type: ignore[no-any-return]
            "SELECT extract(epoch FROM started_at - submitted_at) * 1000 FROM jobs WHERE job_id = %(job)s",
            job=job,
        )


def rounds(count: int, jobs: int) -> dict[str, list[float]]:
    """`count` interleaved rounds of both sides."""
    measures: dict[str, Callable[[int], float]] = {"raw": raw, "ours": ours}
    return _interleave(measures, count, jobs)


def _interleave(measures: dict[str, Callable[[int], float]], count: int, jobs: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(count):
        for name, measure in measures.items():
            figures[name].append(round(measure(jobs)))
    return figures


def main() -> None:
    """Measure and print one JSON line and one for people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=int, default=60, help="samples of idle latency")
    chosen = parser.parse_args()
    with servers():
        measure(chosen)


@contextmanager
def servers() -> Iterator[None]:
    """The servers that the environment names, or a pair of our own that keeps its promises to the disk."""
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        yield
        return
    with pair(expendable=False) as own:
        os.environ |= {
            "DATABASE_URL": own.postgres.url,
            "REDIS_URL": own.redis.url,
            "AGENT_FOLDERS": str(configuration.ROOT / "tests" / "agents"),
            "LOG_LEVEL": "WARNING",
        }
        subprocess.run([sys.executable, "-m", "app", "prepare"], check=True, capture_output=True)
        yield


def measure(chosen: argparse.Namespace) -> None:
    """All rounds, then the latency at rest; prints one line of JSON."""
    settings = configuration.load()
    db.open(make_engine(settings.database_url))
    figures = rounds(chosen.rounds, chosen.jobs)
    ratios = [o / r for o, r in zip(figures["ours"], figures["raw"], strict=True)]
    latency = idle_latency_ms(chosen.latency)
    print(json.dumps({"drained_per_second": figures, "ratios": [round(r, 2) for r in ratios],
                      "ratio_median": round(statistics.median(ratios), 2),
                      "idle_ms": {"p50": round(latency[len(latency) // 2], 1),
                                  "p95": round(latency[int(len(latency) * 0.95)], 1)}}))  # fmt: skip


if __name__ == "__main__":
    main()
