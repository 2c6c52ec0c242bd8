"""A day as a file: everything of it, nothing of others, whole or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import fsspec
import psycopg2
import pytest

from actors import auditor
from app import audit, clock
from app.audit import chain, export, verify
from app.db import db
from app.errors import Conflict, Invalid, Unavailable
from app.settings import Settings
from tests.acting import agent, submitted
from tests.app.audit.tampering import behind_its_back
from tests.services import libpq

pytestmark = pytest.mark.usefixtures("quick", "long_past_midnight")

SECRET = "sk-very-secret"


def _yesterday() -> date:
    return clock.now().date() - timedelta(days=1)


@pytest.fixture
def long_past_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yesterday is complete at once, also for those who test in the first minutes of a day."""
    monkeypatch.setattr(export, "SETTLE", timedelta(0))


@pytest.fixture
def day() -> date:
    """Yesterday, with an entry, a submission, and counted minutes."""
    with db.transaction():
        agent("test-secretive")
        audit.record(
            "user.created", actor="ada", subject="eve", ip="10.0.0.1", user_agent="curl", correlation_id="c-1"
        )
        submitted(
            "test-secretive",
            parameters={"token": SECRET, "path": "/x"},
            priority="high",
            correlation_id="c-2",
        )
        behind_its_back("UPDATE audit_log SET at = at - interval '1 day'")
        db.run("UPDATE job_history SET at = at - interval '1 day'")
        db.run(
            """INSERT INTO api_access (minute, actor, method, endpoint, status, ip, count)
               SELECT date_trunc('minute', now()) - n * interval '1 day', 'ada', 'GET', '/api/v1/jobs', 200, '10.0.0.1', 7
               FROM unnest(ARRAY[0, 1, 2]) AS n"""
        )
        audit.record("user.changed", actor="ada", subject="eve")  # today
    auditor.seal(Settings())
    return _yesterday()


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(content).splitlines()]


def test_a_day_has_everything_of_it_and_a_manifest(day: date, tmp_path: Path) -> None:
    assert export.missing(f"file://{tmp_path}/audit")[-1] == day

    auditor.export_day(day, f"file://{tmp_path}/audit")

    (file,) = (tmp_path / "audit").iterdir()
    assert file.name == f"audit-{day.isoformat()}.jsonl.gz"
    assert SECRET.encode() not in gzip.decompress(file.read_bytes())
    *lines, manifest = _lines(file.read_bytes())
    assert [line["kind"] for line in lines] == ["entry", "entry", "status", "access"]
    created, accepted, status, minute = lines
    told = {
        name: created[name]
        for name in ("event_type", "user_id", "ip_address", "user_agent", "correlation_id")
    }
    assert told == {
        "event_type": "user.created", "user_id": "ada", "ip_address": "10.0.0.1", "user_agent": "curl",
        "correlation_id": "c-1",
    }  # fmt: skip
    assert (created["position"], len(created["digest"])) == (1, 64)
    assert (accepted["event_type"], accepted["agent_id"], accepted["priority"]) == (
        "job.submitted",
        "test-secretive",
        "high",
    )
    assert accepted["details"]["parameters"] == ["path", "token"]
    assert accepted["task_id"] == status["task_id"] == accepted["subject"]
    assert (status["event_type"], status["details"]["to"], status["correlation_id"]) == (
        "job.status.queued",
        "queued",
        "c-2",
    )
    assert (minute["details"]["count"], minute["details"]["endpoint"]) == (7, "/api/v1/jobs")
    assert (manifest["entries"], manifest["status_changes"], manifest["access_minutes"]) == (2, 1, 1)
    with db.quick():
        assert verify.verify(anchors=[verify.read_anchor(manifest["head"])]).ok


def test_missed_days_are_made_up_for_once(day: date, tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    written = auditor.export_missing(url)

    assert len(written) == export.LOOK_BACK_DAYS
    assert written[-1] in (
        day,
        day - timedelta(days=1),
    )  # in the first minutes of a day the one before is not settled
    assert auditor.export_missing(url) == []
    with db.quick():
        noted = db.rows("SELECT subject FROM audit_log WHERE action = 'audit.exported' ORDER BY id")
    assert [row["subject"] for row in noted] == [each.isoformat() for each in written]


def test_a_day_that_is_there_is_left_alone(day: date, tmp_path: Path) -> None:
    (tmp_path / export.name_of(day)).write_text("mine")

    with pytest.raises(Conflict):
        export.demand_room(day, f"file://{tmp_path}")
    assert day not in export.missing(f"file://{tmp_path}")


def test_a_day_that_is_not_over_is_no_day(tmp_path: Path) -> None:
    with pytest.raises(Invalid), db.transaction():
        export.collect(clock.now().date(), tmp_path)


def test_a_half_written_file_is_never_seen(
    day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_source: Path, target: str) -> None:
        Path(target).write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr("app.audit.export.shutil.copyfile", half)

    with pytest.raises(Unavailable, match="no space left"):
        auditor.export_day(day, f"file://{tmp_path}/there")
    assert list((tmp_path / "there").iterdir()) == []
    assert auditor.export_missing(f"file://{tmp_path}/there") == []  # said in the log, and tried again


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's store in memory: objects, as S3 has them, and no files beside them."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/bucket", recursive=True)


def test_an_object_store_gets_one_object(day: date, memory: Any) -> None:
    auditor.export_day(day, "memory://bucket/audit")

    (name,) = memory.ls("/bucket/audit", detail=False)
    assert name == f"/bucket/audit/{export.name_of(day)}"
    assert _lines(memory.cat(name))[-1]["kind"] == "manifest"


def test_an_address_that_cannot_be_used_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="nothing://host/x") as refused:
        export.missing("nothing://ada:hunter2@host/x")
    assert "hunter2" not in refused.value.message
    assert export.shown("s3://key:hunter2@bucket/a?token=x") == "s3://bucket/a"


# -- what the scheduler does besides


def test_the_scheduler_seals_and_looks_once_a_day() -> None:
    with db.transaction():
        for n in range(3):
            audit.record("x.y", actor="ada", subject=str(n))
    auditor.seal(Settings())

    found = auditor.verify_daily()

    assert found is not None
    assert (found.ok, found.checked) == (True, 3)
    assert auditor.verify_daily() is None
    with db.quick():
        noted = verify.last_noted()
        assert noted is not None
        assert (noted["ok"], noted["checked"], noted["position"]) == (True, 3, 3)


def test_what_the_daily_look_finds_stays_in_the_log() -> None:
    with db.transaction():
        audit.record("x.y", actor="ada")
    auditor.seal(Settings())
    with db.transaction():
        behind_its_back("UPDATE audit_log SET actor = 'eve'")

    auditor.verify_daily()

    with db.quick():
        row = db.row("SELECT details FROM audit_log WHERE action = 'audit.verified'")
    assert row is not None
    assert row["details"]["ok"] is False
    assert row["details"]["breaks"][0].startswith("changed: Entry ")


def test_one_process_seals_at_a_time(database_url: str) -> None:
    with db.transaction():
        audit.record("x.y", actor="ada")
    other = psycopg2.connect(libpq(database_url))
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (auditor.AUDIT_LOCK,))
    auditor.seal(Settings())
    with db.quick():
        assert chain.head() == chain.EMPTY
    other.rollback()  # the lock is free when this returns; after a mere close, some moments later
    other.close()

    auditor.seal(Settings())

    with db.quick():
        assert chain.head().position == 1
