"""Somebody who forgot their password asks for a link; nobody is told whether there is such an account."""

from __future__ import annotations

from app import audit
from app.db import Row, db


def ask(email: str) -> Row | None:
    """Whom to send a link: {user_id, email}; None for a name that nobody has, or who does not sign in with a password.

    Either way it is written down, so that both take as long.
    """
    audit.record("auth.reset_asked", actor=email)
    return db.row(
        """SELECT user_id::text, email FROM users
            WHERE email = lower(%(email)s) AND enabled AND password_hash IS NOT NULL""",
        email=email,
    )
