"""Links by which one question is answered once, without signing in: made for a mail, gone when used.

A link is for one person whom the question names by e-mail, and the answer is theirs. It says nothing by itself: the
token is random and signed, and only its SHA-256 is kept, so that neither the database nor a forged request opens
anything. It ends with the question's deadline, or after a week. Reading one changes nothing, because mail scanners
open every link; app.workflows.asking.answer_by_link answers and uses it up in one transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from itsdangerous import BadSignature, Signer

from app import clock
from app.accounts import queries as accounts
from app.approvals import queries
from app.approvals.asking import may_answer
from app.db import Row, db
from app.errors import Conflict, Forbidden, NotFound

LONGEST = timedelta(days=7)
PATH = "/a"
_LENGTH = 24
_UNKNOWN = "this link is not valid: perhaps it was not copied as a whole"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Whoever holds a link answers as the person it was made for, and may do nothing else."""

    email: str
    user_id: str = ""
    role: str = "link"


def make(approval_id: str, email: str, *, key: str, ttl: timedelta = LONGEST) -> str:
    """A new link's token for somebody whom an open question names by e-mail; `key` signs it.

    Raises Forbidden for anybody else, Conflict when the question is not open any more.
    """
    approval = queries.get(approval_id)
    _demand_named(approval, email)
    _demand_open(approval)
    until = clock.now() + min(ttl, LONGEST)
    token = _signer(key).sign(secrets.token_urlsafe(_LENGTH)).decode()
    db.run(
        """INSERT INTO approval_links (token_hash, approval_id, email, expires_at)
           VALUES (%(hash)s, %(id)s, %(email)s, %(until)s)""",
        hash=_hash(token),
        id=approval_id,
        email=email.lower(),
        until=min(until, approval["deadline_at"] or until),
    )
    return token


def address(base_url: str, token: str) -> str:
    """Where the link leads: a page that shows the question and asks again before it answers."""
    return f"{base_url}{PATH}/{token}"


def read(token: str, *, key: str | Sequence[str]) -> Row:
    """The question of a link signed by (one of) `key`, with the `email` whose answer it is and the `link_expires_at`.

    NotFound for what is no link, Conflict with what to tell the person when it cannot be used any more.
    """
    try:
        _signer(key).unsign(_bytes(token))
    except BadSignature as wrong:
        raise NotFound(_UNKNOWN) from wrong
    link = db.row(
        "SELECT approval_id::text, email, expires_at, used_at FROM approval_links WHERE token_hash = %(hash)s",
        hash=_hash(token),
    )
    if link is None:
        raise NotFound(_UNKNOWN)
    approval = queries.get(link["approval_id"])
    if link["used_at"]:
        raise Conflict(f"this link was used: the question is {_state(approval)}")
    _demand_open(approval)
    if link["expires_at"] <= clock.now():
        raise Conflict("this link has expired; sign in to answer")
    _demand_named(approval, link["email"])
    return approval | {"email": link["email"], "link_expires_at": link["expires_at"]}


def use(token: str) -> None:
    """Use up a link whose question was answered by it, in the same transaction; Conflict if it was used before."""
    used = db.run(
        """UPDATE approval_links SET used_at = clock_timestamp()
           WHERE token_hash = %(hash)s AND used_at IS NULL""",
        hash=_hash(token),
    )
    if not used:
        raise Conflict("this link was used before")


def forget(days: int) -> int:
    """Remove links that ended so many days ago; answers how many."""
    return db.run(
        "DELETE FROM approval_links WHERE expires_at < now() - %(days)s * interval '1 day'", days=days
    )


def _demand_named(approval: Row, email: str) -> None:
    """The question names them, and nobody switched their account off."""
    if "@" not in email or not may_answer(approval, Holder(email=email)):
        raise Forbidden("a link is only for somebody whom the question names by e-mail")
    user = accounts.user_by_email(email)
    if user is not None and not user["enabled"]:
        raise Forbidden("the account of this address is switched off")


def _demand_open(approval: Row) -> None:
    if approval["status"] == "cancelled":
        raise Conflict("this question was withdrawn: nobody needs the answer any more")
    if approval["status"] != "open":
        raise Conflict(f"this question was settled already: it is {_state(approval)}")
    if approval["deadline_at"] and approval["deadline_at"] <= clock.now():
        raise Conflict("the time to answer this question is over")


def _state(approval: Row) -> str:
    return {"sent_back": "sent back", "cancelled": "withdrawn"}.get(approval["status"]) or str(
        approval["status"]
    )


def _signer(key: str | Sequence[str]) -> Signer:
    newest_last = key if isinstance(key, str) else list(reversed(key))
    return Signer(newest_last, salt="callboard approval link", digest_method=hashlib.sha256)


def _hash(token: str) -> str:
    return hashlib.sha256(_bytes(token)).hexdigest()


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")  # whatever came in an address
