"""Since when the keys of the environment are in use, so that somebody can be told when to change them (SEC-12).

Of a key only a fingerprint is kept. app/secrets/known.py does the same for those that seal values.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from app.db import Row, db

Kind = Literal["signing", "tokens"]

OLD_DAYS = 90


def fingerprint(kind: Kind, key: str) -> str:
    """Tells keys of a kind apart and says nothing of them."""
    return hashlib.sha256(f"callboard {kind} key\0{key}".encode()).hexdigest()[:16]


def note(kind: Kind, key: str) -> None:
    """Remember that `key` is the one that signs now; the others of its kind are retired."""
    now = fingerprint(kind, key)
    db.run(
        """INSERT INTO secret_keys (kind, fingerprint) VALUES (%(kind)s, %(now)s)
           ON CONFLICT (kind, fingerprint) DO UPDATE SET retired_at = NULL WHERE secret_keys.retired_at IS NOT NULL""",
        kind=kind,
        now=now,
    )
    db.run(
        """UPDATE secret_keys SET retired_at = now()
            WHERE kind = %(kind)s AND fingerprint <> %(now)s AND retired_at IS NULL""",
        kind=kind,
        now=now,
    )


def in_use() -> list[Row]:
    """The keys that sign now: {kind, fingerprint, first_seen_at, days}; those older than OLD_DAYS should be changed."""
    return db.rows(
        """SELECT kind, fingerprint, first_seen_at, extract(epoch FROM now() - first_seen_at)::float8 / 86400 AS days
             FROM secret_keys WHERE kind IN ('signing', 'tokens') AND retired_at IS NULL ORDER BY kind"""
    )
