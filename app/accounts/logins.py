"""Logins: each time somebody signed in is a row, and whatever they came in with works only while it lives.

A browser's cookie names its login; a family of refresh tokens, and the access tokens of it, has its login's id.
So signing out, or somebody ending a login from elsewhere, makes copies of the cookie or the token worthless.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import uuid_utils

from app.db import Row, db, storable
from app.errors import NotFound

Kind = Literal["browser", "token"]
Method = Literal["password", "oidc", "link"]

MOST_SHOWN = 20
LONGEST_AGENT = 400
KEPT_DAYS = 30
"""How long a login that is over can still be seen."""


def open_login(
    user_id: str,
    *,
    kind: Kind,
    method: Method,
    ip: str | None,
    user_agent: str | None,
    life: timedelta,
    login_id: str | None = None,
) -> str:
    """Write down that somebody has just signed in and answer the login's id; the caller has checked who they are."""
    chosen = login_id or str(uuid_utils.uuid7())
    db.run(
        """INSERT INTO logins (login_id, user_id, kind, method, ip, user_agent, expires_at)
           VALUES (%(login_id)s, %(user_id)s, %(kind)s, %(method)s, %(ip)s, %(agent)s, now() + %(life)s)""",
        login_id=chosen,
        user_id=user_id,
        kind=kind,
        method=method,
        ip=ip,
        agent=storable(user_agent)[:LONGEST_AGENT] if user_agent else None,
        life=life,
    )
    return chosen


def alive(login_id: str) -> bool:
    """Whether the login is neither ended nor expired."""
    return bool(
        db.value(f"SELECT 1 FROM logins WHERE login_id = %(login_id)s AND {ALIVE}", login_id=login_id)
    )


def of_user(user_id: str) -> list[Row]:
    """The last logins of a user, the living ones first, each with `alive`."""
    return db.rows(
        f"""SELECT login_id::text, user_id::text, kind, method, ip, user_agent, created_at, seen_at, expires_at,
                   ended_at, ({ALIVE}) AS alive
              FROM logins WHERE user_id = %(user_id)s
             ORDER BY ({ALIVE}) DESC, seen_at DESC, login_id DESC LIMIT {MOST_SHOWN}""",
        user_id=user_id,
    )


def touch(login_id: str) -> None:
    """Note that the login is in use; ask it only for one that `NEWS` says was not seen for some minutes."""
    # SKIP LOCKED: a note is not worth waiting for another request's transaction.
    db.run(
        """UPDATE logins SET seen_at = now() WHERE login_id =
           (SELECT login_id FROM logins WHERE login_id = %(login_id)s FOR UPDATE SKIP LOCKED)""",
        login_id=login_id,
    )


def prolong(login_id: str, life: timedelta) -> None:
    """The login goes on for `life` from now, as its refresh token has just been traded for another."""
    db.run(
        "UPDATE logins SET seen_at = now(), expires_at = now() + %(life)s WHERE login_id = %(login_id)s",
        login_id=login_id,
        life=life,
    )


def end(login_id: str) -> bool:
    """Sign out: nothing that came of this login works any more. False if it was over already."""
    return _end("l.login_id = %(login_id)s", login_id=login_id) > 0


def end_of(user_id: str, login_id: str) -> bool:
    """End a login that must be this user's; NotFound for anybody else's. False if it was over already."""
    if not db.value(
        "SELECT 1 FROM logins WHERE login_id = %(login_id)s AND user_id = %(user_id)s",
        login_id=login_id,
        user_id=user_id,
    ):
        raise NotFound("There is no such login.")
    return end(login_id)


def end_all(user_id: str, but: str | None = None) -> int:
    """Sign a user out everywhere, or everywhere but from one login; answers how many logins ended."""
    return _end(
        "l.user_id = %(user_id)s AND l.login_id IS DISTINCT FROM %(but)s::uuid", user_id=user_id, but=but
    )


def prune() -> int:
    """Delete logins that are over for long; answers how many."""
    return db.run(
        f"DELETE FROM logins WHERE coalesce(ended_at, expires_at) < now() - interval '{KEPT_DAYS} days'"
    )


ALIVE = "ended_at IS NULL AND expires_at > now()"
NEWS = "seen_at < now() - interval '5 minutes'"
"""Whether it is worth a write that a login is in use."""


def _end(which: str, **values: object) -> int:
    ended = db.value(
        f"""WITH over AS (
                UPDATE logins l SET ended_at = now() WHERE {which} AND l.ended_at IS NULL RETURNING l.login_id, l.expires_at
            ), spent AS (
                UPDATE refresh_tokens t SET revoked_at = now() FROM over
                 WHERE t.family_id = over.login_id AND t.revoked_at IS NULL
            )
            SELECT count(*) FROM over WHERE expires_at > now()""",
        **values,
    )
    return int(ended or 0)
