"""What a whole product costs in memory: `make bench-memory`.

Starts `callboard up` in a home of its own, waits until it is at rest, and adds up the proportional set size of every
process: what several share counts once. Then once more after a load of requests and jobs.

    python -m tests.bench.memory [--requests 400] [--jobs 200] [--rest 30]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.settings import ROOT

GOAL_MIB = 400
KEY = f"cb_bench000_{'m' * 43}"


@dataclass(frozen=True)
class Used:
    """One process."""

    name: str
    pid: int
    mib: float


def used(root: int) -> list[Used]:
    """The proportional set size of a process and all below it, the largest first."""
    top = psutil.Process(root)
    found = []
    for process in [top, *top.children(recursive=True)]:
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            found.append(Used(_title(process), process.pid, pss / 1024))
        except (psutil.Error, OSError):  # it ended meanwhile
            continue
    return sorted(found, key=lambda each: -each.mib)


def _title(process: psutil.Process) -> str:
    name = str(process.name())
    line = " ".join(process.cmdline())
    return line[:40] if name == "postgres" and line.startswith("postgres:") else name


def told(title: str, processes: list[Used]) -> float:
    """Print it, and answer the sum."""
    total = sum(each.mib for each in processes)
    sys.stdout.write(f"\n{title}\n")
    for each in processes:
        sys.stdout.write(f"  {each.mib:7.1f} MiB  {each.pid:7}  {each.name}\n")
    sys.stdout.write(f"  {total:7.1f} MiB  in all, of {len(processes)} processes\n")
    return total


def main() -> None:
    """Measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=400)
    options.add_argument("--jobs", type=int, default=200)
    options.add_argument("--rest", type=float, default=30.0)
    asked = options.parse_args()
    home = Path(tempfile.mkdtemp(prefix="callboard-memory-"))
    port = _free_port()
    began = time.monotonic()
    product = subprocess.Popen(
        [sys.executable, "-m", "app", "up", "--home", str(home), "--port", str(port)],
        cwd=ROOT,
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _await_ready(product)
        sys.stdout.write(
            f"ready after {time.monotonic() - began:.1f} s; a worker registered {_worker_start(home):.2f} s after its start\n"
        )
        time.sleep(asked.rest)
        idle = told("at rest", used(product.pid))
        _load(port, asked.requests, asked.jobs)
        time.sleep(asked.rest)
        warm = told(f"after {asked.requests} requests and {asked.jobs} jobs", used(product.pid))
        sys.stdout.write(f"\nat rest {idle:.0f} MiB (goal: {GOAL_MIB}), after the load {warm:.0f} MiB\n")
    finally:
        product.send_signal(signal.SIGTERM)
        product.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def _environ() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL", "WORKERS")
    }
    return kept | {
        "CALLBOARD_ADMIN_API_KEY": KEY,
        "CALLBOARD_ADMIN_PASSWORD": secrets.token_urlsafe(16),
        "AGENT_FOLDERS": str(ROOT / "tests" / "agents"),
        "CALLBOARD_ENV": "test",
        "RATE_LIMIT_PER_MINUTE": "0",
        "RATE_LIMIT_PER_HOUR": "0",
        "RATE_LIMIT_BURST_PER_SECOND": "0",
    }


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _await_ready(product: subprocess.Popen[str]) -> None:
    assert product.stdout
    for line in product.stdout:
        if "is ready" in line:
            return
        sys.stdout.write(line)
    sys.exit("it did not start")


def _worker_start(home: Path) -> float:
    """Seconds from the start of the worker's process to its row among the workers."""
    import psycopg2

    from app.ops.embedded import url_of

    began = psutil.Process(int((home / "run" / "worker.pid").read_text())).create_time()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with psycopg2.connect(url_of(home).replace("+psycopg2", "")) as line, line.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM min(started_at))::float FROM workers")
            if (at := cursor.fetchone()) and at[0]:
                return float(at[0]) - began
        time.sleep(0.1)
    sys.exit("no worker registered")


def _load(port: int, requests: int, jobs: int) -> None:
    paths = (
        "/api/v1/jobs",
        "/api/v1/queues/stats",
        "/api/v1/agents",
        "/api/v1/workers",
        "/metrics",
        "/api/v1/scaling",
    )
    for number in range(requests):
        _call(port, paths[number % len(paths)])
    for _ in range(jobs):
        _call(port, "/api/v1/jobs", {"agent_id": "test-noop", "parameters": {}})
    end = time.monotonic() + 120
    while time.monotonic() < end and _call(port, "/api/metrics")["queue_size"]:
        time.sleep(0.5)


def _call(port: int, path: str, body: object = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else {}


if __name__ == "__main__":
    main()
