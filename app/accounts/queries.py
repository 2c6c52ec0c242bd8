"""What can be read of accounts; never a hash."""

from __future__ import annotations

from app.accounts.permissions import Principal
from app.accounts.tokens import Claims
from app.db import Row, db

_USER = "user_id, email, name, role, enabled, token_version, created_at, updated_at, last_login_at"
_KEY = "key_id, user_id, name, scopes, created_at, expires_at, revoked_at, last_used_at"


def user(user_id: str) -> Row | None:
    """One user, or None."""
    return db.row(f"SELECT {_USER} FROM users WHERE user_id = %(user_id)s", user_id=user_id)


def user_by_email(email: str) -> Row | None:
    """The user who signs in with `email` (any case), or None."""
    return db.row(f"SELECT {_USER} FROM users WHERE email = lower(%(email)s)", email=email)


def emails(user_ids: list[str]) -> dict[str, str]:
    """The addresses of these users by id; what is no user's id is missing."""
    rows = db.rows("SELECT user_id::text, email FROM users WHERE user_id::text = ANY(%(ids)s)", ids=user_ids)
    return {row["user_id"]: row["email"] for row in rows}


def users(*, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of users by e-mail, and how many there are."""
    page = db.rows(
        f"SELECT {_USER} FROM users ORDER BY email LIMIT %(limit)s OFFSET %(offset)s",
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
    row = db.row(
        """SELECT user_id, email, role FROM users
            WHERE user_id = %(user)s AND token_version = %(version)s AND enabled
              AND EXISTS (SELECT FROM refresh_tokens
                           WHERE family_id = %(session)s AND user_id = %(user)s AND revoked_at IS NULL)""",
        user=claims.user_id,
        version=claims.token_version,
        session=claims.session_id,
    )
    if row is None:
        return None
    return Principal(
        user_id=str(row["user_id"]), email=row["email"], role=row["role"], session_id=claims.session_id
    )
