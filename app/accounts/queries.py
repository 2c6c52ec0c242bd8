"""What can be read of accounts; never a hash."""

from __future__ import annotations

from uuid import UUID

from app.accounts import logins
from app.accounts.permissions import Principal
from app.accounts.tokens import Claims
from app.db import Row, db

USER = f"""user_id, email, name, role, enabled, token_version, created_at, updated_at, last_login_at,
    CASE WHEN locked_until > now() THEN locked_until END AS locked_until,
    password_hash IS NOT NULL AS has_password, oidc_issuer,
    (SELECT count(*) FROM logins l WHERE l.user_id = users.user_id AND {logins.ALIVE}) AS logins,
    (SELECT count(*) FROM api_keys k WHERE k.user_id = users.user_id AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > now())) AS api_keys"""
_KEY = "key_id, user_id, name, scopes, created_at, expires_at, revoked_at, last_used_at"


def user(user_id: str) -> Row | None:
    """One user, or None."""
    return db.row(f"SELECT {USER} FROM users WHERE user_id = %(user_id)s", user_id=user_id)


def is_id(text: str) -> bool:
    """Whether it can be a user's id at all; what submits by itself (a test, an old name) has none."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def user_by_email(email: str) -> Row | None:
    """The user who signs in with `email` (any case), or None."""
    return db.row(f"SELECT {USER} FROM users WHERE email = lower(%(email)s)", email=email)


def emails(user_ids: list[str]) -> dict[str, str]:
    """The addresses of these users by id; what is no user's id is missing."""
    rows = db.rows("SELECT user_id::text, email FROM users WHERE user_id::text = ANY(%(ids)s)", ids=user_ids)
    return {row["user_id"]: row["email"] for row in rows}


def users(*, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of users by e-mail, and how many there are."""
    page = db.rows(
        f"SELECT {USER} FROM users ORDER BY email LIMIT %(limit)s OFFSET %(offset)s",
        limit=limit,
        offset=offset,
    )
    return page, db.value("SELECT count(*) FROM users")


def api_keys(owner_id: str | None, *, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of keys, newest first, and how many there are; `owner_id` None means everybody's."""
    where = "(%(owner)s::uuid IS NULL OR user_id = %(owner)s::uuid)"
    page = db.rows(
        f"""SELECT {_KEY} FROM api_keys WHERE {where} ORDER BY created_at DESC, key_id
            LIMIT %(limit)s OFFSET %(offset)s""",
        owner=owner_id,
        limit=limit,
        offset=offset,
    )
    return page, db.value(f"SELECT count(*) FROM api_keys WHERE {where}", owner=owner_id)


def api_key(key_id: str) -> Row | None:
    """One key without its hash, or None."""
    return db.row(f"SELECT {_KEY} FROM api_keys WHERE key_id = %(key_id)s", key_id=key_id)


def bearer(claims: Claims) -> Principal | None:
    """Who a genuine access token speaks for; None after logout, password or role change, or when disabled."""
    row = signed_in(claims.user_id, claims.token_version, claims.session_id)
    if row is None:
        return None
    if row["use_is_news"]:
        logins.touch(claims.session_id)
    return Principal(
        user_id=row["user_id"], email=row["email"], role=row["role"], session_id=claims.session_id
    )


def signed_in(user_id: str, token_version: int, login_id: str) -> Row | None:
    """The user of a login that lives: {user_id, email, role, token_version, use_is_news}; None for any other.

    `use_is_news`: nobody noted for some minutes that the login is in use, so logins.touch should.
    """
    return db.row(
        f"""SELECT u.user_id::text, u.email, u.role, u.token_version, l.{logins.NEWS} AS use_is_news
              FROM users u JOIN logins l ON l.user_id = u.user_id
             WHERE l.login_id = %(login)s AND u.user_id = %(user)s AND u.token_version = %(version)s AND u.enabled
               AND l.ended_at IS NULL AND l.expires_at > now()""",
        user=user_id,
        version=token_version,
        login=login_id,
    )
