"""Which keys this database has seen: by fingerprint, each with a sealed word that only its key opens.

So a start with the wrong keys is noticed at once, and not by the first job that fails.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from app.db import AWAY, Row, db
from app.errors import PermanentError
from app.observe import logs
from app.secrets import sealing
from app.secrets.keys import Key

WORD, OWNER = "This key opens it.", "secret_keys"
OLD_DAYS = 90
"""A key that seals for longer should be changed (SEC-12)."""
log = logs.get("secrets")


def note(keys: Sequence[Key]) -> list[str]:
    """Remember the key that seals from now on; answers a sentence for each older one in use that is missing."""
    newest = keys[0]
    db.run(
        """INSERT INTO secret_keys (kind, fingerprint, canary)
           VALUES ('encryption', %(fingerprint)s, %(canary)s)
           ON CONFLICT (kind, fingerprint) DO UPDATE SET retired_at = NULL""",
        fingerprint=newest.fingerprint,
        canary=sealing.seal_one(WORD, OWNER, newest.fingerprint, by=newest),
    )
    return [
        f"The key {row['fingerprint'][:8]} is not among ENCRYPTION_KEYS and not made from SECRET_KEY; what it sealed "
        "cannot be read: put it back behind the new one, then run `callboard secrets rotate`."
        for row in missing(keys)
    ]


def tell() -> threading.Thread:
    """Look in the background for keys that are missing in this process, and log `secrets.key_missing` for each."""
    thread = threading.Thread(target=_look, name="keys", daemon=True)
    thread.start()
    return thread


def _look() -> None:
    try:
        with db.quick():
            gone = missing(sealing.in_use())
    except AWAY:  # /api/health says it as soon as Postgres is back
        return
    for row in gone:
        log.warning(
            "secrets.key_missing",
            key=row["fingerprint"][:8],
            fix="put it back behind the newest of ENCRYPTION_KEYS, or into SECRET_KEY_PREVIOUS: docs/secrets.md",
        )


def missing(keys: Iterable[Key]) -> list[Row]:
    """The keys that were in use here, were not retired, and are not among `keys`, or do not open their word."""
    have = {key.fingerprint for key in keys}
    return [row for row in listing() if not row["retired_at"] and not _opens(row, have)]


def listing() -> list[Row]:
    """All keys that were ever in use, the newest first: {fingerprint, canary, first_seen_at, retired_at, days}."""
    return db.rows(
        """SELECT fingerprint, canary, first_seen_at, retired_at,
                  extract(epoch FROM now() - first_seen_at)::float8 / 86400 AS days
           FROM secret_keys WHERE kind = 'encryption' ORDER BY first_seen_at DESC, fingerprint"""
    )


def retire(fingerprints: Iterable[str]) -> int:
    """Count keys as done with: nothing is sealed with them any more."""
    return db.run(
        """UPDATE secret_keys SET retired_at = now()
           WHERE kind = 'encryption' AND fingerprint = ANY(%(done)s) AND retired_at IS NULL""",
        done=list(fingerprints),
    )


def _opens(row: Row, have: set[str]) -> bool:
    if row["fingerprint"] not in have:
        return False
    try:
        return bool(sealing.open_one(row["canary"], OWNER, row["fingerprint"]) == WORD)
    except PermanentError:
        return False
