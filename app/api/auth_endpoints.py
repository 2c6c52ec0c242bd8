"""Signing in and out: an access token for an hour, and a refresh token that works once, for a week."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from flask import Response, request
from pydantic import BaseModel, Field

from app import audit
from app.accounts import (
    devices,
    forgetting,
    links,
    logins,
    passwords,
    permissions,
    queries,
    refresh,
    tokens,
    users,
)
from app.accounts.refresh import Session
from app.api import limits
from app.api.auth import current_principal, log, settings, signing_keys
from app.api.errors import problem_for
from app.api.glue import op
from app.api.reading import Input
from app.api.request_id import current as current_request_id
from app.api.shapes import Email, ShortText, When
from app.db import Row
from app.errors import Invalid, Locked, NotFound, Unauthenticated
from app.notify.passwords import send_link


class LoginIn(Input):
    """Credentials of a person."""

    email: Email
    password: ShortText


class RefreshIn(Input):
    """A refresh token, which is spent by this."""

    refresh_token: ShortText


class PasswordIn(Input):
    """A new password, and proof that it is you."""

    current_password: ShortText
    new_password: ShortText


class ForgotIn(Input):
    """Who forgot their password."""

    email: Email


class ResetIn(Input):
    """A new password, by a link that was mailed."""

    token: ShortText = Field(description="The last part of the link's address.")
    password: ShortText


class ForgotOut(BaseModel):
    """What happens now; the same for every address."""

    detail: str


class LoginOut(BaseModel):
    """One time somebody signed in."""

    login_id: str
    kind: Literal["browser", "token"]
    method: Literal["password", "oidc", "link"]
    device: str = Field(description="As far as the program says what it is.")
    ip: str | None
    user_agent: str | None
    created_at: When
    seen_at: When = Field(description="To five minutes.")
    expires_at: When
    ended_at: When | None
    alive: bool = Field(description="Whether what came of it still works.")
    current: bool = Field(description="The one this request came by.")


class LoginsOut(BaseModel):
    """The last logins of a user, 20 at most, the living ones first."""

    logins: list[LoginOut]


class EndedOut(BaseModel):
    """How many logins were ended."""

    ended: int


class TokensOut(BaseModel):
    """What to come in with, and what to come back with."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the kind, not the token
    expires_in: int = Field(description="Seconds.")
    refresh_token: str
    refresh_expires_in: int = Field(description="Seconds.")


class MeOut(BaseModel):
    """Who you are here, and what you may do: verb to `yes`, `owner` (your own only) or `no`."""

    user_id: str
    email: str
    name: str
    role: str
    scopes: list[str]
    api_key_id: str | None = Field(description="The key you came with; null if you signed in.")
    permissions: dict[str, permissions.Access]


@op("POST", "/api/v1/auth/login", public=True, out=TokensOut, errors=(401,))
def login(body: LoginIn) -> TokensOut | Response:
    """Sign in with e-mail and password.

    More than five wrong passwords within a minute lock the account: 429 with the code `locked`, and `Retry-After`.
    """
    limits.spend_login(body.email)
    try:
        user = users.sign_in(body.email, body.password)
    except (Unauthenticated, Locked) as refused:
        return _refusal(refused, body.email)
    user_id = str(user["user_id"])
    _note("auth.signed_in", user_id)
    return _tokens(
        refresh.open_session(
            user_id,
            token_version=user["token_version"],
            life=_refresh_life(),
            ip=request.remote_addr,
            user_agent=request.user_agent.string,
        )
    )


def _refusal(refused: Unauthenticated | Locked, email: str) -> Response:
    """Returned, not raised: what was noted and counted is to stay."""
    if not isinstance(refused, Locked) or refused.counted:
        _note("auth.failed", email)
    return problem_for(refused)


@op("POST", "/api/v1/auth/refresh", public=True, out=TokensOut, errors=(401,))
def refresh_tokens(body: RefreshIn) -> TokensOut | Response:
    """Trade a refresh token for new tokens; one that was used before ends its whole login."""
    session = refresh.rotate(body.refresh_token, life=_refresh_life())
    if session is None:
        # Returned, not raised: a reused token has just revoked its family, and that is to stay.
        return problem_for(Unauthenticated("This refresh token is spent, expired or revoked; sign in again."))
    return _tokens(session)


@op("POST", "/api/v1/auth/logout", verb="view_self", status=204)
def logout(body: RefreshIn | None) -> None:
    """End the login that the access token belongs to, and the one of the refresh token if one is given."""
    principal = current_principal()
    if principal.session_id:
        refresh.close(principal.session_id)
    if body:
        refresh.close_by_token(body.refresh_token)
    audit.record("auth.signed_out", actor=principal.user_id)


@op("POST", "/api/v1/auth/password", verb="view_self", status=204)
def change_password(body: PasswordIn) -> Response | None:
    """Change your own password; every login ends, this one too."""
    principal = current_principal()
    passwords.checked(body.new_password, "/new_password")
    limits.spend_login(principal.email)
    try:
        users.sign_in(principal.email, body.current_password)
    except Locked as locked:
        return _refusal(locked, principal.email)
    except Unauthenticated:  # returned, not raised: a wrong password counts here too
        _note("auth.failed", principal.email)
        return problem_for(Invalid("The current password is wrong.", [("/current_password", "is wrong")]))
    users.change(principal.user_id, password=body.new_password, actor=principal.user_id)
    return None


@op("POST", "/api/v1/auth/forgot", public=True, out=ForgotOut, status=202)
def forgot_password(body: ForgotIn) -> dict[str, str]:
    """Have a link mailed by which the password can be chosen anew; the answer is the same for every address."""
    limits.spend_forgot(body.email)
    sends = bool(settings().smtp_host)
    person = forgetting.ask(body.email)
    if person and sends:
        send_link(person["user_id"], person["email"], "reset")
    if not sends:
        return {"detail": "This Callboard sends no mail; ask an admin for a link."}
    return {"detail": "If there is an account with this address, a link is on its way to it."}


@op("POST", "/api/v1/auth/reset", public=True, status=204, errors=(404,))
def reset_password(body: ResetIn) -> None:
    """Choose a password by a link of a mail or an invitation; it works once, and every login ends."""
    links.use(body.token, body.password)


@op("GET", "/api/v1/auth/logins", verb="view_self", out=LoginsOut)
def list_logins() -> dict[str, Any]:
    """List where you are signed in, and where you were."""
    principal = current_principal()
    return {"logins": shown(logins.of_user(principal.user_id), principal.session_id)}


@op("DELETE", "/api/v1/auth/logins", verb="manage_logins", out=EndedOut)
def end_other_logins() -> dict[str, int]:
    """Sign out everywhere but here; with an API key: everywhere."""
    principal = current_principal()
    ended = logins.end_all(principal.user_id, but=principal.session_id)
    audit.record("auth.signed_out", actor=principal.user_id, details={"logins": ended})
    return {"ended": ended}


@op("DELETE", "/api/v1/auth/logins/<login_id>", verb="manage_logins", status=204, errors=(404,))
def end_login(login_id: UUID) -> None:
    """Sign out somewhere: neither cookies nor tokens of that login work any more."""
    principal = current_principal()
    if logins.end_of(principal.user_id, str(login_id)):
        audit.record("auth.signed_out", actor=principal.user_id, details={"login": str(login_id)})


def shown(rows: list[Row], current: str | None = None) -> list[dict[str, Any]]:
    """Logins as the API shows them; `current` is the one the caller came by."""
    told = (
        {**row, "device": devices.named(row["user_agent"]), "current": row["login_id"] == current}
        for row in rows
    )
    return [{field: each[field] for field in LoginOut.model_fields} for each in told]


@op("GET", "/api/v1/me", verb="view_self", out=MeOut)
def me() -> dict[str, Any]:
    """Who you are, and what you may do."""
    principal = current_principal()
    user = queries.user(principal.user_id)
    if user is None:
        raise NotFound
    return {
        **{field: user[field] for field in ("user_id", "email", "name", "role")},
        "scopes": sorted(principal.scopes & permissions.SCOPES_OF_ROLE[principal.role]),
        "api_key_id": principal.key_id,
        "permissions": {verb: permissions.access(principal, verb) for verb in permissions.TABLE},
    }


def _refresh_life() -> timedelta:
    return timedelta(days=settings().refresh_token_days)


def _tokens(session: Session) -> TokensOut:
    life = timedelta(minutes=settings().access_token_minutes)
    return TokensOut(
        access_token=tokens.issue(session.claims, key=signing_keys(settings())[0], life=life),
        expires_in=int(life.total_seconds()),
        refresh_token=session.refresh_token,
        refresh_expires_in=int(_refresh_life().total_seconds()),
    )


def _note(event: str, who: str) -> None:
    """Write an attempt to sign in into the log and the audit."""
    log.info(event, who=who, ip=request.remote_addr)
    audit.record(event, actor=who, correlation_id=current_request_id(), details={"ip": request.remote_addr})
