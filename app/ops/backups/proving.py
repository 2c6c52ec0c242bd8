"""Proving a backup: restored into a Postgres of its own, counted and compared with what was counted when it was made."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from app.db import db
from app.errors import CallboardError, Conflict, Invalid, Unavailable
from app.observe import logs
from app.ops.backups import fetching, programs, records, sums
from app.ops.backups.fetching import Found
from app.ops.backups.plan import Plan
from app.ops.backups.sums import Sums
from app.ops.embedded import Postgres
from app.ops.ground import lay_out, remove
from app.ops.processes import Child

log = logs.get("backups")

START_SECONDS = 60.0


@contextmanager
def workshop(home: Path) -> Iterator[Path]:
    """A folder for us alone, emptied before and after; raises Conflict if another process is in it."""
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    home.chmod(0o711)  # the account that runs Postgres must pass through
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise Conflict(
                "another backup is being verified or restored here; try again when it is done"
            ) from busy
        for left in home.iterdir():  # of one that was killed
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="b-", dir=home))
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(folder: Path) -> Iterator[Postgres]:
    """A Postgres that lives in `folder` as long as the block; raises Unavailable."""
    for name in ("run", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ground = lay_out(folder)
    try:
        postgres = Postgres(ground, expendable=True)
        with running(postgres, folder):
            yield postgres
    finally:
        remove(ground)


@contextmanager
def running(postgres: Postgres, home: Path) -> Iterator[None]:
    """Start a Postgres, made first where there is none, and stop it at the end; raises Unavailable."""
    postgres.prepare()
    child = Child(postgres.program(), home)
    child.start()
    try:
        end = time.monotonic() + START_SECONDS
        while not postgres.answers():
            if not child.alive or time.monotonic() > end:
                raise Unavailable(f"the Postgres in {home} did not start")
            time.sleep(0.05)
        postgres.provision()
        yield
    finally:
        child.quit_hard() if postgres.expendable else child.ask_to_stop()
        end = time.monotonic() + START_SECONDS
        while child.alive and time.monotonic() < end:
            time.sleep(0.02)
        child.kill()


def restore_into(url: str, dump: Path, found: programs.Programs) -> None:
    """All of a dump, in one transaction: wholly or not at all; raises Unavailable."""
    argv = [
        found.path("pg_restore"),
        "--no-owner",
        "--no-privileges",
        "--exit-on-error",
        "--single-transaction",
    ]
    environ = programs.environ(url)
    done = subprocess.run(
        [*argv, "--no-password", f"--dbname={environ['PGDATABASE']}", str(dump)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"pg_restore failed, and nothing was kept of it: {done.stderr.strip()[:500]}")


def counted(url: str) -> Sums:
    """What is in a database now."""
    connection = psycopg2.connect(programs.dsn(url), connect_timeout=5)
    try:
        return sums.take(connection)
    finally:
        connection.close()


def prove(plan: Plan, found: Found) -> float:
    """Restore it aside and compare; answers how many seconds that took, raises Invalid with what differs."""
    began = time.monotonic()
    with workshop(plan.scratch) as folder:
        dump, about = fetching.fetch(found, folder, plan.keys)
        with server(folder / "server") as postgres:
            restore_into(postgres.url, dump, programs.newest())
            there = counted(postgres.url)
        if artifacts := fetching.fetch_artifacts(found, folder, plan.keys):
            _readable(artifacts)
    if about is None:
        raise Invalid("it can be restored; whether it is all there nobody knows, because its JSON is missing")
    if wrong := sums.differences(about["tables"], there):
        raise Invalid(f"it is not what was backed up: {'; '.join(wrong[:5])}")
    return time.monotonic() - began


def _readable(tar: Path) -> None:
    with tarfile.open(tar, mode="r|") as source:
        for _ in source:
            pass


def prove_row(plan: Plan, backup_id: str | None = None, *, actor: str = "") -> bool | None:
    """The next one that nobody has proved, or a given one, with what its row says then; None if there is none."""
    with db.transaction():
        row = records.take_unproved(backup_id)
    if row is None:
        return None
    began, wrong = time.monotonic(), None
    try:
        found = fetching.in_place(plan.place, str(row["location"]).rpartition("/")[2])
        prove(plan, found)
    except CallboardError as error:
        wrong = error.message
    except Exception as error:  # noqa: BLE001 - whatever it is, the backup is not proved
        wrong = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    with db.transaction():
        records.proved(row["backup_id"], seconds, wrong, actor=actor)
    if wrong:
        log.warning("backup.not_verified", backup_id=row["backup_id"], why=wrong)
    else:
        log.info("backup.verified", backup_id=row["backup_id"], seconds=round(seconds, 1))
    return wrong is None
