"""What is removed from the audit log when it is old enough, so that the rest can still be verified."""

from __future__ import annotations

from app.audit import access
from app.audit.entries import record
from app.db import db

MOST_AT_ONCE = 20_000


def trim(days: int, limit: int = MOST_AT_ONCE) -> int:
    """Remove the entries of days that lie longer back, with their links; answers how many entries.

    Only whole days, and only from the beginning of the chain. The last removed entry's link stays as the one that the
    rest hangs on, and an entry `audit.trimmed` says which that is; the newest entry stays in any case. Counted minutes
    of the API are removed after their own time.
    """
    access.forget()
    last = _last_to_go(days, limit)
    if last is None:
        return 0
    # Both tables refuse deletions unless this transaction says that retention is at work.
    db.run("SELECT set_config('callboard.retention', 'on', true)")
    gone = db.run(
        "DELETE FROM audit_log WHERE id IN (SELECT audit_id FROM audit_chain WHERE position <= %(last)s)",
        last=last,
    )
    db.run("DELETE FROM audit_chain WHERE position < %(last)s", last=last)
    db.run("SELECT set_config('callboard.retention', 'off', true)")
    digest = db.value("SELECT encode(digest, 'hex') FROM audit_chain WHERE position = %(last)s", last=last)
    record("audit.trimmed", actor="", details={"position": last, "digest": digest, "entries": gone})
    return gone


def _last_to_go(days: int, limit: int) -> int | None:
    """The position up to which everything may go; None if that is nothing."""
    last: int | None = db.value(
        """WITH ends AS (SELECT min(position) AS first, max(position) AS head FROM audit_chain),
                kept AS (SELECT c.position FROM audit_chain c JOIN audit_log a ON a.id = c.audit_id
                         WHERE c.position <= (SELECT first FROM ends) + %(limit)s
                           AND a.at >= date_trunc('day', now() - %(days)s * interval '1 day')
                         ORDER BY c.position LIMIT 1)
           SELECT least(coalesce((SELECT position FROM kept), head) - 1, head - 1, first + %(limit)s) FROM ends""",
        days=days,
        limit=limit,
    )
    if last is None or not db.value(
        """SELECT 1 FROM audit_chain c JOIN audit_log a ON a.id = c.audit_id
           WHERE c.position <= %(last)s LIMIT 1""",
        last=last,
    ):
        return None
    return last
