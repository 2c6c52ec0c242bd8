"""The Idempotency-Key header: the same request said twice makes one job (U15)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from app.db import as_json, db, dumps
from app.errors import Conflict, Invalid

LONGEST_KEY = 200
KEPT_HOURS = 24


def begin(owner: str, key: str, request: object) -> dict[str, Any] | None:
    """Take `key` for `owner`, or answer {status, response} of the request it already stood for.

    In the transaction of the work itself, so that both are there or neither. A second request under the same
    key waits for the first one's commit. The same key with another request is Invalid.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise Invalid("Idempotency-Key must be 1 to 200 printable characters")
    digest = hashlib.sha256(dumps(request).encode()).hexdigest()
    taken = db.run(
        """INSERT INTO idempotency_keys AS k (owner, key, request_hash) VALUES (%(owner)s, %(key)s, %(hash)s)
           ON CONFLICT (owner, key) DO UPDATE SET request_hash = excluded.request_hash, status = NULL,
               response = NULL, created_at = now()
           WHERE k.created_at < now() - %(hours)s * interval '1 hour'""",
        owner=owner,
        key=key,
        hash=digest,
        hours=KEPT_HOURS,
    )
    return None if taken else _stored(owner, key, digest)


def _stored(owner: str, key: str, digest: str) -> dict[str, Any]:
    row = db.row(
        "SELECT request_hash, status, response FROM idempotency_keys WHERE owner = %(owner)s AND key = %(key)s",
        owner=owner,
        key=key,
    )
    if row is None or row["status"] is None:
        raise Conflict("a request with this Idempotency-Key is under way; ask again in a moment")
    if row["request_hash"] != digest:
        raise Invalid("this Idempotency-Key was used for another request", [("/", "use a fresh key")])
    return {"status": row["status"], "response": row["response"]}


def finish(owner: str, key: str, status: int, response: object) -> None:
    """Keep the answer that `key` stands for from now on."""
    db.run(
        """UPDATE idempotency_keys SET status = %(status)s, response = %(response)s
           WHERE owner = %(owner)s AND key = %(key)s""",
        owner=owner,
        key=key,
        status=status,
        response=as_json(response),
    )


def key_of(owner: str, job_id: str, submitted_at: datetime) -> str | None:
    """The key under which a job was sent in, while it is kept.

    Key and job are written in one transaction, so they have the same time, which has an index.
    """
    found: str | None = db.value(
        """SELECT key FROM idempotency_keys WHERE created_at = %(at)s AND owner = %(owner)s
             AND response -> 'body' ->> 'job_id' = %(job)s LIMIT 1""",
        at=submitted_at,
        owner=owner,
        job=job_id,
    )
    return found
