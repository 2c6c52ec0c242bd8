"""Coming in and going out by browser: a signed cookie for 12 hours that names its login, and works while that lives.

Writes need the form's token (flask-wtf) and must come from this site's own pages (Sec-Fetch-Site); only the
dashboard has cookies, so only the dashboard has these checks.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, cast, overload

from flask import (
    Blueprint,
    Flask,
    Request,
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
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_limiter import RequestLimit
from flask_wtf.csrf import CSRFError, CSRFProtect, validate_csrf
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from app import audit, clock
from app.accounts import attempts, logins, permissions, queries, users
from app.accounts.permissions import Principal
from app.dashboard.htmx import is_poll
from app.db import AWAY, Row, db
from app.errors import Forbidden, Locked, Malformed, Unauthenticated, waiting
from app.kept import Kept
from app.limiter import limiter
from app.observe import logs
from app.settings import Settings

LIFETIME = timedelta(hours=12)
ATTEMPTS = "10 per minute;20 per hour"
"""Wrong passwords from one address, and for one name: as by the API. An account locks sooner (app/accounts/lockout.py)."""
THEMES = ("light", "dark")
PUBLIC = {
    "dashboard.sign_in",
    "dashboard.signing_in",
    "dashboard.oidc_start",
    "dashboard.oidc_return",
    "dashboard.theme",
    "dashboard.approval_link",
    "dashboard.approval_link_answering",
    "dashboard.forgot",
    "dashboard.forgetting",
    "dashboard.choose_password",
    "dashboard.choosing_password",
}

WHO = "_user_id"
"""In the cookie: who is signed in."""

WITHOUT_REFERER = {"dashboard.approval_link_answering", "dashboard.choosing_password"}
"""Their pages send none, because their address is a secret; `protect` demands one of whoever comes by https."""

WITHOUT_TOKEN = {"dashboard.polling_report"}
"""Beacons carry no form; they must say that they come from here."""

_seen = Kept(seconds=1, most=10_000)
_unpacked = Kept(seconds=600, most=10_000)
"""What genuine cookies say, and when they were signed; whether they still count is asked each time."""
csrf = CSRFProtect()
log = logs.get(__name__)


def _counts(signed_at: datetime, most: timedelta) -> bool:
    """Whether what was signed then is no older than `most`, nor from too far ahead, by the clock that signers take."""
    return -clock.APART <= datetime.fromtimestamp(time.time(), UTC) - signed_at <= most


class PatientSigner(TimestampSigner):
    """One that takes what another host signed whose clock is ahead of ours; the stock one signs its people out."""

    @overload
    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: Literal[False] = False
    ) -> bytes: ...

    @overload
    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: Literal[True] = True
    ) -> tuple[bytes, datetime]: ...

    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False
    ) -> tuple[bytes, datetime] | bytes:
        """What was signed; SignatureExpired if that was longer ago than `max_age`, or lies too far ahead."""
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        if max_age is not None and not _counts(signed_at, timedelta(seconds=max_age)):
            raise SignatureExpired(f"signed at {signed_at}", payload=value, date_signed=signed_at)
        return (value, signed_at) if return_timestamp else value


class CookieAsSecureAsTheRequest(SecureCookieSessionInterface):
    """Sends the cookie with `Secure` to whoever came by https, so that plain http at home works too."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The stock one with our signer."""
        serializer = super().get_signing_serializer(app)
        if serializer:
            serializer.signer = PatientSigner
        return serializer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """What the cookie says; the API has no session, and what a page brings again with each poll is unpacked once."""
        if request.path.startswith("/api/"):
            return None
        text = request.cookies.get(self.get_cookie_name(app))
        if not text or not is_poll():
            return super().open_session(app, request)
        try:
            said, signed_at = _unpacked.answer((app.secret_key, text), lambda: self._unpack(app, text))
        except BadSignature:
            return SecureCookieSession()
        return SecureCookieSession(said if _counts(signed_at, LIFETIME) else {})

    def _unpack(self, app: Flask, text: str) -> tuple[Row, datetime]:
        signer = self.get_signing_serializer(app)
        assert signer is not None  # there is a secret key
        return cast(tuple[Row, datetime], signer.loads(text, return_timestamp=True))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Mostly there is nothing to save: then it is only said that the answer depends on the cookie."""
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed and "Vary" not in response.headers:
            response.headers["Vary"] = "Cookie"
        elif session.accessed:
            response.vary.add("Cookie")

    def get_cookie_name(self, app: Flask) -> str:
        """Where all come by https, a name with which browsers take the cookie from this very host only."""
        name: str = app.config["SESSION_COOKIE_NAME"]
        return f"__Host-{name}" if app.config["CALLBOARD"].force_https else name

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Whether this answer went out encrypted (ProxyFix has set it right behind a proxy)."""
        return request.is_secure


def register(app: Flask, blueprint: Blueprint) -> None:
    """Guard every page of `blueprint`."""
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
    app.session_interface = CookieAsSecureAsTheRequest()
    csrf.init_app(app)
    blueprint.before_request(_guard)
    blueprint.after_request(_note_refused)
    app.context_processor(_context)


def signed_in() -> Principal | None:
    """Whose cookie came along: for polls as it was a second ago at most, for everything else now."""
    cookie_id = cookie.get(WHO, "")
    found: Principal | None = (
        _seen.answer(cookie_id, lambda: _person(cookie_id)) if is_poll() else _person(cookie_id)
    )
    return found


def _person(cookie_id: str) -> Principal | None:
    parts = cookie_id.split(":")
    if len(parts) != 3:  # nobody, or signed in before logins were kept
        return None
    user_id, version, login_id = parts
    row = queries.signed_in(user_id, int(version), login_id)
    if row is None:
        return None
    if row["use_is_news"]:
        with suppress(*AWAY), db.transaction():
            logins.touch(login_id)
    return _principal(row, login_id)


def _principal(row: Row, login_id: str) -> Principal:
    return Principal(user_id=str(row["user_id"]), email=row["email"], role=row["role"], session_id=login_id)


def _guard() -> None:
    """Before every page: an address that can be one, from our own pages, with our token, and signed in."""
    if "\x00" in request.path or b"%00" in request.query_string:
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
    person = signed_in()
    if person is None:
        raise Unauthenticated
    g.principal = person


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
    if signed_in():
        return redirect(where(request.args.get("next")))
    return _form(back=request.args.get("next", ""))


def login_limit() -> str:
    """How often somebody may be wrong about a password."""
    return str(current_app.config["CALLBOARD_LOGIN_LIMIT"])


def _tried_name() -> str:
    return request.form.get("email", "").strip().lower()[:200]


def _refused(response: Response) -> bool:
    return response.status_code == 401


def _too_many(limit: RequestLimit) -> Response:
    """The form again, with when to try again, for whoever was wrong too often from one address."""
    seconds = max(1, math.ceil(limit.reset_at - time.time()))
    return _wait(f"Too many attempts. Try again in {waiting(seconds)}.", seconds)


def _wait(words: str, seconds: int) -> Response:
    email, back = request.form.get("email", "").strip(), request.form.get("next", "")
    response = make_response(_form(back=back, email=email, wrong=words), 429)
    response.headers["Retry-After"] = str(seconds)
    return response


@limiter.shared_limit(login_limit, scope="sign-in-address", deduct_when=_refused, on_breach=_too_many)
@limiter.shared_limit(
    login_limit, scope="sign-in-name", key_func=_tried_name, deduct_when=_refused, on_breach=_too_many
)
def signing_in() -> AnyResponse:
    """POST /sign-in: check the credentials, begin a new session, go where the person wanted to."""
    email, back = request.form.get("email", "").strip(), request.form.get("next", "")
    try:
        row = users.sign_in(email, request.form.get("password", ""))
    except Unauthenticated as wrong:
        note("auth.failed", email.lower()[:200])
        return make_response(_form(back=back, email=email, wrong=wrong.message), 401)
    except Locked as locked:
        if locked.counted:
            note("auth.failed", email.lower()[:200])
        return _wait(locked.message, locked.retry_after)
    come_in(row, method="password")
    return redirect(where(back), 303)


def come_in(row: Row, *, method: logins.Method) -> None:
    """Begin a session for a user who has just proved who they are: a login, an audit entry, a new cookie; commits."""
    user_id = str(row["user_id"])
    login_id = logins.open_login(
        user_id,
        kind="browser",
        method=method,
        ip=request.remote_addr,
        user_agent=request.user_agent.string,
        life=LIFETIME,
    )
    note("auth.signed_in", user_id, method=method)
    cookie.clear()  # a session known before signing in is worth nothing afterwards
    cookie.permanent = True
    _remember(row, login_id)


def go_on(row: Row) -> None:
    """Keep the present session though the account has changed: its cookie gets the user's new version."""
    _remember(row, str(asking().session_id))


def _remember(row: Row, login_id: str) -> None:
    """In the cookie, with the version and the login, which end sessions that are over."""
    cookie[WHO] = f"{row['user_id']}:{row['token_version']}:{login_id}"
    g.came_in = _principal(row, login_id)


def note(event: str, who: str, **more: str) -> None:
    """Write an attempt to sign in into the log and the audit, for good: commits, as nothing else is under way."""
    details = {"ip": request.remote_addr, **more}
    log.info(event, who=who, **details)
    audit.record(event, actor=who, correlation_id=g.get("request_id"), details=details)
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
    """POST /sign-out: end the login, so that no copy of the cookie opens anything, and forget the session."""
    who = asking()
    if who.session_id:
        logins.end(who.session_id)
    audit.record("auth.signed_out", actor=who.user_id)
    db.session.commit()
    cookie.clear()
    flash("You are signed out.", "green")
    return redirect(url_for("dashboard.sign_in"), 303)


def theme() -> AnyResponse:
    """POST /theme: light or dark, kept in a cookie; what the button does where there is no JavaScript."""
    now = request.cookies.get("theme")
    response = redirect(where(request.form.get("next")), 303)
    response.set_cookie("theme", "light" if now == "dark" else "dark", max_age=31_536_000, samesite="Lax")
    return response


def where(wanted: str | None) -> str:
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
