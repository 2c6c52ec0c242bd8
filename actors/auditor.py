"""What the scheduler does for the audit log: seal what is new, look daily whether it is untouched, export whole days."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

from app import clock
from app.audit import chain, export, queries, verify
from app.db import db
from app.errors import CallboardError
from app.observe import logs
from app.settings import Settings

log = logs.get("auditor")

AUDIT_LOCK = 0x0CA11B13
SEAL_SECONDS = 3.0
LOOK_SECONDS = 600.0
MOST_BATCHES = 20
VERIFY_EVERY = timedelta(hours=24)


def seal(_settings: Settings) -> None:
    """Every few seconds: a link for each new entry, in transactions of a moment each; one process at a time."""
    for _ in range(MOST_BATCHES):
        if _sealed() < chain.BATCH:
            return


def _sealed() -> int:
    with db.transaction():
        db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        if not db.value("SELECT pg_try_advisory_xact_lock(%(key)s)", key=AUDIT_LOCK):
            return 0
        return chain.seal()


def look(settings: Settings) -> None:
    """Every ten minutes: verify the chain if nobody did for a day, and export the days that are missing."""
    verify_daily()
    if settings.audit_export_url:
        export_missing(settings.audit_export_url)


def verify_daily() -> verify.Verdict | None:
    """Compute the whole chain anew once a day and note what was found; None if it is not time yet."""
    with db.quick():
        last = queries.last(verify.VERIFIED)
    if last and clock.now() - last["at"] < VERIFY_EVERY:
        return None
    with db.transaction():
        verify.hold_still()
        found = verify.verify()
    with db.transaction():
        verify.note(found)
    for wrong in found.breaks:
        log.error("audit.tampered", kind=wrong.kind, position=wrong.position, entry=wrong.audit_id)
    return found


def export_missing(url: str) -> list[date]:
    """Write those of the last days that are not in the folder at `url`; answers which."""
    written = []
    try:
        for day in export.missing(url):
            export_day(day, url)
            written.append(day)
    except CallboardError as away:  # its sentence has no credentials; the next look tries again
        log.warning("audit.not_exported", to=export.shown(url), why=away.message)
    return written


def export_day(day: date, url: str) -> None:
    """Collect a day, put it into its place, and note that."""
    with tempfile.TemporaryDirectory(prefix="callboard-audit-") as folder:
        with db.transaction():
            verify.hold_still()
            collected = export.collect(day, Path(folder))
        place = export.put(collected, url)
        with db.transaction():
            export.note(collected, place)
    log.info("audit.exported", day=day.isoformat(), to=place)
