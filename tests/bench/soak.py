"""A day in minutes: many jobs through a whole Callboard, and whether anything grew that must not.

    make bench-soak      or    python -m tests.bench.soak [--jobs 200000] [--every 5] [--keep 60]

A web process, a scheduler and two workers of eight threads; jobs of every kind (retries, failures, cancellations, limits,
delays), runs of two steps, schedules every minute, and clients that poll. What is over is removed after `--keep` seconds,
as retention does after thirty days. Every few seconds everything is written down; at the end each figure's last third is
held against its middle third (tests/bench/trend.py). Prints JSON; ends with 1, naming what grew, if anything did.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from actors import sweeps
from app import clock
from app.db import AWAY, db
from app.errors import Conflict
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.observe import logs
from app.schedules import changes as schedules
from app.settings import Settings
from app.workflows import runs
from app.workflows.definition import read
from app.workflows.runs import RunWish
from tests.bench.load import Line, Request
from tests.bench.soaking import Samples
from tests.bench.trend import verdict
from tests.chaos.load import KINDS, at_the_door
from tests.fleet import API_KEY, Fleet
from tests.services import cloned, free_port, migrate, pair

BATCH = 50
MOST_WAITING = 400
RUN_EVERY = 5  # batches
CLIENTS = 6
SCHEDULES = 20
PATIENCE = 300.0
SHORT = {"sleeper": lambda chance: {"seconds": chance.uniform(0.001, 0.05)}}
"""A day in minutes has no time for jobs that only sleep."""


class Soak:
    """One run."""

    def __init__(self, fleet: Fleet, settings: Settings, *, jobs: int, keep: float, seed: int) -> None:
        """Nothing is done before `run`."""
        self.fleet, self.settings, self.jobs, self.keep = fleet, settings, jobs, keep
        self.chance = random.Random(seed)
        self.stop = threading.Event()
        self.submitted: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.polls = 0
        self.samples = Samples(fleet, redis.Redis.from_url(fleet.pair.redis.url))

    def run(self, port: int, every: float) -> None:
        """Start everything, submit until enough jobs ended, and write down how it is."""
        self._start(port)
        others = [threading.Thread(target=self._poll, args=(port,), daemon=True) for _ in range(CLIENTS)] + [
            threading.Thread(target=self._forget, daemon=True)
        ]
        for each in others:
            each.start()
        due = time.monotonic() + every
        try:
            while self.ended() < self.jobs:
                if not self._submit():
                    time.sleep(0.05)
                if time.monotonic() >= due:
                    due += every
                    self._note(self.samples.take(self.ended()))
                self.fleet.revive()
            with db.quick():
                db.run("UPDATE schedules SET enabled = false, next_fire_at = NULL")
            self.fleet.until(lambda: not self.fleet.unfinished() and not self.fleet.to_follow_up(), PATIENCE)
        finally:
            self.stop.set()
            for each in others:
                each.join(30)

    def ended(self) -> int:
        """How many jobs ended so far, removed ones too: each wrote itself into the history with the next number."""
        return int(self.fleet.value("SELECT last_value FROM task_history_history_id_seq"))

    def _start(self, port: int) -> None:
        self.fleet.web(port)
        self.fleet.scheduler()
        self.fleet.worker(processes=2, threads=8)
        with db.transaction():
            for number in range(SCHEDULES):
                schedules.create(
                    schedules.Wish(
                        submitted_by="soak",
                        agent_id="test-noop",
                        cron_expression="* * * * *",
                        name=f"{number}",
                    )
                )
        self.fleet.until(lambda: self.fleet.value("SELECT count(*) FROM workers") >= 2, 60)
        self.fleet.until(lambda: _listens(port), 60)

    def _submit(self) -> bool:
        """One batch, unless enough wait; answers whether it did."""
        if self.fleet.count("pending", "queued", "retry") >= MOST_WAITING:
            return False
        kinds = self.chance.choices(list(KINDS), [kind[0] for kind in KINDS.values()], k=BATCH)
        with db.transaction():
            rows = lifecycle.submit_many([intake.order(self._wish(kind)) for kind in kinds])
        self.submitted.update(kinds)
        for kind, row in zip(kinds, rows, strict=True):
            if kind == "cancelled":
                with suppress(Conflict, *AWAY), db.transaction():
                    lifecycle.cancel(row["job_id"])
        if sum(self.submitted.values()) // BATCH % RUN_EVERY == 0:
            with db.transaction():
                runs.start(RunWish(definition=_two_steps(), submitted_by="soak"))
            self.submitted["run"] += 1
        return True

    def _wish(self, kind: str) -> Wish:
        _, agent, parameters, _ = KINDS[kind]
        later = clock.now() + timedelta(seconds=self.chance.uniform(0.2, 2)) if kind == "later" else None
        return Wish(
            agent_id=agent,
            parameters=SHORT.get(kind, parameters)(self.chance),
            submitted_by="soak",
            run_at=later,
            priority=self.chance.choice(("critical", "high", "normal", "normal", "low")),
        )

    def _poll(self, port: int) -> None:
        """What a person's page and a program ask for, again and again, over one connection."""
        line = Line(port, {"X-API-Key": API_KEY})
        tag, path = "", "/api/v1/jobs?limit=20"
        while not self.stop.wait(0.2):
            headers = {"If-None-Match": tag} if tag else {}
            try:
                status, body, tag = line.send(Request("poll", "GET", path, 200, headers=headers))
            except OSError as broken:
                self.wrong[type(broken).__name__] += 1
                line, tag = Line(port, {"X-API-Key": API_KEY}), ""
                continue
            self.polls += 1
            if status not in (200, 304, 404):  # what is old is removed
                self.wrong[f"{status}"] += 1
            path, tag = self._next(path, status, body, tag)

    def _next(self, path: str, status: int, body: bytes, tag: str) -> tuple[str, str]:
        if "/status" in path and status == 200 and not json.loads(body)["poll"]["terminal"]:
            return path, tag
        if "?limit" in path and status == 200:
            jobs = json.loads(body).get("jobs") or json.loads(body).get("tasks") or []
            if jobs:
                return f"/api/v1/jobs/{random.choice(jobs)['job_id']}/status", ""
        return random.choice(("/api/v1/jobs?limit=20", "/api/v1/queues/stats", "/api/health")), ""

    def _forget(self) -> None:
        """What retention does each hour, with a retention of seconds."""
        days = self.keep / 86_400
        short = {"job_retention_days": days, "history_retention_days": days}
        while not self.stop.wait(self.keep / 12):
            try:
                sweeps.purge(self.settings.model_copy(update=short))
            except Exception as failed:  # noqa: BLE001 - whatever it is, the report names it
                self.wrong[f"purge: {type(failed).__name__}: {failed}"[:200]] += 1

    def _note(self, sample: dict[str, float]) -> None:
        words = {"worker": "worker: memory", "web": "web: memory", "scheduler": "scheduler: memory"}
        told = ", ".join(f"{name} {sample.get(key, 0) / 1e6:.0f} MB" for name, key in words.items())
        print(
            f"{sample['jobs']:.0f} of {self.jobs}; {told}; jobs {sample['jobs: size'] / 1e6:.0f} MB",
            file=sys.stderr,
        )

    def report(self) -> dict[str, Any]:
        """Each figure with its verdict, and the names of those that grew."""
        told = {name: verdict(series) for name, series in sorted(self.samples.series().items())}
        surprises = Counter(line for unit in self.fleet.units.values() for line in unit.surprises())
        return {
            "machine": {"processors": os.cpu_count(), "load": [round(each, 2) for each in os.getloadavg()]},
            "jobs": self.ended(),
            "samples": len(self.samples.taken),
            "polls": self.polls,
            "submitted": self.submitted,
            "outcomes": self.fleet.outcomes(),
            "wrong": self.wrong,
            "surprises": dict(surprises.most_common(10)),
            "restarts": self.fleet.restarts,
            "series": told,
            "grew": sorted(name for name, line in told.items() if line["grew"]),
        }


def _two_steps() -> Any:
    steps = [
        {"step_id": "one", "agent_id": "test-noop"},
        {"step_id": "two", "agent_id": "test-echo", "depends_on": ["one"]},
    ]
    return read({"name": "Soak", "steps": steps})


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def soak(chosen: argparse.Namespace) -> dict[str, Any]:
    """Servers, a Callboard on them, the run, and its report."""
    home = Path(tempfile.mkdtemp(prefix="cb-soak-"))
    try:
        with pair(expendable=False) as servers:
            migrate(servers.postgres.url)
            with cloned(servers.postgres.url) as url, Fleet(servers, url, home, LOG_LEVEL="WARNING") as fleet:
                os.environ |= {
                    name: fleet.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CALLBOARD_HOME")
                }
                fleet.start("prepare", "-m", "app", "prepare").wanted = False
                fleet.until(lambda: not fleet.units["prepare"].alive, 60)
                del fleet.units["prepare"]
                with at_the_door(fleet):
                    settings = Settings(CALLBOARD_HOME=home)
                    run = Soak(fleet, settings, jobs=chosen.jobs, keep=chosen.keep, seed=chosen.seed)
                    began = time.monotonic()
                    run.run(free_port(), chosen.every)
                    seconds = time.monotonic() - began
                    return {
                        "seconds": round(seconds),
                        "keep_seconds": chosen.keep,
                        "seed": chosen.seed,
                    } | run.report()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    """Soak, print one JSON document, and end with 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--keep", type=float, default=60.0, help="seconds that jobs and history are kept")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument(
        "--too-short-to-judge", action="store_true", help="what grew is told and is no failure"
    )
    logs.configure("WARNING")
    chosen = parser.parse_args()
    report = soak(chosen)
    print(json.dumps(report, indent=1))
    if report["wrong"] or (report["grew"] and not chosen.too_short_to_judge):
        print(
            "grew: " + ", ".join(report["grew"]) if report["grew"] else f"wrong: {report['wrong']}",
            file=sys.stderr,
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()
