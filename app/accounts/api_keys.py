"""API keys: `cb_<8 characters of id>_<43 characters of secret>`.

The secret is 256 random bits, so SHA-256 is enough to store it; the id finds the row and is what
people see. A key is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime

from app import audit, clock
from app.accounts.permissions import SCOPES, SCOPES_OF_ROLE, Principal
from app.accounts.queries import api_key
from app.db import Row, db
from app.errors import Forbidden, Invalid, NotFound

PATTERN = re.compile(r"cb_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")

_ALPHABET = string.ascii_letters + string.digits
_NOTHING = bytes(32)


@dataclass(frozen=True, kw_only=True)
class FreshKey:
    """A key at the one moment its text is known."""

    key_id: str
    text: str


def create(
    principal: Principal,
    *,
    name: str,
    scopes: frozenset[str] | None = None,
    expires_at: datetime | None = None,
) -> FreshKey:
    """Make a key for `principal`; without `scopes` it gets all that its maker has."""
    allowed = SCOPES_OF_ROLE[principal.role] & principal.scopes
    wanted = allowed if scopes is None else scopes
    _check(wanted, allowed, expires_at)
    fresh = generate()
    store(fresh.text, user_id=principal.user_id, name=name, scopes=wanted, expires_at=expires_at)
    audit.record(
        "api_key.created", actor=principal.user_id, subject=fresh.key_id, details={"scopes": sorted(wanted)}
    )
    return fresh


def generate() -> FreshKey:
    """A new random key, stored nowhere yet."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return FreshKey(key_id=key_id, text=f"cb_{key_id}_{secrets.token_urlsafe(32)}")


def store(
    text: str, *, user_id: str, name: str, scopes: frozenset[str], expires_at: datetime | None = None
) -> bool:
    """Store the key `text`; False if a key with its id exists already. Raises Invalid for another format."""
    parts = PATTERN.fullmatch(text)
    if parts is None:
        msg = "An API key looks like cb_<8 letters or digits>_<43 characters of base64url>."
        raise Invalid(msg)
    return bool(
        db.run(
            """INSERT INTO api_keys (key_id, user_id, name, secret_sha256, scopes, expires_at)
               VALUES (%(key_id)s, %(user_id)s, %(name)s, %(digest)s, %(scopes)s, %(expires_at)s)
               ON CONFLICT (key_id) DO NOTHING""",
            key_id=parts[1],
            user_id=user_id,
            name=name,
            digest=_digest(parts[2]),
            scopes=sorted(scopes),
            expires_at=expires_at,
        )
    )


def recognise(text: str) -> Principal | None:
    """Who comes with the key `text`; None if it is unknown, wrong, revoked, expired, or its owner disabled.

    Notes the use, at most once a minute.
    """
    parts = PATTERN.fullmatch(text)
    if parts is None:
        return None
    row = db.row(_KEY_AND_OWNER, key_id=parts[1])
    # An unknown id is compared too, so that it takes as long as a wrong secret.
    genuine = hmac.compare_digest(_digest(parts[2]), bytes(row["secret_sha256"]) if row else _NOTHING)
    if row is None or not genuine:
        return None
    if row["use_is_news"]:
        _note_use(parts[1])
    return _principal(row)


def revoke(principal: Principal, key_id: str) -> Row:
    """Make a key useless at once and answer it; idempotent.

    The caller has made sure that `principal` may manage the keys of its owner.
    """
    db.run(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %(key_id)s",
        key_id=key_id,
    )
    found = api_key(key_id)
    if found is None:
        raise NotFound
    audit.record("api_key.revoked", actor=principal.user_id, subject=key_id)
    return found


_KEY_AND_OWNER = """
SELECT k.key_id, k.secret_sha256, k.scopes, u.user_id, u.email, u.role,
       k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS use_is_news
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 WHERE k.key_id = %(key_id)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
   AND u.enabled
"""


def _note_use(key_id: str) -> None:
    # SKIP LOCKED: a note is not worth waiting for another request's transaction.
    db.run(
        """UPDATE api_keys SET last_used_at = now() WHERE key_id =
           (SELECT key_id FROM api_keys WHERE key_id = %(key_id)s FOR UPDATE SKIP LOCKED)""",
        key_id=key_id,
    )


def _principal(row: Row) -> Principal:
    # A demoted owner's old key shrinks with them.
    scopes = frozenset(row["scopes"]) & SCOPES_OF_ROLE[row["role"]]
    return Principal(
        user_id=str(row["user_id"]), email=row["email"], role=row["role"], scopes=scopes, key_id=row["key_id"]
    )


def _check(wanted: frozenset[str], allowed: frozenset[str], expires_at: datetime | None) -> None:
    if unknown := sorted(wanted - set(SCOPES)):
        raise Invalid(f"There is no scope {unknown[0]!r}.", [("/scopes", f"choose from {', '.join(SCOPES)}")])
    if not wanted:
        raise Invalid("A key without scopes opens nothing.", [("/scopes", "name at least one")])
    if beyond := sorted(wanted - allowed):
        raise Forbidden(f"Insufficient permissions: you cannot give the scope {beyond[0]}.")
    if expires_at is not None and expires_at <= clock.now():
        raise Invalid("The key would be expired already.", [("/expires_at", "must lie in the future")])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
