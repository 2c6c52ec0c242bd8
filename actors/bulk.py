"""The executor of bulk actions: each half second a process takes what is open and works on it, batch by batch.

Every batch is a transaction with the progress in it: whoever dies in the middle has done nothing, and the next one goes
on where the last batch ended. A lock on each action keeps two processes apart, so any number of these may run.
"""

from __future__ import annotations

import time

from app.agents import registry
from app.db import AWAY, Row, db
from app.jobs import bulk
from app.notify import outbox
from app.observe import logs

log = logs.get("bulk")

# A tick ends after so long, so that a process can stop; the next one goes on.
TICK_SECONDS = 2.0
# Whoever asked for something that took longer has gone on to something else, and is told.
WORTH_TELLING_SECONDS = 10.0


def tick() -> None:
    """One look of the scheduler."""
    attend()


def attend(seconds: float = TICK_SECONDS) -> int:
    """Work on what is open, a batch of each in turn, for about `seconds`; answers how many batches that were."""
    until, batches = time.monotonic() + seconds, 0
    while True:
        with db.quick():
            waiting = bulk.waiting()
        if waiting and not batches:
            registry.forget()  # an agent that was changed a moment ago is not to be missed
        moved = 0
        for bulk_id in waiting:
            moved += work(bulk_id)
            if time.monotonic() > until:
                return batches + moved
        batches += moved
        if not moved:
            return batches


def work(bulk_id: str) -> bool:
    """One batch of one action; False if there was nothing to do, or somebody else is at it."""
    try:
        with db.transaction():
            # Whoever is frozen in the middle must not hold the jobs of its batch until it wakes.
            db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
            db.run("SET LOCAL statement_timeout = '60s'")
            row = bulk.step(bulk_id)
            if row is not None and row["finished_at"]:
                _tell(row)
    except AWAY as away:  # or a deadlock: the same batch again at the next tick, and the others meanwhile
        log.warning("bulk.waits", bulk_id=bulk_id, error=type(away).__name__)
        return False
    except Exception as broken:
        log.exception("bulk.broken", bulk_id=bulk_id)
        _give_up(bulk_id, f"Callboard failed: {type(broken).__name__}")
        return False
    if row is not None and row["finished_at"]:
        about = {name: row[name] for name in ("status", "verb", "matched", "done", "refused")}
        log.info("bulk.finished", bulk_id=bulk_id, **about)
    return row is not None


def _give_up(bulk_id: str, words: str) -> None:
    with db.transaction():
        if row := bulk.fail(bulk_id, words):
            _tell(row)


def _tell(row: Row) -> None:
    """Tell whoever asked for it, if it took long or did not go as it was asked for."""
    took = (row["finished_at"] - row["created_at"]).total_seconds()
    went_well = row["status"] == "completed" and not row["refused"]
    if row["status"] == "aborted" or (went_well and took <= WORTH_TELLING_SECONDS):
        return
    outbox.tell(
        "bulk.finished",
        severity="success" if went_well else "error" if row["status"] == "failed" else "warning",
        title=_title(row),
        body=row["error"] or row["words"],
        link=f"/bulk-actions/{row['bulk_id']}",
        audience=row["requested_by"],
        subject=("bulk_action", row["bulk_id"]),
        data={name: row[name] for name in ("bulk_id", "subject", "verb", "matched", "done", "refused")},
    )


_DID = {
    "cancel": "cancelled",
    "retry": "run again",
    "priority": "given another priority",
    "resubmit": "sent in again",
}


def _title(row: Row) -> str:
    what = "jobs" if row["subject"] == "jobs" else "dead letters"
    if row["status"] == "failed":
        return f"A bulk action stopped after {row['done']:,} of {row['matched']:,} {what}"
    refused = f", {row['refused']:,} refused" if row["refused"] else ""
    return f"{row['done']:,} of {row['matched']:,} {what} {_DID[row['verb']]}{refused}"
