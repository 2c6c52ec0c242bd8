"""Backups against real servers: made, proved, tampered with, restored, and what has to be refused."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from app.db import db, make_engine
from app.errors import CallboardError, Conflict, Invalid, Unavailable
from app.ops import prepared
from app.ops.backups import aftermath, dumping, fetching, making, proving, queries, records, restoring, upkeep
from app.ops.backups.plan import Plan, plan_of
from app.secrets.keys import read
from app.settings import Settings
from tests.services import libpq

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def plan(fresh_database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """Backups of a database of this test alone, into a folder of its own."""
    for name, value in {"DATABASE_URL": fresh_database, "CALLBOARD_HOME": str(home), "BACKUPS": "on"}.items():
        monkeypatch.setenv(name, value)
    engine = make_engine(fresh_database, pool_size=2)
    db.open(engine)
    yield plan_of(Settings())
    engine.dispose()


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the account of Postgres may pass through, which pytest's own folders forbid."""
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def fill(plan: Plan) -> None:
    """Some rows of every kind of trouble: bytes, times, JSON, numbers."""
    run(
        plan.database_url,
        """INSERT INTO users (user_id, email, name, role, password_hash) SELECT gen_random_uuid(), 'p' || n || '@example.org', 'P ' || n, 'user', 'x'
           FROM generate_series(1, 20) AS n""",
    )
    run(
        plan.database_url,
        "INSERT INTO artifact_bytes SELECT 'a/' || n, decode(md5(n::text), 'hex') FROM generate_series(1, 50) n",
    )


def run(url: str, statement: str) -> list[Any]:
    """Run it and answer its rows, if it has some."""
    connection = psycopg2.connect(libpq(url))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def made(plan: Plan, **options: Any) -> str:
    backup_id = making.begin(plan, "manual", by="")
    assert backup_id
    making.make(plan, backup_id, "manual", **options)
    return backup_id


def row(backup_id: str) -> dict[str, Any]:
    with db.quick():
        return queries.get(backup_id)


def test_a_backup_is_proved_by_a_restore(plan: Plan) -> None:
    fill(plan)

    backup_id = made(plan)
    proved = proving.prove_row(plan)

    assert proved, row(backup_id)
    assert row(backup_id)["status"] == "verified"
    assert not any(plan.scratch.glob("b-*"))


def known() -> tuple[set[str], str]:
    found = prepared.known_revisions()
    return found, max(found)


def put_back(plan: Plan, reference: str = "latest", **options: Any) -> restoring.Restored:
    revisions, newest = known()
    return restoring.restore(
        plan,
        fetching.named(reference, plan.place),
        known=revisions,
        newest=newest,
        over_users=True,
        **options,
    )


def file_of(plan: Plan, ending: str) -> Path:
    assert plan.place.local
    (found,) = plan.place.local.glob(f"*{ending}")
    return found


def test_what_is_deleted_comes_back_and_what_was_there_is_kept(plan: Plan) -> None:
    fill(plan)
    first = made(plan)
    before = proving.counted(plan.database_url)["users"]
    run(plan.database_url, "DELETE FROM users WHERE email LIKE 'p%'")
    run(plan.database_url, "UPDATE artifact_bytes SET content = ''")

    with pytest.raises(Conflict, match="--force"):
        restoring.restore(plan, fetching.named(first, plan.place), known=known()[0], newest=known()[1])
    done = put_back(plan, first, over_data=True)

    assert proving.counted(plan.database_url)["users"] == before
    assert done.compared
    assert done.safety
    assert (fetching.named(f"{done.safety}.dump", plan.place).manifest or {})["kind"] == "before_restore"
    assert fetching.named("latest", plan.place).name != done.safety
    with db.transaction():
        aftermath.settle(file=done.file, about=done.about, by="cli", place=plan.place, paused=False)
    assert row(first)["status"] == "done"


def test_a_database_with_data_is_refused(plan: Plan) -> None:
    fill(plan)
    made(plan)

    with pytest.raises(Conflict, match="20 users"):
        put_back(plan)


def test_a_newer_schema_is_refused_before_anything_is_touched(plan: Plan) -> None:
    fill(plan)
    run(plan.database_url, "UPDATE alembic_version SET version_num = '9999'")
    made(plan)
    run(plan.database_url, "UPDATE alembic_version SET version_num = '0008'")

    with pytest.raises(Invalid, match="newer Callboard"):
        put_back(plan, over_data=True)
    assert run(plan.database_url, "SELECT count(*) FROM users")[0][0] >= 20


def test_an_encrypted_backup_says_nothing_and_comes_back_by_its_key_alone(plan: Plan) -> None:
    fill(plan)
    sealed = replace(plan, keys=read([KEY]))
    backup_id = made(sealed)
    file = file_of(plan, ".dump.sealed")

    assert b"example.org" not in file.read_bytes()
    assert row(backup_id)["encrypted_with"] == sealed.keys[0].fingerprint
    with pytest.raises(Invalid, match="BACKUP_KEY has"):
        put_back(replace(plan, keys=read([OTHER])), over_data=True)
    file_of(plan, ".json").unlink()  # on a new machine only the file may be there
    assert put_back(replace(plan, keys=read([OTHER, KEY])), over_data=True, safety=False).compared


@pytest.mark.parametrize("sealed", [True, False], ids=["encrypted", "plain"])
@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_a_damaged_file_is_refused_before_anything_is_touched(plan: Plan, sealed: bool, harm: str) -> None:
    fill(plan)
    plan = replace(plan, keys=read([KEY]) if sealed else ())
    backup_id = made(plan)
    file = file_of(plan, ".dump.sealed" if sealed else ".dump")
    content = bytearray(file.read_bytes())
    if harm == "cut":
        del content[-100:]
    else:
        content[len(content) // 2] ^= 1
    file.write_bytes(content)
    if sealed:
        file_of(plan, ".json").unlink()  # the hash there would show it as well

    with pytest.raises(Invalid, match="nothing was restored"):
        put_back(plan, over_data=True, safety=False)
    assert run(plan.database_url, "SELECT count(*) FROM users")[0][0] >= 20
    assert proving.prove_row(plan) is False
    assert row(backup_id)["status"] == "done"
    assert "nothing was restored" in row(backup_id)["verify_error"]


def test_rows_that_are_missing_are_found_by_the_proof(plan: Plan) -> None:
    fill(plan)
    made(plan)
    manifest = json.loads(file_of(plan, ".json").read_text())
    manifest["tables"]["users"]["rows"] += 1
    file_of(plan, ".json").write_text(json.dumps(manifest))

    with pytest.raises(Invalid, match="users has"):
        proving.prove(plan, fetching.named("latest", plan.place))


def test_a_full_disk_leaves_nothing_that_looks_finished(plan: Plan) -> None:
    with (
        pytest.raises(Unavailable, match="No space left"),
        plan.place.writing("a.dump") as file,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        file.write(b"half")
        full.write(b"x")  # what the kernel says of a full disk

    assert plan.place.local
    assert list(plan.place.local.iterdir()) == []


def test_no_room_is_said_before_anything_is_written(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ops.backups.places.ROOM", 1 << 60)

    with pytest.raises(Unavailable, match="MB are free"):
        made(plan)

    with db.quick():
        (failed,) = queries.listing()
    assert failed["status"] == "failed"
    assert plan.place.names() == {}


def test_what_its_process_left_in_the_middle_is_given_up_and_removed(plan: Plan) -> None:
    backup_id = making.begin(plan, "manual", by="")
    assert backup_id
    assert plan.place.local
    plan.place.local.mkdir()
    part = plan.place.local / f".part-callboard-20260101T000000Z-{backup_id[-8:]}.dump"
    part.write_bytes(b"half")
    run(plan.database_url, "UPDATE backups SET beat_at = now() - interval '1 hour'")

    assert upkeep.bury(plan) == [backup_id]

    assert not part.exists()
    assert row(backup_id)["status"] == "failed"


def test_the_daily_one_is_made_once_by_however_many(plan: Plan) -> None:
    assert upkeep.is_due(plan)
    slot = plan.slot(datetime.now(UTC))

    first, second = (making.begin(plan, "daily", by="", slot=slot) for _ in range(2))

    assert first
    assert second is None
    assert not upkeep.is_due(plan)
    with db.transaction():
        records.fail(first, "no reason")
    assert not upkeep.is_due(plan)
    run(plan.database_url, "UPDATE backups SET finished_at = now() - interval '20 minutes'")
    assert upkeep.is_due(plan)


def test_a_tick_makes_what_was_asked_for_and_the_next_what_is_due(plan: Plan) -> None:
    with db.transaction():
        records.begin("manual", by="somebody", version="1", stage=records.WAITING)

    for _ in range(3):
        upkeep.tick(replace(plan, verify=False))

    with db.quick():
        rows = queries.listing()
    assert [(each["kind"], each["status"]) for each in rows] == [("daily", "done"), ("manual", "done")]


def test_pruning_removes_files_and_never_the_last_good_one(plan: Plan) -> None:
    old, new = made(plan), made(plan)
    run(
        plan.database_url,
        f"UPDATE backups SET started_at = now() - interval '300 days' WHERE backup_id = '{old}'",
    )
    run(
        plan.database_url,
        f"UPDATE backups SET started_at = now() - interval '200 days' WHERE backup_id = '{new}'",
    )
    short = replace(plan, keep=replace(plan.keep, daily=1, weekly=1, monthly=1))

    assert upkeep.prune(short) == [old]

    assert row(old)["status"] == "pruned"
    assert row(new)["status"] == "done"
    assert all(new[-8:] in name for name in plan.place.names())
    assert plan.place.names()


def test_artifacts_come_back_beside_the_database(plan: Plan) -> None:
    folder = Path(plan.artifact_store.removeprefix("file://"))
    (folder / "ab").mkdir(parents=True)
    (folder / "ab" / "one").write_bytes(b"first")
    made(plan)
    (folder / "ab" / "one").unlink()

    done = put_back(plan, over_data=True, safety=False)

    assert done.artifacts == 1
    assert (folder / "ab" / "one").read_bytes() == b"first"


def test_nothing_is_sent_twice_after_a_restore(plan: Plan) -> None:
    run(
        plan.database_url,
        """INSERT INTO deliveries (delivery_id, event, channel, target, lane, payload)
           VALUES (gen_random_uuid(), 'test', 'email', 'a@example.org', 'mail', '{}')""",
    )
    run(plan.database_url, "SELECT setval(pg_get_serial_sequence('audit_log', 'id'), 77)")

    with db.transaction():
        aftermath.settle(file="x", about=None, by="cli", place=plan.place, paused=True)

    assert run(plan.database_url, "SELECT DISTINCT status FROM deliveries") == [("skipped",)]
    assert (
        run(plan.database_url, "SELECT min(id) FROM audit_log WHERE action = 'backup.restored'")[0][0]
        > 1_000_000
    )
    assert run(plan.database_url, "SELECT bool_and(paused) FROM queues") == [(True,)]


def test_a_database_of_others_is_not_backed_up(plan: Plan) -> None:
    restoring.empty(plan.database_url)
    with pytest.raises(CallboardError, match="no Callboard"), dumping.Pulse() as pulse:
        dumping.write(plan, "x" * 8, "manual", pulse)
    assert run(
        plan.database_url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ) == [(0,)]
