"""The rows of backups: begun, alive, done, failed, proved, removed. None of these commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg2
import uuid_utils.compat

from app.audit import entries
from app.db import Row, as_json, db
from app.errors import Conflict
from app.ops.backups.places import Place

WAITING = "waiting"
SILENT_SECONDS = 120
GOOD = "('done','verified')"
MOST_TRIES = 3


def exists() -> bool:
    """Whether the schema is new enough to know of backups."""
    return bool(db.value("SELECT to_regclass('public.backups') IS NOT NULL"))


def begin(
    kind: str, *, by: str, version: str, slot: datetime | None = None, stage: str = "starting"
) -> str | None:
    """A new row; None if the slot has one already, from whichever process."""
    backup_id = str(uuid_utils.compat.uuid7())
    done = db.run(
        """INSERT INTO backups (backup_id, kind, slot_at, requested_by, stage, version)
           VALUES (%(id)s, %(kind)s, %(slot)s, %(by)s, %(stage)s, %(version)s)
           ON CONFLICT (slot_at) WHERE slot_at IS NOT NULL AND status <> 'failed' DO NOTHING""",
        id=backup_id,
        kind=kind,
        slot=slot,
        by=by,
        stage=stage,
        version=version,
    )
    return backup_id if done else None


def ask(*, by: str, version: str) -> str:
    """Write down that somebody wants a backup now, for the scheduler; raises Conflict while one is being made."""
    running = db.value(
        "SELECT backup_id::text FROM backups WHERE status = 'running' ORDER BY started_at DESC LIMIT 1"
    )
    if running is not None:
        raise Conflict(f"The backup {running} is being made already.")
    backup_id = begin("manual", by=by, version=version, stage=WAITING)
    assert backup_id is not None
    entries.record("backup.requested", actor=by, subject=backup_id)
    return backup_id


def take_waiting() -> str | None:
    """One that somebody asked for and nobody makes yet; it is ours then."""
    return db.value(  # type: ignore[no-any-return]
        """UPDATE backups SET stage = 'starting', beat_at = clock_timestamp() WHERE backup_id = (
               SELECT backup_id FROM backups WHERE status = 'running' AND stage = %(waiting)s
               ORDER BY backup_id LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING backup_id::text""",
        waiting=WAITING,
    )


def beat(backup_id: str, stage: str, done: int) -> bool:
    """Say that it goes on; False if it was given up."""
    return bool(
        db.run(
            """UPDATE backups SET beat_at = clock_timestamp(), stage = %(stage)s, done_bytes = %(done)s
               WHERE backup_id = %(id)s AND status = 'running'""",
            id=backup_id,
            stage=stage,
            done=done,
        )
    )


def finish(backup_id: str, place: Place, manifest: dict[str, Any], *, actor: str) -> bool:
    """All its files are there; False if it was given up meanwhile."""
    done = db.run(
        """UPDATE backups SET status = 'done', finished_at = clock_timestamp(), beat_at = clock_timestamp(), stage = '',
               done_bytes = %(bytes)s, location = %(location)s, bytes = %(bytes)s, sha256 = %(sha256)s,
               encrypted_with = %(encrypted_with)s, artifacts = %(artifacts)s, artifact_bytes = %(artifact_bytes)s,
               revision = %(revision)s, tables = %(tables)s
           WHERE backup_id = %(id)s AND status = 'running'""",
        id=backup_id,
        **_columns(place, manifest),
    )
    if done:
        entries.record(
            "backup.made", actor=actor, subject=backup_id, details={"bytes": manifest["dump"]["bytes"]}
        )
    return bool(done)


def _columns(place: Place, manifest: dict[str, Any]) -> dict[str, Any]:
    dump, artifacts = manifest["dump"], manifest["artifacts"] or {}
    return {
        "location": f"{place.shown.rstrip('/')}/{dump['name']}",
        "bytes": dump["bytes"],
        "sha256": dump["sha256"],
        "encrypted_with": manifest["encrypted_with"],
        "artifacts": artifacts.get("files"),
        "artifact_bytes": artifacts.get("bytes"),
        "revision": manifest["revision"],
        "tables": as_json(manifest["tables"]),
    }


def adopt(place: Place, manifest: dict[str, Any]) -> bool:
    """Make a backup known whose files are there and whose row is not, or says that it is still being made."""
    try:
        return bool(
            db.run(
                """INSERT INTO backups (backup_id, kind, status, slot_at, requested_by, started_at, finished_at, location,
                       bytes, sha256, encrypted_with, artifacts, artifact_bytes, revision, version, tables)
                   VALUES (%(id)s, %(kind)s, 'done', CASE WHEN %(kind)s = 'daily' THEN %(at)s::timestamptz END, 'found', %(at)s, %(at)s, %(location)s, %(bytes)s, %(sha256)s,
                       %(encrypted_with)s, %(artifacts)s, %(artifact_bytes)s, %(revision)s, %(version)s, %(tables)s)
                   ON CONFLICT (backup_id) DO UPDATE SET status = 'done', finished_at = EXCLUDED.finished_at, stage = '',
                       location = EXCLUDED.location, bytes = EXCLUDED.bytes, sha256 = EXCLUDED.sha256, error = NULL,
                       encrypted_with = EXCLUDED.encrypted_with, artifacts = EXCLUDED.artifacts,
                       artifact_bytes = EXCLUDED.artifact_bytes, revision = EXCLUDED.revision, tables = EXCLUDED.tables
                   WHERE backups.status IN ('running','failed')""",
                id=manifest["backup_id"],
                kind=manifest["kind"],
                at=manifest["made_at"],
                version=manifest["version"],
                **_columns(place, manifest),
            )
        )
    except psycopg2.IntegrityError:
        return False


def fail(backup_id: str, why: str, *, actor: str = "") -> None:
    """It did not work."""
    if db.run(
        """UPDATE backups SET status = 'failed', finished_at = clock_timestamp(), error = %(why)s
           WHERE backup_id = %(id)s AND status = 'running'""",
        id=backup_id,
        why=why[:2000],
    ):
        entries.record("backup.failed", actor=actor, subject=backup_id, details={"why": why[:300]})


def bury() -> list[str]:
    """Give up those of which nothing was heard for long: whoever made them is gone. Answers their ids."""
    rows = db.rows(
        """SELECT backup_id::text FROM backups WHERE status = 'running' AND stage <> %(waiting)s
             AND beat_at < clock_timestamp() - %(silent)s * interval '1 s' FOR UPDATE SKIP LOCKED""",
        waiting=WAITING,
        silent=SILENT_SECONDS,
    )
    for row in rows:
        fail(row["backup_id"], "the process that made it ended in the middle")
    return [row["backup_id"] for row in rows]


def take_unproved(backup_id: str | None = None) -> Row | None:
    """The oldest backup that nobody has proved or is proving, or a given one; it is ours for an hour."""
    chosen = (
        "backup_id = %(id)s"
        if backup_id
        else f"verify_tries < {MOST_TRIES} AND status = 'done' AND (verify_started_at IS NULL OR verify_started_at < now() - interval '1 hour')"
    )
    return db.row(
        f"""UPDATE backups SET verify_started_at = clock_timestamp(), verify_tries = verify_tries + 1
            WHERE backup_id = (SELECT backup_id FROM backups WHERE status IN {GOOD} AND {chosen}
                               ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING backup_id::text, location, tables, encrypted_with""",
        id=backup_id,
    )


def proved(backup_id: str, seconds: float, wrong: str | None, *, actor: str = "") -> None:
    """What came of the proof; one that went wrong takes an earlier good one back."""
    db.run(
        """UPDATE backups SET status = CASE WHEN %(wrong)s::text IS NULL THEN 'verified' ELSE 'done' END,
               verified_at = CASE WHEN %(wrong)s::text IS NULL THEN clock_timestamp() END,
               verify_seconds = %(seconds)s, verify_error = %(wrong)s
           WHERE backup_id = %(id)s AND status IN ('done','verified')""",
        id=backup_id,
        seconds=seconds,
        wrong=wrong[:2000] if wrong else None,
    )
    entries.record(
        "backup.verified" if wrong is None else "backup.not_verified",
        actor=actor,
        subject=backup_id,
        details={"seconds": round(seconds, 1), **({"why": wrong[:300]} if wrong else {})},
    )


def pruned(backup_id: str, *, actor: str = "") -> None:
    """Its files are gone."""
    db.run(
        f"""UPDATE backups SET status = 'pruned', pruned_at = clock_timestamp()
            WHERE backup_id = %(id)s AND status IN {GOOD}""",
        id=backup_id,
    )
    entries.record("backup.pruned", actor=actor, subject=backup_id)
