"""GET /settings: one's own account, logins and keys, where else things are set, and, for admins, the settings in force."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import audit, clock
from app.accounts import api_keys, devices, logins, passwords, queries, users
from app.accounts.permissions import SCOPES, SCOPES_OF_ROLE, demand, may
from app.dashboard import forms, nav
from app.dashboard.session import asking, go_on, login_limit, note, settings
from app.db import Row, db
from app.errors import Invalid, Locked, NotFound, Unauthenticated
from app.limiter import limiter

MOST_KEYS = 100
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# How long a new key may live, in days; "" is for ever.
LIVES = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}
USUAL_LIFE = "90"
LONGEST_NAME = 100
# Values that open something, though their field does not say so by `repr=False`.
SECRETS = {"secret_key", "jwt_secret", "admin_password", "admin_api_key", "database_url", "redis_url"}

Wrong = dict[str, dict[str, str]]


def page() -> str:
    """GET /settings."""
    return _page()


def _page(*, wrong: Wrong | None = None, fresh: api_keys.FreshKey | None = None, name: str = "") -> str:
    who = asking()
    keys, total = queries.api_keys(who.user_id, limit=MOST_KEYS, offset=0)
    return render_template(
        "settings/page.html",
        person=queries.user(who.user_id),
        logins=[each | {"device": devices.named(each["user_agent"])} for each in _living(who.user_id)],
        this_login=who.session_id,
        keys=[key for key in keys if key["revoked_at"] is None],
        revoked=total - sum(key["revoked_at"] is None for key in keys),
        scopes=[scope for scope in SCOPES if scope in SCOPES_OF_ROLE[who.role]],
        lives=LIVES,
        life=USUAL_LIFE,
        fresh=fresh,
        name=name,
        wrong=wrong or {},
        has_page=nav.has,
        in_force=in_force() if may(who, "manage_users") else None,
    )


def _living(user_id: str) -> list[Row]:
    return [each for each in logins.of_user(user_id) if each["alive"]]


def in_force() -> list[Row]:
    """Every setting of this process: {name, value, meaning, secret}; of secrets only whether there is one."""
    told = settings()
    return [
        {
            "name": _variable(name, field),
            "meaning": _plain(field.description or ""),
            "secret": name in SECRETS or not field.repr,
            "value": _said(getattr(told, name)),
        }
        for name, field in type(told).model_fields.items()
    ]


def _plain(meaning: str) -> str:
    """A meaning as the page shows it: written for the README, so with Markdown's backticks and links."""
    return re.sub(r"\[(.+?)\]\((.+?)\)", r"see \2", meaning).replace("`", "")


def _variable(name: str, field: Any) -> str:
    alias = field.validation_alias
    first = alias.choices[0] if hasattr(alias, "choices") else alias
    return str(first or name).upper()


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join("=".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
    return str(value)


def _mine() -> str:
    return asking().email


def _refused(response: Response) -> bool:
    return response.status_code == 422


@limiter.shared_limit(login_limit, scope="sign-in-name", key_func=_mine, deduct_when=_refused)
def change_password() -> AnyResponse:
    """POST /settings/password: a new one; every login of the account ends but this one."""
    who, typed = asking(), request.form
    fault = _fault_of_password(typed.get("current", ""), typed.get("new", ""), typed.get("again", ""))
    if fault:
        db.session.commit()  # a wrong password counts
        return make_response(_page(wrong={"password": fault}), 422)
    row = users.change(who.user_id, password=typed["new"], actor=who.user_id, keep_login=who.session_id)
    db.session.commit()
    go_on(row)
    flash("The password is changed. Everywhere else you are signed out.", "green")
    return redirect(url_for("dashboard.settings", _anchor="password"), 303)


def _fault_of_password(current: str, new: str, again: str) -> dict[str, str]:
    if new != again:
        return {"again": "is not the same as the new password"}
    try:
        passwords.checked(new)
        users.sign_in(asking().email, current)
    except Unauthenticated:
        note("auth.failed", asking().email)
        return {"current": "is wrong"}
    except Locked as locked:
        return {"current": f"cannot be tried now. {locked.message}"}
    except Invalid as wrong:
        return {"new": forms.complaints(wrong).get("password", wrong.message)}
    return {}


def end_login(login_id: str) -> AnyResponse:
    """POST /settings/logins/<login_id>/end: sign out there; nothing that came of that login works any more."""
    who = asking()
    if not UUID.fullmatch(login_id):
        raise NotFound
    if logins.end_of(who.user_id, login_id):
        audit.record("auth.signed_out", actor=who.user_id, details={"login": login_id})
    db.session.commit()
    if login_id == who.session_id:
        return redirect(url_for("dashboard.sign_in"), 303)
    flash("Signed out there.", "green")
    return redirect(url_for("dashboard.settings", _anchor="logins"), 303)


def end_other_logins() -> AnyResponse:
    """POST /settings/logins/end-others: sign out everywhere but here."""
    who = asking()
    ended = logins.end_all(who.user_id, but=who.session_id)
    if ended:
        audit.record("auth.signed_out", actor=who.user_id, details={"logins": ended})
    db.session.commit()
    flash("You are signed out everywhere else.", "green")
    return redirect(url_for("dashboard.settings", _anchor="logins"), 303)


def make_key() -> AnyResponse:
    """POST /settings/keys: the page with the new key's text, this once; or the form again."""
    who, name = asking(), request.form.get("name", "").strip().replace("\x00", "")[:LONGEST_NAME]
    demand(who, "manage_api_keys", who.user_id)
    life = request.form.get("life", USUAL_LIFE)
    until = clock.now() + timedelta(days=int(life)) if life and life in LIVES else None
    scopes = frozenset(request.form.getlist("scopes")) & SCOPES_OF_ROLE[who.role]
    if not name or not scopes:
        fault = {} if name else {"name": "is needed, to know later what it is for"}
        fault |= {} if scopes else {"scopes": "choose at least one"}
        return make_response(_page(wrong={"key": fault}, name=name), 422)
    fresh = api_keys.create(who, name=name, scopes=scopes, expires_at=until)
    db.session.commit()
    response = make_response(_page(fresh=fresh))
    response.headers["Cache-Control"] = "no-store"
    return response


def revoke_key(key_id: str) -> AnyResponse:
    """POST /settings/keys/<key_id>/revoke: it stops working at once, and for good."""
    key = queries.api_key(key_id)
    if (
        key is None or str(key["user_id"]) != asking().user_id
    ):  # of those of others nobody learns that they exist
        raise NotFound
    api_keys.revoke(asking(), key_id)
    db.session.commit()
    flash(f"The key {key['name']} is revoked.", "green")
    return redirect(url_for("dashboard.settings", _anchor="keys"), 303)
