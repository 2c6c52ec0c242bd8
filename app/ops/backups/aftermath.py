"""Setting a world right that came back from a backup: what happened after it is forgotten here, and not elsewhere.

Everything here runs in one transaction, before any process of the product starts. Running jobs need nothing: their
leases are over, and the sweep gives them back as it does after a power cut.
"""

from __future__ import annotations

from typing import Any

from app.audit import entries
from app.db import db
from app.ops.backups import records
from app.ops.backups.dumping import manifest_of
from app.ops.backups.places import Place

JUMP = 1_000_000
"""Numbers and versions go on so much higher: nobody's cursor or ETag from the lost time hides what is new."""
NOT_AGAIN = "restored from a backup: it may have been sent already; send it again by hand if not"


def settle(*, file: str, about: dict[str, Any] | None, by: str, place: Place, paused: bool) -> list[str]:
    """Do all of it; answers what was done, a sentence each."""
    said = [_deliveries(), _sign_out(), _numbers(), _versions()]
    if paused:
        db.run("UPDATE queues SET paused = true")
        said.append("all queues are paused: look around, then resume them")
    said += _backups(about, place)
    entries.record(
        "backup.restored",
        actor=by,
        subject=(about or {}).get("backup_id"),
        details={"file": file, "made_at": (about or {}).get("made_at"), "paused": paused},
    )
    return said


def _deliveries() -> str:
    """News that was on its way then may have arrived since."""
    count = db.run(
        """UPDATE deliveries SET status = 'skipped', reason = %(why)s, finished_at = now(), next_at = NULL,
               lease_id = NULL, lease_until = NULL WHERE status = 'pending'""",
        why=NOT_AGAIN,
    )
    return f"{count:,} messages that waited to be sent are not sent again"


def _sign_out() -> str:
    """Who was signed out since then must not be signed in again; links by mail that were used must not work twice."""
    db.run("UPDATE logins SET ended_at = now() WHERE ended_at IS NULL")
    db.run("UPDATE refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL")
    db.run("DELETE FROM account_links")
    # Higher than it can have been raised since: a token of the lost time is none of this one.
    count = db.run("UPDATE users SET token_version = token_version + 1000")
    return f"{count:,} accounts have to sign in again; look through their API keys: one that was revoked since is back"


def _numbers() -> str:
    rows = db.rows(
        """SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) AS name, coalesce(last_value, 0) AS last FROM pg_sequences
           WHERE schemaname = 'public' AND max_value > 4000000000"""
    )
    for row in rows:
        db.value("SELECT setval(%(name)s::regclass, %(next)s)", name=row["name"], next=row["last"] + JUMP)
    return f"{len(rows)} counters go on {JUMP:,} higher, so that cursors of the lost time hide nothing"


def _versions() -> str:
    """A client may hold a newer version of a job than the one it has now."""
    count = db.run(
        "UPDATE jobs SET version = version + %(jump)s WHERE status NOT IN ('completed','failed','cancelled')",
        jump=JUMP,
    )
    return f"{count:,} jobs had not ended; those that ran are given back within a minute or two"


def _backups(about: dict[str, Any] | None, place: Place) -> list[str]:
    """The restored one was still being made in its own dump; later ones are not in it at all."""
    if about and "dump" in about:
        records.adopt(place, about)
    names = [name.removesuffix(".json") for name in place.names() if name.endswith(".json")]
    manifests = filter(None, (manifest_of(place, name) for name in names))
    count = sum(records.adopt(place, manifest) for manifest in manifests)
    db.run(
        """UPDATE backups SET status = 'failed', finished_at = now(), error = 'it was being made when this world was saved'
           WHERE status = 'running'"""
    )
    return [f"{count} backups were found in {place.shown}"] if count else []
