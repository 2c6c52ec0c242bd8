"""Choosing a password without having one: /forgot asks for a link by mail, /reset/<token> is where it leads.

Looking at a link changes nothing, because mail scanners open every link. The token is a secret that stands in an
address: app/dashboard/headers.py keeps it out of caches and Referer headers, and loggable() there out of logs.
"""

from __future__ import annotations

from flask import current_app, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import forgetting, links, passwords
from app.dashboard import forms
from app.dashboard.session import settings
from app.db import db
from app.errors import Invalid, NotFound
from app.limiter import FORGOT_ADDRESS, FORGOT_NAME, limiter
from app.notify.passwords import send_link

TRIED = "30 per minute;200 per hour"
"""Looks at links from one address; a token cannot be guessed, but nobody should be able to try for long."""


def _by_address() -> str:
    return str(current_app.config.get("CALLBOARD_FORGOT_LIMIT", FORGOT_ADDRESS))


def _by_name() -> str:
    return str(current_app.config.get("CALLBOARD_FORGOT_LIMIT", FORGOT_NAME))


def _tried() -> str:
    return str(current_app.config.setdefault("CALLBOARD_LINK_LIMIT", TRIED))


def _name() -> str:
    return request.form.get("email", "").strip().lower()[:200]


def page() -> str:
    """GET /forgot: where to send the link."""
    return render_template("session/forgot.html", mails=bool(settings().smtp_host), asked=False)


@limiter.shared_limit(_by_address, scope="forgot-address")
@limiter.shared_limit(_by_name, scope="forgot-name", key_func=lambda: _name() or "nobody")
def ask() -> str:
    """POST /forgot: the same answer whether or not somebody has that address."""
    sends = bool(settings().smtp_host)
    person = forgetting.ask(_name())
    if person and sends:
        send_link(person["user_id"], person["email"], "reset")
    db.session.commit()
    return render_template("session/forgot.html", mails=sends, asked=True)


@limiter.shared_limit(_tried, scope="account-link")
def choose(token: str) -> AnyResponse:
    """GET /reset/<token>: the form, or why the link does not work."""
    try:
        return _form(token)
    except NotFound as over:
        return _over(over)


@limiter.shared_limit(_tried, scope="account-link")
def choosing(token: str) -> AnyResponse:
    """POST /reset/<token>: the new password, and off to sign in with it."""
    new, again = request.form.get("new", ""), request.form.get("again", "")
    try:
        if new != again:
            return _form(token, {"again": "is not the same as the new password"})
        try:
            passwords.checked(new)
        except Invalid as wrong:
            return _form(token, {"new": forms.complaints(wrong).get("password", wrong.message)})
        links.use(token, new)
    except NotFound as over:
        db.session.rollback()
        return _over(over)
    db.session.commit()
    flash("The password is chosen. Sign in with it.", "green")
    return redirect(url_for("dashboard.sign_in"), 303)


def _form(token: str, wrong: dict[str, str] | None = None) -> AnyResponse:
    drawn = render_template(
        "session/choose_password.html",
        token=token,
        link=links.read(token),
        wrong=wrong or {},
        shortest=passwords.SHORTEST,
        longest=passwords.LONGEST,
    )
    return make_response(drawn, 422 if wrong else 200)


def _over(over: NotFound) -> AnyResponse:
    return make_response(render_template("session/link_over.html", said=over.message), 404)
