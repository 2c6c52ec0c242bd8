"""Start a product, let Locust load it, and look at what is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from app.settings import ROOT
from tests.bench.http import Busy
from tests.bench.load import Line, Request
from tests.journeys.product import API_KEY, Product
from tests.load import installing
from tests.load.aftermath import Watch
from tests.load.scenarios import Plan

FILE = Path(__file__).with_name("locustfile.py")
CLASSES = {1: "Visitor", 2: "Visitor", 3: "Sender"}
# The product's own intervals, not the hasty ones of journeys; limits per key stay lifted, as one key stands for all.
USUAL = {
    "HEARTBEAT_SECONDS": "10",
    "LEASE_SECONDS": "60",
    "SWEEP_INTERVAL_SECONDS": "5",
    "LOOK_SECONDS": "2",
    "POLL_QUEUED_MS": "3000",
    "POLL_RUNNING_MS": "2000",
    "POLL_RETRY_MS": "5000",
    "POLL_MIN_MS": "1000",
}
AT_ONCE = 100


@contextmanager
def product() -> Iterator[Product]:
    """A whole Callboard that is gone afterwards; what its environment says of WEB_, WORKER_ and DB_ is heard."""
    home = Path(tempfile.mkdtemp(prefix="cb-l-"))
    made = Product(home, **USUAL)
    try:
        made.start()
        _warm(made)
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)
        made.said.unlink(missing_ok=True)


def _warm(made: Product) -> None:
    """What is imported, cached and connected at the first use is no growth."""
    line = Line(made.port, {"Authorization": f"Bearer {API_KEY}"})
    order = json.dumps({"agent_id": "test-noop", "parameters": {}, "tags": ["warm"]}).encode()
    for _ in range(50):
        line.send(Request("submit", "POST", "/api/v1/jobs", 201, order))
        line.send(Request("list", "GET", "/api/v1/jobs?limit=10", 200))


def loaded(plan: Plan, url: str, key: str) -> dict[str, Any]:
    """What Locust saw."""
    with tempfile.TemporaryDirectory(prefix="cb-l-") as folder:
        out = Path(folder) / "seen.json"
        told = {"CALLBOARD_LOAD": plan.dumped(), "CALLBOARD_LOAD_KEY": key, "CALLBOARD_LOAD_OUT": str(out)}
        rest = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
        command = [
            str(installing.locust()), "--headless", "--only-summary", "--host", url, "--stop-timeout", "60",
            "-f", str(FILE), CLASSES[plan.scenario],
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**rest, **told, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not out.exists():
            msg = f"Locust ended with {done.returncode}: {done.stderr[-3000:]}"
            raise RuntimeError(msg)
        found: dict[str, Any] = json.loads(out.read_text())
        if "Traceback" in done.stderr:  # of a user: Locust goes on without saying so in its figures
            found["errors"].append({"kind": "locust", "error": done.stderr[-1000:], "times": 1})
        return found


def alone(plan: Plan) -> dict[str, Any]:
    """Run the scenario against a product of its own."""
    installing.locust()
    with product() as made:
        return watched(plan, made)


def watched(plan: Plan, made: Product) -> dict[str, Any]:
    """Run the scenario; what Locust saw, and what the product looks like afterwards."""
    watch, busy = Watch(made), Busy(made)
    psutil.cpu_percent()
    with watch.looking():
        seen = loaded(plan, made.url, API_KEY)
    used, idle = busy.share(), 100 - psutil.cpu_percent()
    accepted = seen.pop("accepted")
    ends = watch.settled(plan.tag, accepted, plan.seconds if plan.scenario == 3 else 120)
    seen["accepted"] = len(accepted)
    return {
        "seen": seen,
        "ends": ends,
        "answers": _answers(made.url),
        "died": watch.died(),
        "alarms": watch.alarms(),
        "memory_mib": {
            "before": round(watch.before),
            "peak": round(watch.peak),
            "after": round(watch.rested(watch.before * 1.5)),
        },
        "processors_used": used,
        "machine_idle_percent": round(idle, 1),
        "load_tool_used": round(seen["cpu_seconds"] / seen["seconds"], 2),
    }


def against(plan: Plan, url: str, key: str) -> dict[str, Any]:
    """Run the scenario against a Callboard that is there; of its inside only the ends of the jobs are seen."""
    seen = loaded(plan, url, key)
    accepted = seen.pop("accepted")
    seen["accepted"] = len(accepted)
    return {"seen": seen, "ends": _asked(url, key, accepted), "answers": _answers(url)}


def _asked(url: str, key: str, accepted: list[str]) -> dict[str, Any]:
    """How many of these jobs are completed, by the API."""
    completed = promised = 0
    for start in range(0, len(accepted), AT_ONCE):
        some = accepted[start : start + AT_ONCE]
        asked = urllib.request.Request(
            f"{url}/api/v1/jobs/status?ids={','.join(some)}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            jobs = json.loads(answer.read())["jobs"]
        promised += len(jobs)
        completed += sum(job["status"] == "completed" for job in jobs)
    return {"jobs": len(accepted), "promised": promised, "completed": completed}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
