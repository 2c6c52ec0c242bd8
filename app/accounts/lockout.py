"""Lockout: after too many wrong passwords within a minute an account lets nobody try for a while.

The first time for a minute, then for two, four, eight and fifteen, if it goes on. It is counted in Postgres, so it
holds for every door and every process together, and while Redis is away. Names that nobody has are counted in the
same way, so that a lock does not tell whether there is such an account.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from app import audit, clock
from app.db import Row, db

WRONG_A_MINUTE = 5
LONGEST_MINUTES = 15


def hold(email: str) -> None:
    """Let only one look at this name's password at a time, until the transaction ends; so none slips by uncounted."""
    db.run(
        "SELECT pg_advisory_xact_lock(%(key)s)", key=int.from_bytes(_digest(email)[:8], "big", signed=True)
    )


def failed(user_id: str) -> datetime | None:
    """Count a wrong password for an account; answers until when that locks it, None if it does not."""
    row = db.row(
        f"UPDATE users AS c SET {_COUNTED} WHERE user_id = %(user_id)s RETURNING failed_count, locked_until",
        user_id=user_id,
    )
    until: datetime | None = row["locked_until"] if row else None
    if row and until:
        details = {"until": until.isoformat(), "wrong_passwords": row["failed_count"]}
        audit.record("auth.locked", actor="", subject=user_id, details=details)
    return until


def failed_name(email: str) -> datetime | None:
    """Count a password for a name that nobody has, as `failed` does for an account."""
    row = db.row(
        f"""INSERT INTO unknown_names AS c (name_sha256, failed_count, failed_since)
            VALUES (%(digest)s, 1, now())
            ON CONFLICT (name_sha256) DO UPDATE SET {_COUNTED} RETURNING locked_until""",
        digest=_digest(email),
    )
    return row["locked_until"] if row else None


def locked_name(email: str) -> datetime | None:
    """Until when a name that nobody has is locked; None if it is not."""
    row = db.row(
        "SELECT locked_until FROM unknown_names WHERE name_sha256 = %(digest)s", digest=_digest(email)
    )
    return locked_until(row) if row else None


def locked_until(row: Row) -> datetime | None:
    """Until when a user's row says that the account is locked; None if it is not (any more)."""
    until: datetime | None = row["locked_until"]
    return until if until and until > clock.now() else None


def unlock(user_id: str) -> bool:
    """Lift a lock; False if there was none. The caller writes who did it into the audit log."""
    was_locked = db.value(
        "SELECT locked_until > now() FROM users WHERE user_id = %(user_id)s", user_id=user_id
    )
    forget(user_id)
    return bool(was_locked)


def forget(user_id: str) -> None:
    """Wrong passwords so far do not count any more: the right one came, or a new one was chosen."""
    db.run(
        """UPDATE users SET failed_count = 0, failed_since = NULL, locked_until = NULL
            WHERE user_id = %(user_id)s AND (failed_count > 0 OR locked_until IS NOT NULL)""",
        user_id=user_id,
    )


def prune() -> int:
    """Delete what is known of names that nobody tried for a day; answers how many."""
    return db.run(
        """DELETE FROM unknown_names
            WHERE greatest(failed_since, locked_until) < now() - interval '1 day'"""
    )


# Wrong passwords count anew when the minute of the first is over, or, after a lock, when it has been over for as
# long as the longest lock. After a lock each further one locks again, for twice as long.
_FRESH = f"""(CASE WHEN c.locked_until IS NULL
                   THEN c.failed_since IS NULL OR c.failed_since < now() - interval '1 minute'
                   ELSE c.locked_until < now() - interval '{LONGEST_MINUTES} minutes' END)"""
_MINUTES = f"least({LONGEST_MINUTES}, power(2, least(c.failed_count, 30) - {WRONG_A_MINUTE}))"
_COUNTED = f"""
    failed_count = CASE WHEN {_FRESH} THEN 1 ELSE c.failed_count + 1 END,
    failed_since = CASE WHEN {_FRESH} THEN now() ELSE c.failed_since END,
    locked_until = CASE WHEN {_FRESH} OR c.failed_count < {WRONG_A_MINUTE} THEN NULL
                        ELSE now() + {_MINUTES} * interval '1 minute' END
"""


def _digest(email: str) -> bytes:
    return hashlib.sha256(email.lower().encode("utf-8", "surrogatepass")).digest()
