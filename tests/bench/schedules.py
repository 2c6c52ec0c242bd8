"""How late schedules are that are all due at the same moment.

    make bench-schedules      or    python -m tests.bench.schedules [--schedules 1000] [--minutes 3] [--once]

One scheduler, as the Procfile starts it, and no worker. Each schedule runs every minute; with --once each runs once, a
few seconds from now. Two latenesses for each job: its `submitted_at` after the moment, and when another connection
could first see it, which is looked at every 10 ms and counts the whole transaction.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from app import settings as configuration
from app.db import db, make_engine
from app.schedules import changes
from app.schedules.changes import Wish
from tests.bench.drain import servers
from tests.waiting import until

LOOK_SECONDS = 0.01
SOON = timedelta(seconds=4)


def make(count: int, *, once: datetime | None) -> None:
    """So many schedules of a no-op in an empty table, due together."""
    with db.quick():
        db.run("TRUNCATE schedules, jobs CASCADE")
    for start in range(0, count, 100):
        with db.transaction():
            for _ in range(min(100, count - start)):
                time_ = {"execute_at": once} if once else {"cron_expression": "* * * * *"}
                changes.create(Wish(agent_id="test-noop", submitted_by="bench", **time_))
    with db.quick():
        db.run("VACUUM ANALYZE schedules")


def seen(slot: datetime, count: int) -> list[float]:
    """After how many milliseconds another connection saw each of the jobs of `slot`."""
    until(lambda: datetime.now(UTC) >= slot, 70, every=0.005)
    looks: list[tuple[float, int]] = [(0.0, 0)]
    with db.quick():
        while looks[-1][1] < count and looks[-1][0] < 30_000:
            there = db.value(
                "SELECT count(*) FROM schedule_fires WHERE slot_at = %(slot)s AND job_id IS NOT NULL",
                slot=slot,
            )
            looks.append(((datetime.now(UTC) - slot).total_seconds() * 1000, int(there)))
            time.sleep(LOOK_SECONDS)
    return [at for (_, before), (at, now) in pairwise(looks) for _ in range(now - before)]


def submitted(slot: datetime) -> list[float]:
    """How many milliseconds after `slot` each of its jobs was submitted."""
    with db.quick():
        rows = db.rows(
            """SELECT extract(epoch FROM j.submitted_at - f.slot_at)::float * 1000 AS late
               FROM schedule_fires f JOIN jobs j USING (job_id) WHERE f.slot_at = %(slot)s ORDER BY 1""",
            slot=slot,
        )
    return [row["late"] for row in rows]


def figures(late: list[float]) -> dict[str, float]:
    """What is told of one moment."""
    return {
        "n": len(late),
        "p50": round(late[len(late) // 2], 1),
        "p95": round(late[int(len(late) * 0.95)], 1),
        "max": round(late[-1], 1),
    }


def measure(count: int, minutes: int, *, once: bool) -> list[dict[str, dict[str, float]]]:
    """The two latenesses of each moment."""
    scheduler = subprocess.Popen([sys.executable, "-m", "actors.clockwork"], env=os.environ)
    try:
        until(_ticks, 60)
        soon = (datetime.now(UTC) + SOON + timedelta(seconds=count / 250)).replace(microsecond=0)
        make(count, once=soon if once else None)
        first = soon if once else (datetime.now(UTC) + timedelta(seconds=61)).replace(second=0, microsecond=0)
        found = []
        for slot in [first + timedelta(minutes=n) for n in range(1 if once else minutes)]:
            visible = seen(slot, count)
            found.append({"submitted_ms": figures(submitted(slot)), "visible_ms": figures(visible)})
    finally:
        scheduler.terminate()
        scheduler.wait(30)
    return found


def _ticks() -> bool:
    """Whether the scheduler is at work."""
    with db.quick():
        return bool(
            db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callboard-scheduler'")
        )


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--once", action="store_true", help="one-time schedules, due in a few seconds")
    chosen = parser.parse_args()
    with servers():
        db.open(make_engine(configuration.load().database_url))
        moments = measure(chosen.schedules, chosen.minutes, once=chosen.once)
        print(json.dumps({"schedules": chosen.schedules, "once": chosen.once, "moments": moments}))


if __name__ == "__main__":
    main()
