"""What the people's page shows of accounts: a list that can be searched, and what belongs to one of them."""

from __future__ import annotations

from dataclasses import dataclass

from app.accounts.queries import USER
from app.db import Row, db, literal

STATES = ("enabled", "disabled", "locked", "never", "oidc")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Whom to list; empty means everybody."""

    text: str = ""
    """Found in the e-mail address or the name."""
    role: str = ""
    state: str = ""
    """One of STATES: switched on, switched off, locked, never signed in, linked with an identity provider."""


_STATES = {
    "": "true",
    "enabled": "enabled",
    "disabled": "NOT enabled",
    "locked": "locked_until > now()",
    "never": "last_login_at IS NULL",
    "oidc": "oidc_subject IS NOT NULL",
}
_INVITED = """EXISTS (SELECT FROM account_links l WHERE l.user_id = users.user_id AND l.purpose = 'invite'
    AND l.used_at IS NULL AND l.expires_at > now()) AS invited"""


def listing(wanted: Filter, *, limit: int, offset: int = 0) -> list[Row]:
    """A page of them by e-mail, as queries.user has them, each with `invited`: was asked to come and has not yet."""
    where, values = _where(wanted)
    return db.rows(
        f"""SELECT {USER}, {_INVITED} FROM users WHERE {where}
             ORDER BY email LIMIT %(limit)s OFFSET %(offset)s""",
        limit=limit,
        offset=offset,
        **values,
    )


def count(wanted: Filter) -> int:
    """How many there are."""
    where, values = _where(wanted)
    return int(db.value(f"SELECT count(*) FROM users WHERE {where}", **values))


def _where(wanted: Filter) -> tuple[str, dict[str, str]]:
    found = "(email ILIKE %(text)s OR name ILIKE %(text)s)" if wanted.text else "true"
    role = "role = %(role)s" if wanted.role else "true"
    values = {"text": f"%{literal(wanted.text)}%", "role": wanted.role}
    return f"{found} AND {role} AND {_STATES[wanted.state]}", values
