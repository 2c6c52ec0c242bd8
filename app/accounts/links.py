"""Links by which somebody chooses a password without having one: to reset a lost one, or to come in as a new person.

The token is 256 random bits and only its SHA-256 is kept, so the database opens nothing. It works once, and the newest
one of a kind only. Looking at it changes nothing, because mail scanners open every link.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Literal

from app import audit
from app.accounts import lockout, passwords, users
from app.accounts.queries import user
from app.db import Row, db
from app.errors import Conflict, NotFound

Purpose = Literal["reset", "invite"]

LIVES: dict[str, timedelta] = {"reset": timedelta(hours=1), "invite": timedelta(days=7)}
PATH = "/reset"
UNKNOWN = "This link is not valid any more: it was used, or it is too old, or a newer one was made."

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def make(user_id: str, purpose: Purpose, by: str = "") -> str:
    """A new link's token, which nobody can read again; `by` is who made it, nobody for those who asked themselves.

    Earlier links of the same kind stop working. Raises NotFound for an unknown user, Conflict for one switched off.
    """
    row = user(user_id)
    if row is None:
        raise NotFound("There is no such user.")
    if not row["enabled"]:
        raise Conflict("This account is switched off; switch it on first.")
    db.run(
        "DELETE FROM account_links WHERE user_id = %(user_id)s AND purpose = %(purpose)s AND used_at IS NULL",
        user_id=user_id,
        purpose=purpose,
    )
    token = secrets.token_urlsafe(32)
    db.run(
        """INSERT INTO account_links (token_sha256, user_id, purpose, created_by, expires_at)
           VALUES (%(digest)s, %(user_id)s, %(purpose)s, %(by)s, now() + %(life)s)""",
        digest=_digest(token),
        user_id=user_id,
        purpose=purpose,
        by=by,
        life=LIVES[purpose],
    )
    audit.record("auth.link_made", actor=by, subject=user_id, details={"purpose": purpose})
    return token


def address(base_url: str, token: str) -> str:
    """Where the link leads."""
    return f"{base_url}{PATH}/{token}"


def read(token: str) -> Row:
    """Whose link that is: {user_id, email, name, purpose, expires_at}; NotFound for one that does not work."""
    found = db.row(_LIVING, digest=_digest(token)) if _TOKEN.fullmatch(token) else None
    if found is None:
        raise NotFound(UNKNOWN)
    return found


def use(token: str, password: str) -> Row:
    """Give the link's user this password and answer them; every login of theirs ends, and so does a lock.

    Raises NotFound for a link that does not work, Invalid for a password that may not be; then the link stays good.
    """
    passwords.checked(password)
    link = read(token)
    # One statement decides: of two requests with the same link, the second finds it used.
    if not db.run(
        "UPDATE account_links SET used_at = now() WHERE token_sha256 = %(digest)s AND used_at IS NULL",
        digest=_digest(token),
    ):
        raise NotFound(UNKNOWN)
    user_id = link["user_id"]
    row = users.change(user_id, password=password, actor=user_id)
    lockout.forget(user_id)
    db.run(
        "DELETE FROM account_links WHERE user_id = %(user_id)s AND used_at IS NULL",
        user_id=user_id,
    )
    audit.record("auth.link_used", actor=user_id, subject=user_id, details={"purpose": link["purpose"]})
    return row


def living(user_id: str) -> list[Row]:
    """The links of a user that work now, newest first: {purpose, created_by, created_at, expires_at}."""
    return db.rows(
        """SELECT purpose, created_by, created_at, expires_at FROM account_links
            WHERE user_id = %(user_id)s AND used_at IS NULL AND expires_at > now() ORDER BY created_at DESC""",
        user_id=user_id,
    )


def prune() -> int:
    """Delete links that ended a week ago; answers how many."""
    return db.run("DELETE FROM account_links WHERE expires_at < now() - interval '7 days'")


_LIVING = """
SELECT l.user_id::text, l.purpose, l.expires_at, u.email, u.name
  FROM account_links l JOIN users u ON u.user_id = l.user_id
 WHERE l.token_sha256 = %(digest)s AND l.used_at IS NULL AND l.expires_at > now() AND u.enabled
"""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
