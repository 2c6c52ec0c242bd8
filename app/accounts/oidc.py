"""Whom somebody becomes here who was signed in elsewhere: rules for identities of a provider (SEC-22).

Known people are found by (issuer, subject), which never changes; the first time by their verified e-mail
address; and whoever is nobody here yet is made, if the rules have a role for them. Everything about the
protocol is in app/dashboard/oidc.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app import audit
from app.accounts import queries, users
from app.db import Row, db
from app.errors import Conflict, Forbidden

ACTOR = "oidc"
"""Who does in the audit what the provider decides: people made, roles changed."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who somebody is at the provider, as a token says whose signature was checked."""

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an identity is worth here."""

    default_role: Literal["viewer", "user", "none"] = "none"
    """`none`: only who is known comes in, and with `by_groups` only who is in one of the groups."""
    allowed_domains: tuple[str, ...] = ()
    by_groups: bool = False
    """Whether groups decide the role, at every sign-in."""
    admin_groups: frozenset[str] = frozenset()
    user_groups: frozenset[str] = frozenset()


class Refused(Forbidden):
    """This identity does not come in; the sentence is for them, `reason` for the audit."""

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is one word: disabled, unverified, domain, other_identity, group, unknown."""
        super().__init__(message)
        self.reason = reason


def admit(identity: Identity, rules: Rules) -> Row:
    """The user this identity is from now on, found, linked or made; raises Refused."""
    _check_domain(identity, rules)
    role = role_of(identity, rules)
    user_id = _known(identity) or _linked(identity)
    if user_id is None:
        user_id = _made(identity, role)
    elif rules.by_groups:
        _set_role(user_id, role)
    db.run("UPDATE users SET last_login_at = now() WHERE user_id = %(user)s::uuid", user=user_id)
    row = queries.user(user_id)
    assert row is not None
    return row


def role_of(identity: Identity, rules: Rules) -> str | None:
    """The role the rules have for somebody; None: none."""
    if rules.by_groups and identity.groups & rules.admin_groups:
        return "admin"
    if rules.by_groups and identity.groups & rules.user_groups:
        return "user"
    return None if rules.default_role == "none" else rules.default_role


def _check_domain(identity: Identity, rules: Rules) -> None:
    if not rules.allowed_domains:
        return
    domain = identity.email.lower().rpartition("@")[2]
    if not identity.email_verified or domain not in rules.allowed_domains:
        raise Refused("domain", "People with this e-mail address do not come in here. Ask an admin.")


def _known(identity: Identity) -> str | None:
    found = db.row(
        """SELECT user_id::text, enabled FROM users
            WHERE oidc_issuer = %(issuer)s AND oidc_subject = %(subject)s FOR UPDATE""",
        issuer=identity.issuer,
        subject=identity.subject,
    )
    return _demand_enabled(found) if found else None


def _linked(identity: Identity) -> str | None:
    """Whose verified address it is, theirs from now on; None if it is nobody's."""
    if not identity.email or not identity.email_verified:
        raise Refused(
            "unverified",
            "The provider has not verified your e-mail address. Verify it there, then come back.",
        )
    found = db.row(
        """SELECT user_id::text, enabled, oidc_subject FROM users WHERE email = lower(%(email)s) FOR UPDATE""",
        email=identity.email,
    )
    if found is None:
        return None
    user_id = _demand_enabled(found)
    if found["oidc_subject"] is not None:
        raise Refused(
            "other_identity",
            "Your e-mail address belongs to somebody who signs in with another identity. Ask an admin.",
        )
    _link(user_id, identity)
    audit.record("user.linked", actor=user_id, subject=user_id, details={"issuer": identity.issuer})
    return user_id


def _demand_enabled(found: Row) -> str:
    if not found["enabled"]:
        raise Refused("disabled", "Your account is switched off. Ask an admin.")
    return str(found["user_id"])


def _link(user_id: str, identity: Identity) -> None:
    db.run(
        """UPDATE users SET oidc_issuer = %(issuer)s, oidc_subject = %(subject)s, updated_at = now()
            WHERE user_id = %(user)s::uuid""",
        issuer=identity.issuer,
        subject=identity.subject,
        user=user_id,
    )


def _made(identity: Identity, role: str | None) -> str:
    if role is None:
        raise Refused(
            "unknown", "You have no account here. Ask an admin to make one for your e-mail address."
        )
    row = users.create(identity.email, None, role=role, name=identity.name, actor=ACTOR)
    _link(str(row["user_id"]), identity)
    return str(row["user_id"])


def _set_role(user_id: str, role: str | None) -> None:
    """What the groups say now; the last admin stays one, so that nobody is locked out by a group."""
    if role is None:
        raise Refused("group", "You are in none of the groups that come in here. Ask an admin.")
    row = queries.user(user_id)
    if row is None or row["role"] == role:
        return
    try:
        users.change(user_id, role=role, actor=ACTOR)
    except Conflict:
        audit.record("user.kept_admin", actor=ACTOR, subject=user_id, details={"role": role})


def unlink(user_id: str, *, actor: str) -> bool:
    """Forget who somebody is at the provider, so that another identity of theirs can be linked."""
    forgotten = db.run(
        """UPDATE users SET oidc_issuer = NULL, oidc_subject = NULL, updated_at = now()
            WHERE user_id = %(user)s::uuid AND oidc_subject IS NOT NULL""",
        user=user_id,
    )
    if forgotten:
        audit.record("user.unlinked", actor=actor, subject=user_id)
    return bool(forgotten)
