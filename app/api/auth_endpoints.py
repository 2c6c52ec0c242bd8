"""Signing in and out: an access token for an hour, and a refresh token that works once, for a week."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, request
from pydantic import BaseModel, Field

from app import audit
from app.accounts import permissions, queries, refresh, tokens, users
from app.accounts.refresh import Session
from app.api import limits
from app.api.auth import current_principal, log, settings, signing_keys
from app.api.errors import problem_for
from app.api.glue import op
from app.api.reading import Input
from app.api.request_id import current as current_request_id
from app.api.shapes import Email, ShortText
from app.errors import Invalid, NotFound, Unauthenticated


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
    """Sign in with e-mail and password; five attempts a minute, per name and per address."""
    limits.spend_login(body.email)
    try:
        user = users.sign_in(body.email, body.password)
    except Unauthenticated as refused:
        _note("auth.failed", body.email)
        return problem_for(refused)  # returned, not raised: the note is to stay
    user_id = str(user["user_id"])
    _note("auth.signed_in", user_id)
    return _tokens(refresh.open_session(user_id, token_version=user["token_version"], life=_refresh_life()))


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
def change_password(body: PasswordIn) -> None:
    """Change your own password; every login ends, this one too."""
    principal = current_principal()
    limits.spend_login(principal.email)
    try:
        users.sign_in(principal.email, body.current_password)
    except Unauthenticated as wrong:
        raise Invalid("The current password is wrong.", [("/current_password", "is wrong")]) from wrong
    users.change(principal.user_id, password=body.new_password, actor=principal.user_id)


@op("GET", "/api/v1/me", verb="view_self", out=MeOut)
def me() -> dict[str, Any]:
    """Who you are, and what you may do."""
    principal = current_principal()
    user = queries.user(principal.user_id)
    if user is None:
        raise NotFound
    return {
        **{field: user[field] for field in ("user_id", "email", "name", "role")},
        "scopes": sorted(principal.scopes),
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
