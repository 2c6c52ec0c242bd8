"""Who is calling: an access token or an API key, from the headers and never from a cookie.

    Authorization: Bearer <access token | cb_… | token of a running job>        X-API-Key: cb_…

Because no cookie counts, no other site can make a browser call the API in somebody's name.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import cast

import structlog
from flask import current_app, g, request

from app.accounts import api_keys, queries, run_tokens, tokens
from app.accounts.permissions import Principal
from app.errors import Unauthenticated
from app.jobs import delegation
from app.kept import Kept
from app.observe import logs
from app.settings import Settings

log = logs.get(__name__)

POLLED = ("get_job_status", "get_job_statuses")
SCRAPER = Principal(user_id="metrics", email="", role="viewer", scopes=frozenset({"read"}))
"""Whoever brings METRICS_TOKEN: no user, and nothing but the figures."""


def authenticate() -> Principal:
    """Who calls, kept in `g.principal`; raises Unauthenticated."""
    credential = _credential()
    principal = _recognise_poll(credential) if is_polled() else _recognise(credential)
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


def is_polled() -> bool:
    """Whether the present request asks again for the status of a job, which programs do all the time."""
    endpoint = (request.endpoint or "").removeprefix("api.").partition(":")[0]
    return request.method == "GET" and endpoint in POLLED


def _recognise_poll(credential: str) -> Principal | None:
    """Who that was a second ago at most: what was taken away from them since is felt then."""
    known = hashlib.sha256(credential.encode(errors="replace")).digest()
    seen: Kept = current_app.extensions.setdefault("callboard_credentials", Kept(seconds=1, most=10_000))
    found: Principal | None = seen.answer(known, lambda: _recognise(credential))
    return found


def _recognise(credential: str) -> Principal | None:
    if _is_scraper(credential):
        return SCRAPER
    if _is_key(credential):
        return api_keys.recognise(credential)
    keys = signing_keys(settings())
    if claims := tokens.read(credential, keys=keys):
        return queries.bearer(claims)
    run = run_tokens.read(credential, keys=keys)
    return delegation.bearer(run) if run else None


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
