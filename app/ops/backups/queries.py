"""What can be read of backups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import Row, db
from app.errors import NotFound
from app.ops.backups import records
from app.ops.backups.kept import Copy, Keep, kept

MOST = 200
COLUMNS = """backup_id::text, kind, status, stage, done_bytes, requested_by, slot_at, started_at, finished_at,
    extract(epoch FROM coalesce(finished_at, now()) - started_at)::float AS seconds, location, bytes, sha256,
    encrypted_with, artifacts, artifact_bytes, revision, version, verified_at, verify_seconds, verify_error, pruned_at,
    error, (SELECT sum((each.value->>'rows')::bigint)::bigint FROM jsonb_each(tables) AS each) AS rows"""


def listing(*, limit: int = 50, status: str | None = None) -> list[Row]:
    """The newest first."""
    return db.rows(
        f"""SELECT {COLUMNS} FROM backups WHERE %(status)s::text IS NULL OR status = %(status)s
            ORDER BY started_at DESC, backup_id DESC LIMIT %(limit)s""",
        limit=min(limit, MOST),
        status=status,
    )


def get(backup_id: str) -> Row:
    """One of them; raises NotFound."""
    found = db.row(
        f"SELECT {COLUMNS}, tables FROM backups WHERE backup_id::text = %(id)s", id=backup_id.lower()
    )
    if found is None:
        raise NotFound(f"there is no backup {backup_id}")
    return found


def standing() -> Row:
    """What a glance should tell: `last`, `last_verified` and `running` rows (None without), how many and how large."""
    newest = "ORDER BY started_at DESC LIMIT 1"
    sums = db.row(
        f"""SELECT count(*) AS count, coalesce(sum(bytes + coalesce(artifact_bytes, 0)), 0)::bigint AS bytes
            FROM backups WHERE status IN {records.GOOD}"""
    )
    assert sums is not None
    return {
        **sums,
        "last": db.row(f"SELECT {COLUMNS} FROM backups WHERE status IN {records.GOOD} {newest}"),
        "last_verified": db.row(f"SELECT {COLUMNS} FROM backups WHERE status = 'verified' {newest}"),
        "last_failed": db.row(f"SELECT {COLUMNS} FROM backups WHERE status = 'failed' {newest}"),
        "running": db.row(f"SELECT {COLUMNS} FROM backups WHERE status = 'running' {newest}"),
    }


def stay(keep: Keep, now: datetime) -> dict[str, Any]:
    """Which good ones are kept, by id, and why; the others may go."""
    rows = db.rows(
        f"SELECT backup_id::text, started_at, kind, status, location FROM backups WHERE status IN {records.GOOD}"
    )
    copies = [
        Copy(
            backup_id=row["backup_id"],
            at=row["started_at"],
            kind=row["kind"],
            verified=row["status"] == "verified",
        )
        for row in rows
    ]
    return {"why": kept(copies, keep, now), "rows": {row["backup_id"]: row for row in rows}}
