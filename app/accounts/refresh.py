"""Sessions: a login and its chain of refresh tokens, each of which works exactly once.

    login ──► token 1 ──rotate──► token 2 ──rotate──► token 3      one family
                 └──────── used again ────────► the whole family is revoked

A token that is used twice was stolen or leaked; nobody can tell which of the two users is the thief,
so both must sign in again.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from app import audit
from app.accounts import logins
from app.accounts.tokens import Claims
from app.db import Row, db

PREFIX = "cbr_"


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login as it stands: what an access token may say, and the refresh token to come back with."""

    claims: Claims
    refresh_token: str


def open_session(
    user_id: str,
    *,
    token_version: int,
    life: timedelta,
    method: logins.Method = "password",
    ip: str | None = None,
    user_agent: str | None = None,
) -> Session:
    """Begin a new login, and its family, for a user who has just proved who they are."""
    login_id = logins.open_login(
        user_id, kind="token", method=method, ip=ip, user_agent=user_agent, life=life
    )
    return _link(login_id, user_id, token_version, life)


def rotate(refresh_token: str, *, life: timedelta) -> Session | None:
    """Trade a refresh token for its successor; None if it is not good (any more).

    A token that was used before revokes its family, so the caller must commit on None too.
    """
    digest = _digest(refresh_token)
    db.row(_HOLD, digest=digest)
    spent = db.row(_SPEND, digest=digest)
    if spent is None:
        _revoke_if_reused(digest)
        return None
    logins.prolong(str(spent["family_id"]), life)
    return _link(str(spent["family_id"]), str(spent["user_id"]), spent["token_version"], life)


def close(session_id: str) -> None:
    """End a login: its refresh tokens and its access tokens stop working. Idempotent."""
    logins.end(session_id)


def close_by_token(refresh_token: str) -> None:
    """End the login that `refresh_token` belongs to. Idempotent; an unknown token changes nothing."""
    known = db.row(
        "SELECT family_id::text FROM refresh_tokens WHERE token_sha256 = %(digest)s",
        digest=_digest(refresh_token),
    )
    if known:
        logins.end(known["family_id"])


def prune() -> int:
    """Delete tokens that expired a day ago; answers how many."""
    return db.run("DELETE FROM refresh_tokens WHERE expires_at < now() - interval '1 day'")


# The login before its tokens, in which order logins.end takes them too; else two of them wait for each other.
_HOLD = """
SELECT FROM logins WHERE login_id = (SELECT family_id FROM refresh_tokens WHERE token_sha256 = %(digest)s) FOR UPDATE
"""

# One statement decides: of two requests with the same token, the second waits for the first's row
# and then finds `used_at` set.
_SPEND = """
UPDATE refresh_tokens t SET used_at = now()
  FROM users u, logins l
 WHERE t.token_sha256 = %(digest)s AND t.used_at IS NULL AND t.revoked_at IS NULL AND t.expires_at > now()
   AND u.user_id = t.user_id AND u.enabled AND u.token_version = t.token_version
   AND l.login_id = t.family_id AND l.ended_at IS NULL
RETURNING t.family_id, t.user_id, t.token_version
"""


def _revoke_if_reused(digest: bytes) -> None:
    known: Row | None = db.row(
        "SELECT family_id, user_id FROM refresh_tokens WHERE token_sha256 = %(digest)s AND used_at IS NOT NULL",
        digest=digest,
    )
    if known and logins.end(str(known["family_id"])):  # told once, however often it comes
        audit.record(
            "auth.token_reused", actor=str(known["user_id"]), details={"login": str(known["family_id"])}
        )


def _link(family_id: str, user_id: str, token_version: int, life: timedelta) -> Session:
    token = PREFIX + secrets.token_urlsafe(32)
    db.run(
        """INSERT INTO refresh_tokens (token_sha256, family_id, user_id, token_version, expires_at)
           VALUES (%(digest)s, %(family)s, %(user)s, %(version)s, now() + %(life)s)""",
        digest=_digest(token),
        family=family_id,
        user=user_id,
        version=token_version,
        life=life,
    )
    claims = Claims(user_id=user_id, session_id=family_id, token_version=token_version)
    return Session(claims=claims, refresh_token=token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
