"""Disaster, with real servers: a backup, the cluster destroyed, a new one, and the work goes on; kill -9 in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from app.db import db
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.ops.backups import proving
from app.settings import ROOT
from tests.fleet import Fleet
from tests.services import libpq, pair
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)

JOBS = 30


def callboard(fleet_environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=ROOT,
        env=fleet_environ,
        capture_output=True,
        text=True,
        check=False,
    )


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    """The rows of a statement; it is committed."""
    connection = psycopg2.connect(libpq(url))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_a_destroyed_cluster_comes_back_and_the_work_goes_on(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet()
    with db.transaction():
        wishes = [
            Wish(
                agent_id="test-sleeper",
                parameters={"seconds": 0.5},
                submitted_by="chaos",
                correlation_id=f"j{n}",
            )
            for n in range(JOBS)
        ]
        lifecycle.submit_many([intake.order(each) for each in wishes])
    worker = fleet.worker(threads=4)
    fleet.until(
        lambda: ask(fleet.database_url, "SELECT count(*) FROM jobs WHERE status = 'running'")[0][0], 30
    )
    made = callboard(fleet.environ, "backup", "--json", "--output", str(tmp_path / "elsewhere"))
    assert made.returncode == 0, made.stderr
    manifest = json.loads(made.stdout)
    worker.wanted = False
    worker.kill()
    assert manifest["tables"]["jobs"]["rows"] == JOBS
    states = dict(ask(fleet.database_url, "SELECT status, count(*) FROM jobs GROUP BY 1"))

    with pair() as new:  # the old one is as good as gone: nobody asks it any more
        there = {**fleet.environ, "DATABASE_URL": new.postgres.url, "REDIS_URL": new.redis.url}
        shutil.rmtree(fleet.home / "artifacts", ignore_errors=True)
        back = callboard(there, "restore", str(next((tmp_path / "elsewhere").glob("*.dump"))), "--json")
        assert back.returncode == 0, back.stderr
        told = json.loads(back.stdout)
        assert told["compared"]
        assert states
        counted = proving.counted(new.postgres.url)
        same = {name for name, sums in manifest["tables"].items() if counted[name] == sums}
        assert {"job_parameters", "agents", "agent_versions", "job_history"} & set(counted) <= same

        with Fleet(new, new.postgres.url, tmp_path / "new") as again:
            again.scheduler()
            again.worker(threads=8)
            again.until(
                lambda: (
                    ask(again.database_url, "SELECT count(*) FROM jobs WHERE status = 'completed'")
                    == [(JOBS,)]
                ),
                90,
            )
        assert ask(new.postgres.url, "SELECT count(DISTINCT correlation_id) FROM jobs") == [(JOBS,)]


def test_a_backup_that_is_killed_leaves_nothing_that_looks_finished_and_the_next_one_is_made(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(BACKUPS="on", BACKUP_VERIFY="false")
    ask(
        fleet.database_url, "UPDATE users SET created_at = created_at - interval '2 days'"
    )  # no new installation
    # Large enough that a dump takes a moment, and does not compress to nothing.
    ask(
        fleet.database_url,
        "INSERT INTO artifact_bytes SELECT 'a/' || n, (SELECT string_agg(sha256((n || ' ' || m)::bytea), ''::bytea) FROM generate_series(1, 300) m) FROM generate_series(1, 3000) n",
    )
    folder = fleet.home / "backups"
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "backup"],
        cwd=ROOT,
        env=fleet.environ,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: any(part.stat().st_size > 100_000 for part in folder.glob(".part-*")), 60, 0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert not [each for each in folder.iterdir() if not each.name.startswith(".part-")]
    assert any(folder.glob(".part-*"))
    until(
        lambda: (
            ask(
                fleet.database_url,
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND datname = current_database()",
            )
            == [(0,)]
        ),
        20,
    )

    ask(fleet.database_url, "UPDATE backups SET beat_at = now() - interval '1 hour' WHERE status = 'running'")
    fleet.scheduler()
    fleet.until(
        lambda: (
            ask(fleet.database_url, "SELECT kind, status FROM backups ORDER BY backup_id")
            == [("manual", "failed"), ("daily", "done")]
        ),
        60,
    )
    assert not any(folder.glob(".part-*"))


def test_two_schedulers_make_the_daily_one_once(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(BACKUPS="on", BACKUP_VERIFY="false")
    ask(
        fleet.database_url, "UPDATE users SET created_at = created_at - interval '2 days'"
    )  # no new installation
    fleet.scheduler("scheduler-a")
    fleet.scheduler("scheduler-b")

    fleet.until(lambda: ask(fleet.database_url, "SELECT status FROM backups") == [("done",)], 60)
    time.sleep(12)  # both have ticked once more

    assert ask(fleet.database_url, "SELECT count(*) FROM backups") == [(1,)]
    assert len(list((fleet.home / "backups").glob("*.dump"))) == 1
