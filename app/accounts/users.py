"""People and machines with a role: made, signed in, changed, switched off."""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import uuid_utils

from app import audit, clock
from app.accounts import api_keys, lockout, logins, passwords
from app.accounts.permissions import ROLES, SCOPES_OF_ROLE
from app.accounts.queries import user, user_by_email
from app.db import Row, db
from app.errors import Conflict, Invalid, Locked, NotFound, Unauthenticated

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,120}@[^@\s\x00-\x1f]{1,130}")


def create(email: str, password: str | None, *, role: str, name: str = "", actor: str = "system") -> Row:
    """Add a user and answer it; without `password` they come in by API key only.

    Raises Invalid for an address, role or password that cannot be, Conflict for an address that is taken.
    """
    made = _insert(email, passwords.hashed(password) if password is not None else None, role, name)
    if made is None:
        raise Conflict(f"There is a user {email.lower()} already.")
    audit.record("user.created", actor=actor, subject=str(made["user_id"]), details={"role": role})
    return _found(str(made["user_id"]))


def sign_in(email: str, password: str) -> Row:
    """The user behind these credentials; raises Unauthenticated.

    Whatever was wrong, it says so in the same words and after the same time. After too many wrong ones it raises
    Locked, without looking at the password. The caller commits on both, because wrong passwords are counted.
    """
    lockout.hold(email)
    row = db.row(
        "SELECT user_id, password_hash, enabled, locked_until FROM users WHERE email = lower(%(email)s)",
        email=email,
    )
    until = lockout.locked_until(row) if row else lockout.locked_name(email)
    if until:
        raise _locked(until, counted=False)
    stored: str | None = row["password_hash"] if row else None
    if not passwords.matches(password, stored) or row is None or stored is None or not row["enabled"]:
        until = lockout.failed(str(row["user_id"])) if row else lockout.failed_name(email)
        raise _locked(until, counted=True) if until else Unauthenticated("E-mail or password is wrong.")
    lockout.forget(str(row["user_id"]))
    db.run(
        """UPDATE users SET last_login_at = now(), password_hash = coalesce(%(renewed)s, password_hash)
            WHERE user_id = %(user_id)s""",
        user_id=row["user_id"],
        renewed=passwords.renewed(password, stored),
    )
    return _found(str(row["user_id"]))


def change(
    user_id: str,
    *,
    role: str | None = None,
    enabled: bool | None = None,
    password: str | None = None,
    name: str | None = None,
    actor: str,
    keep_login: str | None = None,
) -> Row:
    """Change what is given and answer the user; whatever bears on access ends all their logins at once.

    `keep_login` is one that goes on, if whoever holds it is given the user's new token_version. A new password lifts
    a lock too. Raises Conflict if it would leave Callboard without an enabled admin.
    """
    if role is not None:
        _check_role(role)
    if role not in (None, "admin") or enabled is False:
        _spare_the_last_admin(user_id)
    changed = db.row(
        _CHANGE,
        user_id=user_id,
        role=role,
        enabled=enabled,
        password_hash=passwords.hashed(password) if password is not None else None,
        name=name,
    )
    if changed is None:
        raise NotFound
    if changed["bears_on_access"]:
        logins.end_all(user_id, but=keep_login)
    if password is not None:
        lockout.forget(user_id)
    given = {"role": role, "enabled": enabled, "password": "changed" if password else None, "name": name}
    details = {field: value for field, value in given.items() if value is not None}
    audit.record("user.changed", actor=actor, subject=user_id, details=details)
    return _found(user_id)


@dataclass(frozen=True, kw_only=True)
class FirstAdmin:
    """What the seed may have to print once: the secrets that were made up, None for those that were not."""

    user_id: str
    email: str
    password: str | None
    api_key: str | None


def ensure_admin(email: str, password: str, key: str) -> FirstAdmin:
    """See to it that the admin `email` exists, with `password` and the API key `key`; idempotent.

    Empty secrets are made up when the admin is made, and answered once. An existing admin keeps their
    password, whatever `password` says: it may have been changed since. A `key` not known yet is added.
    """
    chosen = password or secrets.token_urlsafe(15)
    made = _insert(email, passwords.hashed(chosen), "admin", "Admin")
    admin = made or user_by_email(email)
    if admin is None:  # deleted between the two statements
        raise NotFound
    user_id = str(admin["user_id"])
    shown_key = None
    if key:
        _store_admin_key(key, user_id)
    elif made:
        shown_key = api_keys.generate().text
        _store_admin_key(shown_key, user_id)
    shown_password = chosen if made and not password else None
    return FirstAdmin(user_id=user_id, email=admin["email"], password=shown_password, api_key=shown_key)


def _store_admin_key(text: str, user_id: str) -> None:
    api_keys.store(text, user_id=user_id, name="first admin", scopes=SCOPES_OF_ROLE["admin"])


def _insert(email: str, password_hash: str | None, role: str, name: str) -> Row | None:
    if not _EMAIL.fullmatch(email):
        raise Invalid("This is not an e-mail address.", [("/email", "must look like name@host")])
    _check_role(role)
    return db.row(
        """INSERT INTO users (user_id, email, name, role, password_hash)
           VALUES (%(user_id)s, lower(%(email)s), %(name)s, %(role)s, %(password_hash)s)
           ON CONFLICT (email) DO NOTHING
           RETURNING user_id, email, token_version""",
        user_id=str(uuid_utils.uuid7()),
        email=email,
        name=name,
        role=role,
        password_hash=password_hash,
    )


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"There is no role {role!r}.", [("/role", f"choose from {', '.join(ROLES)}")])


def _locked(until: datetime, *, counted: bool) -> Locked:
    seconds = max(1, math.ceil((until - clock.now()).total_seconds()))
    return Locked(until, seconds=seconds, counted=counted)


def _spare_the_last_admin(user_id: str) -> None:
    # FOR UPDATE: two admins who demote each other at the same moment must not both succeed.
    admins = db.rows("SELECT user_id FROM users WHERE role = 'admin' AND enabled ORDER BY user_id FOR UPDATE")
    if [str(row["user_id"]) for row in admins] == [user_id]:
        raise Conflict("This is the last admin; make another one first.")


def _found(user_id: str) -> Row:
    found = user(user_id)
    if found is None:
        raise NotFound
    return found


_CHANGE = """
UPDATE users u
   SET role = coalesce(%(role)s, u.role),
       enabled = coalesce(%(enabled)s, u.enabled),
       password_hash = coalesce(%(password_hash)s, u.password_hash),
       name = coalesce(%(name)s, u.name),
       token_version = u.token_version + (coalesce(%(role)s <> u.role, false)
                                          OR coalesce(%(enabled)s <> u.enabled, false)
                                          OR %(password_hash)s IS NOT NULL)::int,
       updated_at = now()
  FROM (SELECT user_id, token_version FROM users WHERE user_id = %(user_id)s FOR NO KEY UPDATE) AS before
 WHERE u.user_id = before.user_id
RETURNING u.token_version <> before.token_version AS bears_on_access
"""
