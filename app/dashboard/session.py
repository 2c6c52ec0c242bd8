"""Coming in and going out by browser: a signed cookie for 12 hours, ended at once by a change of the account.

Writes need the form's token (flask-wtf) and must come from this site's own pages (Sec-Fetch-Site); only the
dashboard has cookies, so only the dashboard has these checks.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import cast

import flask_login
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask import session as cookie
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter
from flask_wtf.csrf import CSRFError, CSRFProtect, validate_csrf
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from app import audit
from app.accounts import attempts, permissions, queries, users
from app.accounts.permissions import Principal
from app.db import AWAY, Row, db
from app.errors import Forbidden, Malformed, Unauthenticated
from app.kept import Kept
from app.observe import logs
from app.settings import Settings

LIFETIME = timedelta(hours=12)
ATTEMPTS = "5 per minute;20 per hour"
THEMES = ("light", "dark")
PUBLIC = {
    "dashboard.sign_in",
    "dashboard.signing_in",
    "dashboard.theme",
    "dashboard.approval_link",
    "dashboard.approval_link_answering",
}

WITHOUT_REFERER = {"dashboard.approval_link_answering"}
"""Their pages send none, because their address is a secret; `protect` demands one of whoever comes by https."""

WITHOUT_TOKEN = {"dashboard.polling_report"}
"""Beacons carry no form; they must say that they come from here."""

_seen = Kept(seconds=1, most=10_000)
csrf = CSRFProtect()
log = logs.get(__name__)
limiter = Limiter(
    key_func=lambda: request.remote_addr or "nowhere",
    key_prefix="callboard-sign-in",
    in_memory_fallback_enabled=True,
    strategy="fixed-window",
)


class CookieAsSecureAsTheRequest(SecureCookieSessionInterface):
    """Sends the cookie with `Secure` to whoever came by https, so that plain http at home works too."""

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Whether this answer went out encrypted (ProxyFix has set it right behind a proxy)."""
        return request.is_secure


class Person(flask_login.UserMixin):
    """Who is signed in, as Flask-Login wants it; the version in the id ends sessions of changed accounts."""

    def __init__(self, row: Row) -> None:
        """Take what is needed from the user's row."""
        self.principal = Principal(user_id=str(row["user_id"]), email=row["email"], role=row["role"])
        self._id = f"{row['user_id']}:{row['token_version']}"

    def get_id(self) -> str:
        """What the cookie carries."""
        return self._id


def register(app: Flask, blueprint: Blueprint) -> None:
    """Guard every page of `blueprint`."""
    settings: Settings = app.config["CALLBOARD"]
    app.config.update(
        SESSION_COOKIE_NAME="callboard",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        SESSION_REFRESH_EACH_REQUEST=False,  # else every poll would prolong the session for ever
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # a page may stay open for days
    )
    app.config.setdefault("CALLBOARD_LOGIN_LIMIT", ATTEMPTS)
    app.config.setdefault("RATELIMIT_STORAGE_URI", settings.redis_url or "memory://")
    app.session_interface = CookieAsSecureAsTheRequest()
    csrf.init_app(app)
    limiter.init_app(app)
    limiter.request_filter(_is_poll)
    # No context processor: error pages must not ask for the user, because the database may be the error.
    people = flask_login.LoginManager(app, add_context_processor=False)
    people.session_protection = None
    people.user_loader(_load)
    blueprint.before_request(_guard)
    blueprint.after_request(_note_refused)
    app.context_processor(_context)


def _is_poll() -> bool:
    """Whether a page asks what is new, which no limit of this door counts."""
    return request.method == "GET" and request.path.startswith("/ui/")


def _load(cookie_id: str) -> Person | None:
    """Whose cookie that is; for polls as it was a second ago at most, for everything else now."""
    found: Person | None = (
        _seen.answer(cookie_id, lambda: _person(cookie_id)) if _is_poll() else _person(cookie_id)
    )
    return found


def _person(cookie_id: str) -> Person | None:
    user_id, _, version = cookie_id.partition(":")
    row = queries.user(user_id)
    return Person(row) if row and row["enabled"] and str(row["token_version"]) == version else None


def _guard() -> None:
    """Before every page: an address that can be one, from our own pages, with our token, and signed in."""
    if "\x00" in request.path or any(
        "\x00" in each for pair in request.args.items(multi=True) for each in pair
    ):
        raise Malformed("An address has no NUL.")
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise Forbidden("This was sent from another site.")
        if request.endpoint in WITHOUT_TOKEN:
            _check_origin()
        else:
            _check_token()
    if request.endpoint in PUBLIC:
        return
    person = flask_login.current_user
    if not person.is_authenticated:
        raise Unauthenticated
    g.principal = person.principal


def _check_origin() -> None:
    """By Sec-Fetch-Site, which browsers send to trustworthy addresses only, else by Origin."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site != "same-origin" and (site or f"{origin}/" != request.host_url):
        raise Forbidden("This was sent from another site.")


def _check_token() -> None:
    try:
        if request.endpoint in WITHOUT_REFERER:
            validate_csrf(request.form.get("csrf_token"))
        else:
            csrf.protect()
    except (CSRFError, ValueError):  # what validate_csrf raises is a ValueError
        raise Malformed("The form was too old. Reload the page and send it again.") from None


def _context() -> dict[str, object]:
    """What every template may know: who asks, what they may do, and the chosen theme."""
    chosen = request.cookies.get("theme") if request else None
    principal = g.get("principal")
    return {
        "principal": principal,
        "may": lambda verb, *owner: principal is not None and permissions.may(principal, verb, *owner),
        "theme": chosen if chosen in THEMES else None,
    }


def asking() -> Principal:
    """Who asks, in a page that is not public."""
    return cast(Principal, g.principal)


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.config["CALLBOARD"])


def sign_in() -> AnyResponse | str:
    """GET /sign-in: the form; who is signed in already goes on."""
    if flask_login.current_user.is_authenticated:
        return redirect(_back(request.args.get("next")))
    return _form(back=request.args.get("next", ""))


def login_limit() -> str:
    """How often somebody may be wrong about a password."""
    return str(current_app.config["CALLBOARD_LOGIN_LIMIT"])


def _tried_name() -> str:
    return request.form.get("email", "").strip().lower()[:200]


def _refused(response: Response) -> bool:
    return response.status_code == 401


@limiter.shared_limit(login_limit, scope="sign-in-address", deduct_when=_refused)
@limiter.shared_limit(login_limit, scope="sign-in-name", key_func=_tried_name, deduct_when=_refused)
def signing_in() -> AnyResponse:
    """POST /sign-in: check the credentials, begin a new session, go where the person wanted to."""
    email, back = request.form.get("email", "").strip(), request.form.get("next", "")
    try:
        row = users.sign_in(email, request.form.get("password", ""))
    except Unauthenticated as wrong:
        _note("auth.failed", email.lower()[:200])
        return make_response(_form(back=back, email=email, wrong=wrong.message), 401)
    _note("auth.signed_in", str(row["user_id"]))
    cookie.clear()  # a session known before signing in is worth nothing afterwards
    cookie.permanent = True
    flask_login.login_user(Person(row))
    return redirect(_back(back), 303)


def _note(event: str, who: str) -> None:
    """Write an attempt to sign in into the log and the audit, for good: nothing else is under way."""
    log.info(event, who=who, ip=request.remote_addr)
    audit.record(event, actor=who, correlation_id=g.get("request_id"), details={"ip": request.remote_addr})
    db.session.commit()


def _note_refused(response: Response) -> Response:
    """Write down that somebody tries to sign in again and again, though nobody looked at the password any more."""
    if response.status_code == 429 and request.endpoint == "dashboard.signing_in":
        with suppress(*AWAY), db.transaction():
            attempts.limited(request.remote_addr, request_id=g.get("request_id"))
    return response


def _form(*, back: str, email: str = "", wrong: str = "") -> str:
    return render_template("session/sign_in.html", back=back, email=email, wrong=wrong)


def sign_out() -> AnyResponse:
    """POST /sign-out: forget the session."""
    flask_login.logout_user()
    cookie.clear()
    flash("You are signed out.", "green")
    return redirect(url_for("dashboard.sign_in"), 303)


def theme() -> AnyResponse:
    """POST /theme: light or dark, kept in a cookie; what the button does where there is no JavaScript."""
    now = request.cookies.get("theme")
    response = redirect(_back(request.form.get("next")), 303)
    response.set_cookie("theme", "light" if now == "dark" else "dark", max_age=31_536_000, samesite="Lax")
    return response


def _back(wanted: str | None) -> str:
    """`wanted` if it is a page of ours, else the first page: never another site, never a fragment."""
    home = url_for("dashboard.now")
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\", "/ui/", "/sign-")):
        return home
    path = wanted.partition("?")[0]
    try:
        endpoint, _ = current_app.create_url_adapter(request).match(path, method="GET")  # type: ignore[union-attr]
    except (HTTPException, RequestRedirect):
        return home
    return wanted if endpoint.startswith("dashboard.") else home
