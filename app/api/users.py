"""Users, for admins. They are switched off and never deleted: their jobs and what the audit log says of them stay theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app import audit
from app.accounts import links, lockout, logins, queries, users
from app.api.auth import current_principal, settings
from app.api.auth_endpoints import EndedOut, LoginsOut, shown
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import Email, Page, PageQuery, ShortText, When
from app.db import Row
from app.errors import Conflict, Invalid, NotFound
from app.notify.passwords import send_link

Role = Literal["admin", "user", "viewer"]
Name = Annotated[str, StringConstraints(max_length=200)]


class UserIn(Input):
    """A user to be added."""

    email: Email
    role: Role = "user"
    name: Name = ""
    password: ShortText | None = Field(None, description="Left out: the user comes in by link or API key.")
    invite: bool = Field(
        False, description="Make a link by which the user chooses a password, and answer it."
    )
    send: bool = Field(False, description="Mail such a link instead; it is in the mail only.")


class UserPatch(Input):
    """What is to change; whatever bears on access ends the user's logins at once."""

    role: Role | None = None
    enabled: bool | None = None
    name: Name | None = None
    password: ShortText | None = None


class UserOut(BaseModel):
    """A user."""

    user_id: str
    email: str
    name: str
    role: Role
    enabled: bool
    created_at: When
    updated_at: When
    last_login_at: When | None
    locked_until: When | None = Field(description="After too many wrong passwords; null: not locked.")
    has_password: bool = Field(description="Else they come in by API key, or by another provider.")
    logins: int = Field(description="Where they are signed in now.")
    api_keys: int = Field(description="Keys that work.")


class LinkIn(Input):
    """What a link is for."""

    purpose: Literal["invite", "reset"] = "invite"
    send: bool = Field(False, description="Mail it instead of answering it.")


class LinkOut(BaseModel):
    """A link by which a user chooses a password; shown this once."""

    link: str | None = Field(description="null: it was mailed.")
    purpose: Literal["invite", "reset"]
    hours: int = Field(description="How long it works.")


class CreatedUserOut(UserOut):
    """A new user, with the link of the invitation if one was asked for; it is shown this once."""

    invite_link: str | None = None


class UsersOut(Page):
    """A page of users, by e-mail."""

    users: list[UserOut]


@op("GET", "/api/v1/users", verb="manage_users", out=UsersOut)
def list_users(query: PageQuery) -> dict[str, Any]:
    """List users."""
    page, total = queries.users(limit=query.limit, offset=query.offset)
    return {
        "users": [_shown(user) for user in page],
        "total": total,
        "limit": query.limit,
        "offset": query.offset,
    }


@op("POST", "/api/v1/users", verb="manage_users", out=CreatedUserOut, status=201, errors=(409,))
def create_user(body: UserIn) -> dict[str, Any]:
    """Add a user: with a password, by an invitation, or for API keys only."""
    actor = current_principal().user_id
    if body.password is not None and (body.invite or body.send):
        raise Invalid(
            "Whoever has a password needs no invitation.", [("/invite", "contradicts the password")]
        )
    row = users.create(body.email, body.password, role=body.role, name=body.name, actor=actor)
    link = _link(row, "invite", send=body.send) if body.invite or body.send else None
    return {**_shown(row), "invite_link": link}


@op("GET", "/api/v1/users/<user_id>", verb="manage_users", out=UserOut, errors=(404,))
def get_user(user_id: UUID) -> dict[str, Any]:
    """Show a user."""
    return _shown(_found(user_id))


@op("PATCH", "/api/v1/users/<user_id>", verb="manage_users", out=UserOut, errors=(404, 409))
def change_user(user_id: UUID, body: UserPatch) -> dict[str, Any]:
    """Change a user's role, name, password, or whether they may come in; the last admin stays one."""
    return _shown(users.change(str(user_id), **body.model_dump(), actor=current_principal().user_id))


@op("GET", "/api/v1/users/<user_id>/logins", verb="manage_users", out=LoginsOut, errors=(404,))
def list_user_logins(user_id: UUID) -> dict[str, Any]:
    """List where a user is signed in, and where they were."""
    _found(user_id)
    return {"logins": shown(logins.of_user(str(user_id)), current_principal().session_id)}


@op("DELETE", "/api/v1/users/<user_id>/logins", verb="manage_users", out=EndedOut, errors=(404,))
def end_user_logins(user_id: UUID) -> dict[str, int]:
    """Sign a user out everywhere; their API keys go on."""
    _found(user_id)
    ended = logins.end_all(str(user_id))
    _record("user.signed_out", user_id, logins=ended)
    return {"ended": ended}


@op("POST", "/api/v1/users/<user_id>/unlock", verb="manage_users", out=UserOut, errors=(404,))
def unlock_user(user_id: UUID) -> dict[str, Any]:
    """Let a user try again who was locked after too many wrong passwords."""
    _found(user_id)
    if lockout.unlock(str(user_id)):
        _record("user.unlocked", user_id)
    return _shown(_found(user_id))


@op(
    "POST",
    "/api/v1/users/<user_id>/invite-link",
    verb="manage_users",
    out=LinkOut,
    status=201,
    errors=(404, 409),
)
def make_user_link(user_id: UUID, body: LinkIn | None) -> dict[str, Any]:
    """Make a link by which a user chooses a password, once: an invitation for 7 days, or a reset for an hour.

    Earlier links of the same kind stop working.
    """
    wish = body or LinkIn()
    link = _link(_found(user_id), wish.purpose, send=wish.send)
    hours = int(links.LIVES[wish.purpose].total_seconds() // 3600)
    return {"link": link, "purpose": wish.purpose, "hours": hours}


def _link(row: Row, purpose: links.Purpose, *, send: bool) -> str | None:
    """The address of a new link; None if it is mailed, because then the courier makes it."""
    user_id, told = str(row["user_id"]), settings()
    if not send:
        return links.address(told.public_url, links.make(user_id, purpose, by=current_principal().user_id))
    if not told.smtp_host:
        raise Invalid("This Callboard sends no mail: set SMTP_HOST.", [("/send", "needs a mail server")])
    if not row["enabled"]:
        raise Conflict("This account is switched off; switch it on first.")
    send_link(user_id, row["email"], purpose)
    _record("user.link_sent", UUID(user_id), purpose=purpose)
    return None


def _record(action: str, user_id: UUID, **details: object) -> None:
    audit.record(action, actor=current_principal().user_id, subject=str(user_id), details=details or None)


def _found(user_id: UUID) -> Row:
    user = queries.user(str(user_id))
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user


def _shown(user: Row) -> dict[str, Any]:
    return {field: user[field] for field in UserOut.model_fields}
