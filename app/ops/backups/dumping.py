"""Writing the files of one backup: dump, artifacts, and a small JSON beside them that says what they are.

Rows are counted and added up in the very snapshot that pg_dump reads, so the two agree exactly. Nothing here holds a
lock that the product waits for: a dump only reads.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Self, cast

import orjson
import psycopg2
import psycopg2.extensions

from app import clock
from app.errors import Unavailable
from app.ops.backups import files, programs, sums
from app.ops.backups.places import Place
from app.ops.backups.plan import Plan
from app.ops.backups.sealed import Sealing
from app.ops.processes import told_when_parent_dies

FORMAT = "callboard-backup/1"
PIECE = 1 << 20
BEAT_SECONDS = 5.0
LOCK_WAIT = "60s"
"""A table that a migration holds is waited for so long."""

Tell = Callable[[str, int], bool]
"""Told the stage and the bytes so far; False: go no further."""


class Pulse:
    """Says every few seconds how far it is, so that others know that somebody is at it."""

    def __init__(self, tell: Tell | None = None) -> None:
        """Without `tell` nobody hears it."""
        self.stage, self.bytes, self.lost = "starting", 0, False
        self._tell, self._end = tell, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="backup", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def enter(self, stage: str) -> None:
        """A new stage begins; raises Unavailable if somebody else has given this backup up."""
        self.stage = stage
        self.check()

    def check(self) -> None:
        """Raise Unavailable if somebody else has given this backup up."""
        if self.lost:
            raise Unavailable("nothing was heard of this backup for too long, and it was given up")

    def _beat(self) -> None:
        while self._tell and not self._end.wait(BEAT_SECONDS):
            self.lost = not self._tell(self.stage, self.bytes)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A backup's files, all of them finished."""

    name: str
    manifest: dict[str, Any]


class _Counted:
    """A file that counts and hashes what is written to it."""

    def __init__(self, target: IO[bytes], pulse: Pulse) -> None:
        self._target, self._pulse, self._hash, self.bytes = target, pulse, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._pulse.check()
        self._target.write(data)
        self._hash.update(data)
        self.bytes += len(data)
        self._pulse.bytes += len(data)
        return len(data)

    def facts(self, name: str) -> dict[str, Any]:
        return {"name": name, "bytes": self.bytes, "sha256": self._hash.hexdigest()}


def write(
    plan: Plan, backup_id: str, kind: str, pulse: Pulse, *, with_artifacts: bool | None = None
) -> Written:
    """Make all files of a backup; raises Unavailable, and leaves nothing that looks finished then.

    `with_artifacts` None: if they are in a folder that is not too large.
    """
    name = f"callboard-{clock.now():%Y%m%dT%H%M%SZ}-{backup_id[-8:]}"
    made: list[str] = []
    try:
        manifest = _written(plan, name, {"backup_id": backup_id, "kind": kind}, pulse, made, with_artifacts)
    except BaseException:
        for each in made:
            plan.place.remove(each)
        raise
    return Written(name=name, manifest=manifest)


def _written(
    plan: Plan, name: str, about: dict[str, Any], pulse: Pulse, made: list[str], wanted: bool | None
) -> dict[str, Any]:
    with _snapshot(plan.database_url) as (connection, snapshot):
        pulse.enter("counting")
        about = {"format": FORMAT, **about, **_facts(connection, plan)}
        plan.place.demand_room(_expected(connection))
        found = _programs(connection)
        about["pg_dump"] = found.major
        pulse.enter("dumping")
        dump = _file(plan, f"{name}.dump", about, pulse, made, lambda to: _dump(plan, found, snapshot, to))
    manifest = {**about, "dump": dump, "artifacts": None}
    if folder := _artifacts_wanted(plan, wanted):
        pulse.enter("artifacts")
        count = 0

        def pack(to: IO[bytes]) -> None:
            nonlocal count
            count, _ = files.pack(folder, to)

        facts = _file(plan, f"{name}.artifacts.tar", about, pulse, made, pack)
        manifest["artifacts"] = {**facts, "files": count}
    with plan.place.writing(f"{name}.json") as target:
        target.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def _file(
    plan: Plan,
    name: str,
    about: dict[str, Any],
    pulse: Pulse,
    made: list[str],
    fill: Callable[[IO[bytes]], None],
) -> dict[str, Any]:
    """One file of a backup, encrypted if there is a key; answers its name, size and hash."""
    name = f"{name}.sealed" if plan.keys else name
    with plan.place.writing(name) as target:
        counted = _Counted(target, pulse)
        to = cast("IO[bytes]", counted)
        if plan.keys:
            sealing = Sealing(to, plan.keys[0], about)
            fill(cast("IO[bytes]", sealing))
            sealing.close()
        else:
            fill(to)
    made.append(name)
    return counted.facts(name)


def _dump(plan: Plan, found: programs.Programs, snapshot: str, target: IO[bytes]) -> None:
    argv = [found.path("pg_dump"), "--format=custom", "--compress=gzip:6", "--no-password"]
    argv += [f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT}"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            argv,
            env=programs.environ(plan.database_url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            preexec_fn=told_when_parent_dies(15),  # type: ignore[arg-type]  # noqa: PLW1509 - it sets a flag and no more
        ) as process,
    ):
        assert process.stdout is not None
        try:
            while piece := process.stdout.read(PIECE):
                target.write(piece)
        except BaseException:
            process.kill()
            raise
        if process.wait():
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise Unavailable(f"pg_dump failed: {' '.join(words[-3:])[:500] or process.returncode}")


@contextmanager
def _snapshot(url: str) -> Iterator[tuple[psycopg2.extensions.connection, str]]:
    """A transaction that others may read the same moment as, and its name."""
    try:
        connection = psycopg2.connect(
            programs.dsn(url),
            connect_timeout=5,
            application_name="callboard-backup",
            options="-c statement_timeout=0 -c idle_in_transaction_session_timeout=0",
        )
    except psycopg2.OperationalError as away:
        raise Unavailable(f"Postgres does not answer: {str(away).strip()}") from away
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            # Behind a pooler the options above may be gone.
            cursor.execute(
                "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
            )
            cursor.execute("SELECT pg_export_snapshot()")
            (snapshot,) = cursor.fetchone() or ("",)
        yield connection, snapshot
    except psycopg2.Error as error:
        raise Unavailable(f"Postgres: {str(error).strip()}") from error
    finally:
        connection.close()


def _facts(connection: psycopg2.extensions.connection, plan: Plan) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL, now()")
        there, at = cursor.fetchone() or (False, None)
        if not there:
            raise Unavailable("there is no Callboard in this database: nothing to back up")
        cursor.execute("SELECT version_num FROM public.alembic_version")
        (revision,) = cursor.fetchone() or ("",)
    return {
        "made_at": clock.iso(at),
        "version": plan.release,
        "revision": revision,
        "postgres": connection.server_version // 10_000,
        "encrypted_with": plan.keys[0].fingerprint if plan.keys else None,
        "tables": sums.take(connection),
    }


def _expected(connection: psycopg2.extensions.connection) -> int:
    """How large the dump may get: it is compressed, and has no indexes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (size,) = cursor.fetchone() or (0,)
    return int(size) // 3


def _programs(connection: psycopg2.extensions.connection) -> programs.Programs:
    return programs.fitting(connection.server_version // 10_000, tls=bool(connection.info.ssl_in_use))


def _artifacts_wanted(plan: Plan, wanted: bool | None) -> Any:
    """The folder to pack, or None."""
    folder = files.folder_of(plan.artifact_store)
    if folder is None or wanted is False:
        return None
    return folder if wanted or files.size(folder)[1] <= plan.most_artifact_bytes else None


def manifest_of(place: Place, name: str) -> dict[str, Any] | None:
    """What stands in the JSON beside a backup; None if there is none, or it is none of ours."""
    if f"{name}.json" not in place.names():
        return None
    with place.reading(f"{name}.json") as source:
        raw = source.read()
    try:
        told: dict[str, Any] = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return told if told.get("format") == FORMAT else None
