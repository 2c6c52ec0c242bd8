"""Latency over HTTP under load and at rest, bulks, and what a claim and a list cost while many jobs wait.

    make bench-http       or    python -m tests.bench.http [--seconds 60] [--submits 1000] [--requests 5000]

The product runs as `make run` starts it; this process is the load. `--submits` and `--requests` are a minute's:
one request in 60 ms is a submission that a worker then runs, the others are polls. Asked (p95): POST 15 ms, status
8 ms, 304 3 ms, queue stats 30 ms, a workflow (one at a time) 150 ms. At rest a job is sent in now and then, until its
attempt begins (p50 10 ms). Then the worker is taken away, bulks of 100 come in (8,000 jobs a second), and no-ops pile
up, `--backlogs` of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2

from app.agents import registry
from app.db import db, make_engine
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.settings import ROOT
from tests.bench.load import BEGIN_SECONDS, Line, OpenLoop, Request, figures, mixed, repeated
from tests.journeys.product import API_KEY, Product
from tests.waiting import until

TARGETS = {"submit": 15, "status_200": 8, "status_304": 3, "stats": 30}
KEY = {"Authorization": f"Bearer {API_KEY}"}
ORDER = json.dumps({"agent_id": "test-noop", "parameters": {"text": "bench"}, "tags": ["bench"]}).encode()
SUBMIT = Request("submit", "POST", "/api/v1/jobs", 201, ORDER)
# The documents' own example, four jobs of the catalogue's agents; asked only while no worker takes them.
REFERENCE = ROOT / "examples" / "workflows" / "product-launch.json"
WORKFLOW = Request("submit_workflow", "POST", "/api/v1/workflows", 201, REFERENCE.read_bytes())
BULK = Request("bulk", "POST", "/api/v1/jobs/bulk", 201, b'{"tasks":[' + b",".join([ORDER] * 100) + b"]}")
STATS = Request("stats", "GET", "/api/v1/queues/stats", 200)
LIST = Request("list", "GET", "/api/v1/jobs?limit=50", 200)
# Of the requests that are no submissions: most are polls, and most polls find nothing new.
SHARES = {"status_304": 0.4, "status_200": 0.4, "stats": 0.1, "list": 0.1}


def finished_job(line: Line) -> Request:
    """A poll of a job that is over, with its tag."""
    job = json.loads(line.send(SUBMIT)[1])["job_id"]
    poll = Request("status_200", "GET", f"/api/v1/jobs/{job}/status", 200)
    until(lambda: json.loads(line.send(poll)[1])["poll"]["terminal"], 30)
    return Request("status_304", "GET", poll.path, 304, headers={"If-None-Match": line.send(poll)[2]})


def under_load(product: Product, *, seconds: float, submits: int, requests: int) -> dict[str, Any]:
    """Latencies of each kind of request while all kinds come at their rates."""
    line = Line(product.port, KEY)
    unchanged = finished_job(line)
    loop = OpenLoop(product.port, KEY, per_second=(submits + requests) / 60, seconds=seconds)
    newest = unchanged.path.split("/")[4]

    def poll() -> Request:
        job = json.loads(loop.answers[-1])["job_id"] if loop.answers else newest
        return Request("status_200", "GET", f"/api/v1/jobs/{job}/status", 200)

    kinds = {
        "status_304": lambda: unchanged,
        "status_200": poll,
        "stats": lambda: STATS,
        "list": lambda: LIST,
    }
    weighted = [(share * requests, kinds[name]) for name, share in SHARES.items()]
    busy = Busy(product)
    psutil.cpu_percent()
    outcome = loop.run(mixed([(submits, lambda: SUBMIT), *weighted]))
    share, idle = busy.share(), 100 - psutil.cpu_percent()
    sent = len(outcome.milliseconds.get("submit", [])) + 1
    until(lambda: json.loads(line.send(LIST)[1])["total"] and _settled(line) >= sent, 120, 0.2)
    found = {name: figures(values) for name, values in sorted(outcome.milliseconds.items())}
    return {
        "seconds": seconds,
        "submits_per_minute": submits,
        "requests_per_minute": requests,
        "ms": found,
        "missed": sorted(name for name, most in TARGETS.items() if found.get(name, {"p95": 0})["p95"] > most),
        "wrong": dict(outcome.wrong),
        "load_behind_ms": round(outcome.behind_ms, 2),
        "load_tool_used": round(outcome.cpu_seconds / seconds, 3),
        "processors_used": share,
        # Little of it, and little used above, means that others were at work here: measure again.
        "machine_idle_percent": round(idle, 1),
    }


def _settled(line: Line) -> int:
    answer = line.send(Request("list", "GET", "/api/v1/jobs?status=completed&tag=bench&limit=1", 200))
    return int(json.loads(answer[1])["total"])


def at_rest(product: Product, samples: int) -> dict[str, float]:
    """Milliseconds from sending a submission to the start of its attempt, while there is nothing else to do."""
    line, taken = Line(product.port, KEY), []
    connection = psycopg2.connect(host=str(product.home / "run"), user="callboard", dbname="callboard")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for _ in range(samples):
            time.sleep(0.2)  # rest: the figure is about idle processes
            sent_at = time.time()
            job = json.loads(line.send(SUBMIT)[1])["job_id"]
            taken.append(1000 * (until(lambda job=job: _started_at(cursor, job), 10) - sent_at))  # type: ignore[misc]
    connection.close()
    return figures(taken)


def _started_at(cursor: Any, job: str) -> float | None:
    cursor.execute("SELECT extract(epoch FROM started_at)::float FROM jobs WHERE job_id = %s", (job,))
    return cursor.fetchone()[0]  # type: ignore[no-any-return]


def bulks(product: Product, count: int) -> dict[str, float]:
    """Jobs a second by bulks of 100, two at a time; while no worker takes them."""
    loop = OpenLoop(product.port, KEY, per_second=1e6, seconds=count / 1e6, lines=2)
    began = time.perf_counter()
    outcome = loop.run(itertools.repeat(BULK))
    seconds = time.perf_counter() - began - BEGIN_SECONDS
    assert not outcome.wrong, outcome.wrong
    return {"bulks": count, "jobs_per_second": round(100 * count / seconds)}


class Busy:
    """How many processors each part of the product uses, from now on."""

    def __init__(self, product: Product) -> None:
        """Look at the clocks."""
        names = ("postgres", "redis", "web", "worker", "scheduler")
        self.roots = {name: psutil.Process(product.pid(name)) for name in names}
        self.began, self.before = time.perf_counter(), self._spent()

    def share(self) -> dict[str, float]:
        """Processors used, by part; 1.0 is one of them all the time."""
        passed, now = time.perf_counter() - self.began, self._spent()
        return {name: round((now[name] - self.before[name]) / passed, 2) for name in now}

    def _spent(self) -> dict[str, float]:
        return {
            name: sum(_cpu_seconds(process) for process in (root, *root.children(recursive=True)))
            for name, root in self.roots.items()
        }


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return spent.user + spent.system + spent.children_user + spent.children_system


def with_backlogs(product: Product, backlogs: list[int], *, samples: int) -> dict[str, Any]:
    """Bulks, and for each number of waiting jobs: what a claim costs, and the requests that look at waiting jobs."""
    url = f"postgresql+psycopg2://callboard@/callboard?host={quote(str(product.home / 'run'))}"
    db.open(make_engine(url))
    line = Line(product.port, KEY)
    lines: list[dict[str, Any]] = []
    found: dict[str, Any] = {"backlogs": lines}
    with product.unattended():
        product.end("worker", signal.SIGTERM)
        found["bulk"] = bulks(product, samples)
        for jobs in sorted(backlogs):
            _fill_up_to(jobs)
            lines.append({"waiting": jobs, "claim": _claim_cost(product, samples), **_looks(line, samples)})
    return found


def _fill_up_to(jobs: int) -> None:
    with db.quick():
        there = int(db.value("SELECT count(*) FROM jobs WHERE finished_at IS NULL"))
        registry.forget()
        for start in range(there, jobs, 1000):
            size = min(1000, jobs - start)
            lifecycle.submit_many([intake.order(_noop()) for _ in range(size)])
        db.run("VACUUM ANALYZE jobs")  # as autovacuum would, were we not in a hurry


def _noop() -> Wish:
    return Wish(agent_id="test-noop", parameters={"text": "bench"}, submitted_by="bench", tags=("bench",))


def _claim_cost(product: Product, samples: int) -> dict[str, float]:
    """{buffers, ms}, medians of single claims, each rolled back."""
    connection = psycopg2.connect(host=str(product.home / "run"), user="callboard", dbname="callboard")
    buffers, milliseconds = [], []
    with connection.cursor() as cursor:
        for _ in range(samples):
            cursor.execute(
                "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM jobs_claim('bench', ARRAY['general'], 1, interval '1 min')"
            )
            plan = "\n".join(row[0] for row in cursor.fetchall())
            connection.rollback()
            buffers.append(_buffers(plan))
            milliseconds.append(float(re.findall(r"Execution Time: ([\d.]+)", plan)[0]))
    connection.close()
    return {"buffers": statistics.median(buffers), "ms": round(statistics.median(milliseconds), 3)}


def _buffers(plan: str) -> int:
    """Pages touched by the outermost node, which counts what lies below it."""
    touched = re.findall(r"Buffers: (.*)", plan)[0]
    return sum(int(pages) for pages in re.findall(r"(?:hit|read)=(\d+)", touched))


def _looks(line: Line, samples: int) -> dict[str, dict[str, float]]:
    """Latencies of lists, of a waiting job's status and of submissions, one request at a time."""
    first = json.loads(line.send(LIST)[1])
    deep = Request("list", "GET", f"{LIST.path}&cursor={quote(first['next_cursor'] or '')}", 200)
    waiting = Request("status", "GET", f"/api/v1/jobs/{first['jobs'][0]['job_id']}/status", 200)
    filtered = Request("list", "GET", f"{LIST.path}&status=queued&tag=bench", 200)
    asked = {
        "list_page": LIST,
        "list_next_page": deep,
        "list_filtered": filtered,
        "status_of_the_last": waiting,
        "submit": SUBMIT,
        "submit_workflow": WORKFLOW,
    }
    return {name: figures(repeated(line, request, samples)) for name, request in asked.items()}


def _machine() -> dict[str, Any]:
    return {"processors": os.cpu_count(), "load_before": [round(each, 2) for each in os.getloadavg()]}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Everything, on a product of its own that is gone afterwards."""
    found: dict[str, Any] = {"machine": _machine()}
    home = Path(tempfile.mkdtemp(prefix="cb-b-"))
    # The product's own intervals, not the hasty ones of journeys.
    usual = {
        "HEARTBEAT_SECONDS": "10",
        "LEASE_SECONDS": "60",
        "SWEEP_INTERVAL_SECONDS": "5",
        "LOOK_SECONDS": "2",
    }
    product = Product(home, **usual)
    product.start()
    try:
        found["load"] = under_load(
            product, seconds=chosen.seconds, submits=chosen.submits, requests=chosen.requests
        )
        found["at_rest_ms"] = at_rest(product, chosen.samples)
        if chosen.backlogs:
            found |= with_backlogs(product, chosen.backlogs, samples=chosen.samples)
    finally:
        product.stop()
        shutil.rmtree(home, ignore_errors=True)
        product.said.unlink()
    return found


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--submits", type=int, default=1000, help="a minute")
    parser.add_argument("--requests", type=int, default=5000, help="a minute, besides the submissions")
    parser.add_argument("--backlogs", type=int, nargs="*", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--samples", type=int, default=50)
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()
