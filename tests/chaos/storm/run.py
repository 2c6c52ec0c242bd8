"""One storm from beginning to end: start, load, faults, calm, checks."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import psutil

from app.db import db
from app.settings import ROOT
from tests import invariants
from tests.chaos.storm import agents, checks
from tests.chaos.storm.gauge import Gauge
from tests.chaos.storm.load import Line, Load, set_up
from tests.chaos.storm.plan import plan
from tests.chaos.storm.product import Product, product
from tests.chaos.storm.report import Report
from tests.chaos.storm.weather import Fallen, Weather
from tests.fleet import CUT_OFF, Fleet

START_SECONDS = 300.0
# So long everything may stand still while it calms down; as long as something ends, it may take longer.
STILL_SECONDS = 120.0
CALM_SECONDS = 600.0
RECOVERY_SECONDS = 60.0
TAIL_LINES = 40
# Of the time, at most so much is spent on looking at everything.
SHARE_OF_LOOKING = 0.04
LIMITS = "no agent runs more than it may"
_LEFT = """
    SELECT (SELECT count(*) FROM jobs WHERE status IN ('pending','queued','running','retry','awaiting_input'))
         + (SELECT count(*) FROM followups) + (SELECT count(*) FROM workflows WHERE finished_at IS NULL)
         + (SELECT count(*) FROM deliveries WHERE callback AND status = 'pending')
         + (SELECT count(*) FROM schedules WHERE enabled AND schedule_type = 'one_time' AND ended IS NULL)"""


def storm(
    seed: int,
    minutes: float,
    *,
    rate: float,
    only: Collection[str] = (),
    without: str = "",
    say: Callable[[str], None] = print,
) -> tuple[Report, Path | None]:
    """What became of it, and the folder with the logs if something is broken."""
    began = time.monotonic()
    with product(without=without) as made:
        with db.transaction():
            agents.install()
        _ready(made)
        say(f"everything runs after {time.monotonic() - began:.0f} s")
        with Gauge(made) as gauge, Watch(made.fleet, made) as watch, Load(made, seed, rate) as load:
            busy = Busy()
            weather = Weather(made, plan(seed, minutes, only), say)
            weather.rage(minutes * 60)
            cpu = busy.share()
            _until_recovered(made, gauge, weather.fallen)
            for errand in made.errands:
                errand.join(60)
            stuck = _calm(made, load, say)
        broken = watch.seen | checks.after(made, load, weather) | stuck
        report = _report(made, load, gauge, weather, watch, broken, seed, minutes, rate)
        report = replace(report, seconds=round(time.monotonic() - began, 1), cpu=cpu)
        return report, _keep(made) if broken else None


def _ready(made: Product) -> None:
    """Both web servers answer, and all worker processes have said that they are there."""
    line = Line(made)
    for _ in made.ports:
        made.fleet.until(lambda: line.get("/api/v1/jobs?limit=1")[0] == 200, START_SECONDS, 0.3)
        line.other()
    made.fleet.until(lambda: made.fleet.value("SELECT count(*) FROM workers") >= 4, START_SECONDS, 0.3)
    set_up(line, made)


def _until_recovered(made: Product, gauge: Gauge, fallen: list[Fallen]) -> None:
    """The load goes on until the last fault is over for everybody; how long that took is in the report."""
    last = max((one.ended for one in fallen), default=0.0)
    end = time.monotonic() + RECOVERY_SECONDS
    while not gauge.recovered(last) and time.monotonic() < end:
        made.fleet.revive()
        time.sleep(0.2)


def _calm(made: Product, load: Load, say: Callable[[str], None]) -> dict[str, list[Any]]:
    """Stop the load and let everything end; says what does not."""
    say("the load stops")
    stopping = threading.Thread(target=load.stop)
    stopping.start()
    began = changed = time.monotonic()
    left = -1
    while True:
        made.fleet.revive()
        now, before = _left(made), left
        if now != before:
            left, changed = now, time.monotonic()
        if left == 0 and not stopping.is_alive():
            break
        if time.monotonic() - changed > STILL_SECONDS or time.monotonic() - began > CALM_SECONDS:
            load.silence()
            stopping.join()
            return {"everything ends": [f"{left} things are left and nothing moves", *_waiting(made)]}
        time.sleep(0.3)
    load.silence()
    say(f"calm after {time.monotonic() - began:.1f} s")
    deadline = time.monotonic() + checks.GONE_SECONDS
    while checks.orphans(made) and time.monotonic() < deadline:
        time.sleep(0.5)
    return {}


def _left(made: Product) -> int:
    try:
        return int(made.fleet.value(_LEFT))
    except CUT_OFF:
        return -1


def _waiting(made: Product) -> list[Any]:
    return made.fleet.rows(
        """SELECT job_id::text, agent_id, status, status_reason, run_at::text, lost_count FROM jobs
           WHERE finished_at IS NULL ORDER BY job_id LIMIT 5"""
    )


class Busy:
    """How many processors this process and all below it take."""

    def __init__(self) -> None:
        """Look at the clocks of those that live."""
        self.began, self.before, self.dead = time.monotonic(), self._alive(), self._reaped()

    def share(self) -> float:
        """Processors, on average since then; what died meanwhile counts as far as it was reaped here."""
        now = self._alive()
        spent = sum(seconds - self.before.get(pid, 0.0) for pid, seconds in now.items())
        return round((spent + self._reaped() - self.dead) / (time.monotonic() - self.began), 2)

    def _alive(self) -> dict[int, float]:
        found = {}
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            found[process.pid] = times.user + times.system
        return found

    def _reaped(self) -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime


class Watch:
    """Looks at the limits all the time and at every law now and then, while things break."""

    def __init__(self, fleet: Fleet, made: Product) -> None:
        """It reads on a connection of its own."""
        self.eye = Fleet(fleet.pair, fleet.database_url, fleet.home, MAX_LOST=fleet.environ["MAX_LOST"])
        self.made = made
        self.seen: dict[str, list[Any]] = {}
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        self._thread.join(60)
        self.eye.close()

    def _loop(self) -> None:
        due = time.monotonic() + 5
        while not self._over.wait(0.3):
            try:
                if rows := self.eye.rows(invariants.ALWAYS[LIMITS]):
                    self.seen[LIMITS] = rows
                if time.monotonic() < due:
                    continue
                began = time.process_time()
                clock = time.monotonic()
                self.seen |= self.eye.broken()
                if left := checks.orphans(self.made, checks.GONE_SECONDS):
                    self.seen["no process outlives its job"] = left[: checks.MOST_SHOWN]
                self.looks += 1
                took = max(time.monotonic() - clock, time.process_time() - began)
                due = time.monotonic() + max(5.0, took / SHARE_OF_LOOKING)
            except CUT_OFF:
                continue


def _report(
    made: Product,
    load: Load,
    gauge: Gauge,
    weather: Weather,
    watch: Watch,
    broken: dict[str, list[Any]],
    seed: int,
    minutes: float,
    rate: float,
) -> Report:
    fleet = made.fleet
    done = [one for one in weather.fallen if not one.trouble]
    jobs = fleet.rows("SELECT status, count(*) AS n FROM jobs GROUP BY status")
    return Report(
        seed=seed,
        minutes=minutes,
        rate=rate,
        commit=_commit(),
        seconds=0.0,
        restarts=fleet.restarts,
        jobs={row["status"]: row["n"] for row in jobs},
        attempts=fleet.outcomes(),
        orders=len(load.sent),
        sent_again=dict(load.troubles),
        faults=[(one.blow.kind, round(one.ended - one.began, 1), gauge.recovery(one.ended)) for one in done],
        not_possible={
            one.blow.kind: str(one.trouble) for one in weather.fallen if one.trouble and not one.broke
        },
        lost=_lost(made, load),
        doubled=len(fleet.rows(invariants.ALWAYS["settled at most once"])),
        checked=watch.looks,
        broken=broken,
        surprises=checks.surprises(made),
    )


def _lost(made: Product, load: Load) -> int:
    """How many jobs were accepted and did not end."""
    ended = {
        row["id"]
        for row in made.fleet.rows("SELECT job_id::text AS id FROM jobs WHERE finished_at IS NOT NULL")
    }
    promised = {sent.job_id for sent in load.sent if sent.job_id and sent.order.table == "jobs"}
    return len((promised | set(made.jobs)) - ended)


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _keep(made: Product) -> Path:
    """A folder with the logs of all processes, and the tail of each."""
    folder = Path(os.environ.get("STORM_LOGS") or tempfile.mkdtemp(prefix="storm-logs-"))
    for log in [
        *(made.fleet.home / "log").glob("*.log"),
        *made.pair.postgres.child.log_file.parent.glob("*.log"),
    ]:
        shutil.copy(log, folder / log.name)
        with log.open(errors="replace") as lines:
            (folder / f"{log.stem}.tail").write_text("".join(deque(lines, TAIL_LINES)))
    if (witness := made.folder / "witness.jsonl").exists():
        shutil.copy(witness, folder)
    dump = made.pair.postgres.kind.programs / "pg_dump"
    with (folder / "jobs.sql").open("wb") as file:
        command = [
            str(dump),
            "--data-only",
            "-t",
            "jobs",
            "-t",
            "job_*",
            "-t",
            "deliver*",
            made.fleet.database_url.replace("+psycopg2", ""),
        ]
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=False)
    return folder
