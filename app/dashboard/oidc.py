"""Signing in with an OpenID Connect provider: authorization code flow with PKCE, state and nonce (SEC-22).

Authlib speaks the protocol and checks the tokens; what is here narrows what it may accept, and says in
sentences what went wrong. Where the provider is comes from the settings only. State, nonce and the PKCE
verifier are in the signed cookie, which also is what keeps others from signing somebody in as themselves.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from flask import Flask, Response, current_app, make_response, redirect, render_template, request, url_for
from flask import session as cookie
from joserfc.errors import JoseError
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import oidc
from app.dashboard import session
from app.dashboard.session import login_limit, settings
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.limiter import limiter
from app.observe import logs
from app.settings import Settings

NAME = "oidc"
TIMEOUT_SECONDS = 5
METADATA_SECONDS = 3600.0
"""The provider's own description and its keys are asked for again after so long; unknown keys at once."""
AWAY_SECONDS = 10.0
"""After it did not answer, nobody waits for it again for so long."""
STARTS = "30 per minute"
LONGEST_BACK = 1000
LONGEST_NAME = 100
LONGEST_ID = 255
# Signatures by a key that only the provider has: never `none`, never by a secret that others know, too.
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_KEPT = ("issuer", *ENDPOINTS, "userinfo_endpoint")
_STATE = f"_state_{NAME}_"
_BACK = "oidc_back"
log = logs.get(__name__)


class Misfit(Exception):
    """The provider answered, and not as a provider of this issuer must."""


class Provider(FlaskOAuth2App):
    """Authlib's client, which takes only what belongs to the configured issuer."""

    server_metadata: dict[str, Any]

    def __init__(self, told: Settings) -> None:
        """Nothing is asked of the provider before somebody signs in."""
        self.issuer = told.oidc_issuer
        self._asking = Lock()
        self._away_until = float("-inf")
        super().__init__(
            FlaskIntegration(NAME),
            NAME,
            client_id=told.oidc_client_id,
            client_secret=told.oidc_client_secret,
            server_metadata_url=f"{told.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": told.oidc_scopes,
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_SECONDS,
            },
            user_agent="Callboard",
        )

    def load_server_metadata(self) -> dict[str, Any]:
        """What the provider says of itself, kept for an hour; while it is away nobody waits for it twice."""
        with self._asking:
            known = self.server_metadata
            if time.time() - known.get("_loaded_at", 0) < METADATA_SECONDS:
                return known
            if time.monotonic() < self._away_until:
                raise requests.ConnectionError("the provider did not answer a moment ago")
            try:
                self.server_metadata = self._described()
            except requests.RequestException:
                self._away_until = time.monotonic() + AWAY_SECONDS
                raise
            return self.server_metadata

    def fetch_jwk_set(self, force: bool = False) -> dict[str, Any]:
        """The provider's keys as it sent them; asked for anew if `force`, as Authlib does for an unknown key."""
        keys: Any = super().fetch_jwk_set(force=force)
        if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
            self.server_metadata.pop("jwks", None)
            raise Misfit("its keys are no JWK set")
        return keys

    def _described(self) -> dict[str, Any]:
        with self._get_session() as http:
            answer = http.request("GET", self._server_metadata_url, withhold_token=True)
            answer.raise_for_status()
            said = answer.json()
        if not isinstance(said, dict) or said.get("issuer") != self.issuer:
            raise Misfit("it calls itself another issuer than OIDC_ISSUER")
        return checked(said) | {"_loaded_at": time.time()}


def checked(said: dict[str, Any]) -> dict[str, Any]:
    """Of a provider's description what is used here; raises Misfit for what cannot be trusted."""
    scheme = urlsplit(said["issuer"]).scheme
    addresses = {name: said.get(name) for name in (*ENDPOINTS, "userinfo_endpoint")}
    for name, address in addresses.items():
        if name in ENDPOINTS and not address:
            raise Misfit(f"it has no {name}")
        if address and (not isinstance(address, str) or urlsplit(address).scheme not in {"https", scheme}):
            raise Misfit(f"its {name} is not encrypted")
    offered = said.get("id_token_signing_alg_values_supported") or ["RS256"]
    algorithms = [name for name in ALGORITHMS if name in offered]
    if not algorithms:
        raise Misfit("it signs with none of the algorithms that are accepted")
    methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    by_post = "client_secret_basic" not in methods and "client_secret_post" in methods
    return {name: said[name] for name in _KEPT if name in said} | {
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_method": "client_secret_post" if by_post else "client_secret_basic",
    }


def register(app: Flask) -> None:
    """Make `oidc_name()` known to the sign-in page: what its button says, '' without a provider."""
    app.jinja_env.globals["oidc_name"] = _name


def _name() -> str:
    return settings().oidc_name if settings().oidc_issuer else ""


def _provider() -> Provider:
    """The one of this process; NotFound if none is configured."""
    if not settings().oidc_issuer:
        raise NotFound
    kept: Provider = current_app.extensions.setdefault("callboard-oidc", Provider(settings()))
    return kept


@limiter.limit(STARTS)
def start() -> AnyResponse:
    """GET /sign-in/oidc: off to the provider; who is signed in already goes on."""
    if session.signed_in():
        return redirect(session.where(request.args.get("next")))
    provider = _provider()
    for old in [key for key in cookie if key.startswith(_STATE)]:
        cookie.pop(old)  # one attempt at a time, or the cookie grows beyond what browsers keep
    cookie[_BACK] = request.args.get("next", "")[:LONGEST_BACK]
    try:
        return cast(AnyResponse, provider.authorize_redirect(_address()))
    except (requests.RequestException, Misfit, ValueError) as fault:
        return _away(fault)


def _address() -> str:
    """Where the provider sends people back to; it must be registered there."""
    site = settings().base_url.rstrip("/") or request.url_root.rstrip("/")
    return site + url_for("dashboard.oidc_return")


def _refused(response: Response) -> bool:
    return response.status_code == 401


@limiter.shared_limit(login_limit, scope="sign-in-address", deduct_when=_refused)
def come_back() -> AnyResponse:
    """GET /sign-in/oidc/return: what the provider says is checked; then a session begins as with a password."""
    back = cookie.pop(_BACK, "")
    if session.signed_in():  # by going back in the browser, or in another tab
        return redirect(session.where(back))
    provider = _provider()
    try:
        row = oidc.admit(_identity(provider, _token(provider)), _rules(settings()))
    except MismatchingStateError:
        return _no("state", "This sign-in began elsewhere, or too long ago. Begin it again.")
    except OAuthError as fault:
        return _no_by(fault)
    except (JoseError, Misfit, ValueError, KeyError) as fault:
        log.warning("oidc.unfit", error=type(fault).__name__, why=str(fault)[:200])
        return _no(
            "token", f"What {_name()} answered does not prove who you are. Begin again, or ask an admin."
        )
    except requests.RequestException as fault:
        return _away(fault)
    except (oidc.Refused, Invalid) as refused:
        db.session.rollback()
        return _no(getattr(refused, "reason", "email"), refused.message)
    session.come_in(row, method="oidc")
    return redirect(session.where(back), 303)


def _token(provider: Provider) -> Row:
    token: Row = provider.authorize_access_token(leeway=30)
    if not token.get("userinfo"):
        raise Misfit("it sent no id_token")
    return token


def _identity(provider: Provider, token: Row) -> oidc.Identity:
    """Who the token speaks of; what it leaves out is asked for at the provider."""
    claims, claim = dict(token["userinfo"]), settings().oidc_role_claim
    thin = "email" not in claims or (claim and found(claims, claim) is None)
    if thin and provider.server_metadata.get("userinfo_endpoint"):
        more = dict(provider.userinfo(token=token))
        if more.get("sub") != claims["sub"]:
            raise Misfit("its userinfo speaks of somebody else")
        claims = more | claims
    return oidc.Identity(
        issuer=provider.issuer,
        subject=_subject(claims["sub"]),
        email=_line(claims.get("email")),
        email_verified=_is_true(claims.get("email_verified")),
        name=_line(claims.get("name") or claims.get("preferred_username"))[:LONGEST_NAME],
        groups=_groups(found(claims, claim) if claim else None),
    )


def found(claims: dict[str, Any], path: str) -> Any:
    """The claim called `path`, or what a path of dots leads to; None if there is none."""
    if path in claims:
        return claims[path]
    here: Any = claims
    for part in path.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _groups(value: Any) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    return (
        frozenset(each for each in listed if isinstance(each, str))
        if isinstance(listed, list)
        else frozenset()
    )


def _line(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def _is_true(value: Any) -> bool:
    """Some providers write it as a word; anything else is not a yes."""
    return value is True or value == "true"


def _subject(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > LONGEST_ID or not value.isprintable():
        raise Misfit("its subject is no id")
    return value


def _rules(told: Settings) -> oidc.Rules:
    return oidc.Rules(
        default_role=told.oidc_default_role,
        allowed_domains=told.oidc_allowed_domains,
        by_groups=bool(told.oidc_role_claim),
        admin_groups=frozenset(told.oidc_admin_groups),
        user_groups=frozenset(told.oidc_user_groups),
    )


def _no_by(fault: OAuthError) -> AnyResponse:
    if fault.error == "access_denied":
        return _no("denied", f"You did not sign in at {_name()}.")
    log.warning("oidc.refused", error=str(fault.error)[:100])
    return _no("provider", f"{_name().capitalize()} did not take this sign-in. Begin again, or ask an admin.")


def _no(reason: str, words: str) -> AnyResponse:
    session.note("auth.failed", "", method=NAME, reason=reason)
    return make_response(_page(words), 401)


def _away(fault: Exception) -> AnyResponse:
    log.warning("oidc.away", error=type(fault).__name__, why=str(fault)[:200])
    words = f"{_name().capitalize()} cannot be reached at the moment. Signing in with a password works."
    response = make_response(_page(words), 503)
    response.headers["Retry-After"] = str(int(AWAY_SECONDS))
    return response


def _page(wrong: str) -> str:
    return render_template("session/sign_in.html", back="", email="", wrong=wrong)
