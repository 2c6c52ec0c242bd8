"""Who is calling: an access token or an API key, from the headers and never from a cookie.

    Authorization: Bearer <access token | cb_…>        X-API-Key: cb_…

Because no cookie counts, no other site can make a browser call the API in somebody's name.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import cast

import structlog
from flask import current_app, g, request

from app.accounts import api_keys, queries, tokens
from app.accounts.permissions import Principal
from app.errors import Unauthenticated
from app.observe import logs
from app.settings import Settings

log = logs.get(__name__)

SCRAPER = Principal(user_id="metrics", email="", role="viewer", scopes=frozenset({"read"}))
"""Whoever brings METRICS_TOKEN: no user, and nothing but the figures."""


def authenticate() -> Principal:
    """Who calls, kept in `g.principal`; raises Unauthenticated."""
    credential = _credential()
    principal = _recognise(credential)
    if principal is None:
        log.warning(
            "auth.failed", ip=request.remote_addr, kind="api_key" if _is_key(credential) else "access_token"
        )
        raise Unauthenticated("This token or key is not valid (any more).")
    g.principal = principal
    structlog.contextvars.bind_contextvars(user_id=principal.user_id)
    return principal


def current_principal() -> Principal:
    """Who calls, in a view that is not public."""
    return cast(Principal, g.principal)


def signing_keys(settings: Settings) -> tuple[str, ...]:
    """The keys of access tokens; the first signs, and those of a rotation are accepted besides."""
    return settings.token_keys


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.config["CALLBOARD"])


def _credential() -> str:
    kind, _, credential = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and credential.strip():
        return credential.strip()
    if key := request.headers.get("X-API-Key", "").strip():
        return key
    raise Unauthenticated


def _recognise(credential: str) -> Principal | None:
    if _is_scraper(credential):
        return SCRAPER
    if _is_key(credential):
        return api_keys.recognise(credential)
    claims = tokens.read(credential, keys=signing_keys(settings()))
    return queries.bearer(claims) if claims else None


def _is_scraper(credential: str) -> bool:
    """Whether it is METRICS_TOKEN, at the one place where that counts."""
    token = settings().metrics_token
    return (
        bool(token)
        and request.endpoint == "api.get_prometheus_metrics"
        and compare_digest(credential.encode(), token.encode())
    )


def _is_key(credential: str) -> bool:
    return credential.startswith("cb_")
