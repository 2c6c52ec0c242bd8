"""Access tokens: short-lived JWTs (HS256) that say who signed in, checked against the database on each use.

    {"iss": "callboard", "aud": "callboard-api", "sub": user_id, "sid": login, "ver": token_version,
     "jti": random, "iat": now, "exp": in an hour}

The role is not in the token: it is read fresh, so that a demotion is felt at once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt

from app import clock

ISSUER = "callboard"
AUDIENCE = "callboard-api"
SHORTEST_KEY = 32

_FRAME = ("exp", "iat", "jti", "aud", "iss")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a genuine, unexpired token says."""

    user_id: str
    session_id: str
    token_version: int


def issue(claims: Claims, *, key: str, life: timedelta) -> str:
    """A signed token for `claims`; raises ValueError for a key of less than 32 characters."""
    body = {"sub": claims.user_id, "sid": claims.session_id, "ver": claims.token_version}
    return signed(body, audience=AUDIENCE, key=key, life=life)


def read(token: str, *, keys: tuple[str, ...]) -> Claims | None:
    """The claims of a token signed with one of `keys`; None for anything forged, expired or incomplete.

    More than one key lets a new one take over while tokens of the old one run out.
    """
    body = verified(token, audience=AUDIENCE, keys=keys, required=("sub", "sid", "ver"))
    return _claims(body) if body else None


def signed(body: dict[str, Any], *, audience: str, key: str, life: timedelta) -> str:
    """A token that says `body` to `audience` for so long; raises ValueError for a key of less than 32 characters."""
    if len(key) < SHORTEST_KEY:
        msg = f"the signing key must have at least {SHORTEST_KEY} characters"
        raise ValueError(msg)
    now = clock.now()
    frame = {"iss": ISSUER, "aud": audience, "jti": secrets.token_urlsafe(12), "iat": now, "exp": now + life}
    return jwt.encode({**frame, **body}, key, algorithm="HS256")


def verified(
    token: str, *, audience: str, keys: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, Any] | None:
    """What a token says that one of `keys` signed for `audience`; None if it is forged, expired or lacks something."""
    if not token.isascii():
        return None
    for key in keys:
        try:
            body: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["HS256"],  # never what the token's own header proposes
                audience=audience,
                issuer=ISSUER,
                # Another host may have signed it, whose clock is ahead of ours.
                options={"require": [*_FRAME, *required], "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            continue
        return body if _begun(body["iat"]) else None
    return None


def _begun(issued_at: object) -> bool:
    return isinstance(issued_at, int | float) and issued_at <= (clock.now() + clock.APART).timestamp()


def _claims(body: dict[str, Any]) -> Claims | None:
    # Signed by us, so this only fails for tokens of another version of Callboard.
    try:
        user_id, session_id = UUID(body["sub"]), UUID(body["sid"])
    except (ValueError, TypeError, AttributeError):
        return None
    if not isinstance(body["ver"], int):
        return None
    return Claims(user_id=str(user_id), session_id=str(session_id), token_version=body["ver"])
