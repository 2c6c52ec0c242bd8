"""One backup with its row: begun, made, written down however it ends."""

from __future__ import annotations

from datetime import datetime

from app.db import db
from app.errors import CallboardError
from app.observe import logs
from app.ops.backups import dumping, records
from app.ops.backups.dumping import Pulse, Tell, Written
from app.ops.backups.plan import Plan

log = logs.get("backups")


def begin(plan: Plan, kind: str, *, by: str, slot: datetime | None = None) -> str | None:
    """A row for a backup that is made right now by this process; None if somebody else makes that one."""
    with db.transaction():
        return records.begin(kind, by=by, version=plan.release, slot=slot)


def make(
    plan: Plan,
    backup_id: str,
    kind: str,
    *,
    actor: str = "",
    with_artifacts: bool | None = None,
    also_tell: Tell | None = None,
) -> Written:
    """Make the files of a backup that was begun; raises Unavailable if it cannot be made, which its row says then."""

    def tell(stage: str, done: int) -> bool:
        if also_tell:
            also_tell(stage, done)
        try:
            with db.transaction():
                return records.beat(backup_id, stage, done)
        except Exception as away:  # noqa: BLE001 - a beat that is missed is no reason to end
            log.warning("backup.beat_missed", backup_id=backup_id, error=type(away).__name__)
            return True

    log.info("backup.begun", backup_id=backup_id, kind=kind, to=plan.place.shown)
    try:
        with Pulse(tell) as pulse:
            written = dumping.write(plan, backup_id, kind, pulse, with_artifacts=with_artifacts)
        _finish(plan, backup_id, written, actor=actor)
    except Exception as error:
        why = error.message if isinstance(error, CallboardError) else f"{type(error).__name__}: {error}"
        log.warning("backup.failed", backup_id=backup_id, why=why)
        with db.transaction():
            records.fail(backup_id, why, actor=actor)
        raise
    log.info("backup.made", backup_id=backup_id, bytes=written.manifest["dump"]["bytes"])
    return written


def _finish(plan: Plan, backup_id: str, written: Written, *, actor: str) -> None:
    with db.transaction():
        records.finish(backup_id, plan.place, written.manifest, actor=actor)
