"""What signs outgoing webhooks: a secret for each endpoint, and one for the callbacks of each person.

They stand in the database as they are, because whoever signs must know them; people see an endpoint's once. After a
change the old one signs as well for a day, so that receivers have time.
"""

from __future__ import annotations

import base64
import secrets

from app.db import Row, db

OVERLAP_HOURS = 24
_CURRENT = "secret, CASE WHEN previous_until > clock_timestamp() THEN previous_secret END AS previous"


def fresh() -> str:
    """A new secret in the form of the Standard Webhooks: 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def of_callbacks(owner: str) -> str:
    """What signs the callbacks of `owner`; made at the first use."""
    db.run(
        "INSERT INTO callback_secrets (owner, secret) VALUES (%(owner)s, %(secret)s) ON CONFLICT DO NOTHING",
        owner=owner,
        secret=fresh(),
    )
    return str(db.value("SELECT secret FROM callback_secrets WHERE owner = %(owner)s", owner=owner))


def rotate_callbacks(owner: str) -> str:
    """A new secret for the callbacks of `owner`."""
    of_callbacks(owner)
    return str(
        db.value(
            """UPDATE callback_secrets SET previous_secret = secret, secret = %(secret)s,
                   previous_until = clock_timestamp() + %(hours)s * interval '1 hour'
               WHERE owner = %(owner)s RETURNING secret""",
            owner=owner,
            secret=fresh(),
            hours=OVERLAP_HOURS,
        )
    )


def rotate_endpoint(endpoint_id: str) -> str | None:
    """A new secret for an endpoint; None if there is no such endpoint."""
    found = db.value(
        """UPDATE webhook_endpoints SET previous_secret = secret, secret = %(secret)s, updated_at = clock_timestamp(),
               previous_until = clock_timestamp() + %(hours)s * interval '1 hour'
           WHERE endpoint_id = %(id)s RETURNING secret""",
        id=endpoint_id,
        secret=fresh(),
        hours=OVERLAP_HOURS,
    )
    return None if found is None else str(found)


def for_callback(owner: str) -> list[str]:
    """What signs a callback now, the newest first."""
    of_callbacks(owner)
    row = db.row(f"SELECT {_CURRENT} FROM callback_secrets WHERE owner = %(owner)s", owner=owner)
    return _both(row)


def for_endpoint(endpoint_id: str) -> list[str]:
    """What signs for an endpoint now, the newest first; nothing for one that does not exist."""
    row = db.row(f"SELECT {_CURRENT} FROM webhook_endpoints WHERE endpoint_id = %(id)s", id=endpoint_id)
    return _both(row)


def _both(row: Row | None) -> list[str]:
    return [secret for secret in (row["secret"], row["previous"]) if secret] if row else []
