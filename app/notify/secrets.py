"""What signs outgoing webhooks: a secret for each endpoint, and one for the callbacks of each person.

They stand in the database sealed (app/secrets/sealing.py), because whoever signs must know them; people see an
endpoint's once. After a change the old one signs as well for a day, so that receivers have time.
"""

from __future__ import annotations

import base64
import secrets

from app.db import Row, db
from app.secrets import sealing

OVERLAP_HOURS = 24
_CURRENT = "secret, CASE WHEN previous_until > clock_timestamp() THEN previous_secret END AS previous"


def fresh() -> str:
    """A new secret in the form of the Standard Webhooks: 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def sealed(endpoint_id: str, secret: str) -> str:
    """A secret as it is written down for an endpoint."""
    return sealing.seal_one(secret, f"webhook_endpoints/{endpoint_id}", "/secret")


def of_callbacks(owner: str) -> str:
    """What signs the callbacks of `owner`; made at the first use."""
    db.run(
        "INSERT INTO callback_secrets (owner, secret) VALUES (%(owner)s, %(secret)s) ON CONFLICT DO NOTHING",
        owner=owner,
        secret=_of_owner(owner, fresh()),
    )
    kept = db.value("SELECT secret FROM callback_secrets WHERE owner = %(owner)s", owner=owner)
    return str(sealing.open_one(kept, f"callback_secrets/{owner}", "/secret"))


def rotate_callbacks(owner: str) -> str:
    """A new secret for the callbacks of `owner`."""
    secret = fresh()
    db.run(
        """INSERT INTO callback_secrets AS kept (owner, secret) VALUES (%(owner)s, %(secret)s)
           ON CONFLICT (owner) DO UPDATE SET previous_secret = kept.secret, secret = excluded.secret,
               previous_until = clock_timestamp() + %(hours)s * interval '1 hour'""",
        owner=owner,
        secret=_of_owner(owner, secret),
        hours=OVERLAP_HOURS,
    )
    return secret


def rotate_endpoint(endpoint_id: str) -> str | None:
    """A new secret for an endpoint; None if there is no such endpoint."""
    secret = fresh()
    found = db.run(
        """UPDATE webhook_endpoints SET previous_secret = secret, secret = %(secret)s, updated_at = clock_timestamp(),
               previous_until = clock_timestamp() + %(hours)s * interval '1 hour'
           WHERE endpoint_id = %(id)s""",
        id=endpoint_id,
        secret=sealed(endpoint_id, secret),
        hours=OVERLAP_HOURS,
    )
    return secret if found else None


def for_callback(owner: str) -> list[str]:
    """What signs a callback now, the newest first."""
    of_callbacks(owner)
    row = db.row(f"SELECT {_CURRENT} FROM callback_secrets WHERE owner = %(owner)s", owner=owner)
    return _both(row, f"callback_secrets/{owner}")


def for_endpoint(endpoint_id: str) -> list[str]:
    """What signs for an endpoint now, the newest first; nothing for one that does not exist."""
    row = db.row(f"SELECT {_CURRENT} FROM webhook_endpoints WHERE endpoint_id = %(id)s", id=endpoint_id)
    return _both(row, f"webhook_endpoints/{endpoint_id}")


def seal_late() -> int:
    """Seal what was stored before there was sealing; answers how many."""
    done = 0
    for table, key in (("webhook_endpoints", "endpoint_id"), ("callback_secrets", "owner")):
        for column in ("secret", "previous_secret"):
            rows = db.rows(
                f"SELECT {key}::text AS id, {column} AS plain FROM {table} WHERE {column} LIKE 'whsec_%%' FOR UPDATE"
            )
            for row in rows:
                kept = sealing.seal_one(row["plain"], f"{table}/{row['id']}", "/secret")
                done += db.run(
                    f"UPDATE {table} SET {column} = %(kept)s WHERE {key}::text = %(id)s",
                    kept=kept,
                    id=row["id"],
                )
    return done


def _of_owner(owner: str, secret: str) -> str:
    return sealing.seal_one(secret, f"callback_secrets/{owner}", "/secret")


def _both(row: Row | None, owner: str) -> list[str]:
    kept = [secret for secret in (row["secret"], row["previous"]) if secret] if row else []
    return [sealing.open_one(secret, owner, "/secret") for secret in kept]
