"""GET /users: the people who may come in, for admins: finding them, making them, and a page for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import api_keys, devices, links, lockout, logins, oidc, people, queries, users
from app.accounts.permissions import ROLES, demand
from app.audit import queries as entries
from app.dashboard import actions, forms, https
from app.dashboard.htmx import asked
from app.dashboard.links import page_number
from app.dashboard.session import asking, settings
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.jobs import queries as jobs
from app.jobs.states import FINAL
from app.notify.passwords import send_link
from app.schedules import queries as schedules

PAGE_SIZE = 50
MOST_KEYS = 100
MOST_ENTRIES = 15
LONGEST_TEXT = 100
STATES = {
    "enabled": "Switched on",
    "disabled": "Switched off",
    "locked": "Locked",
    "never": "Never signed in",
    "oidc": "By single sign-on",
}
ROLE_WORDS = {
    "viewer": "Viewer: looks at how jobs go",
    "user": "User: sends in jobs and sees their own",
    "admin": "Admin: may do and see everything",
}
METHODS = {"password": "by password", "oidc": "by single sign-on", "link": "by a link"}
Wrong = dict[str, str]


class Fresh(NamedTuple):
    """A link at the one moment its address is known."""

    purpose: str
    address: str


def page() -> str:
    """GET /users, narrowed by `q`, `role` and `state`."""
    demand(asking(), "manage_users")
    wanted, number = _wanted(), page_number()
    rows = people.listing(people.Filter(**wanted), limit=PAGE_SIZE + 1, offset=number * PAGE_SIZE)
    return render_template(
        "users/page.html",
        people=[_shown(row) for row in rows[:PAGE_SIZE]],
        total=people.count(people.Filter(**wanted)),
        more=len(rows) > PAGE_SIZE,
        number=number,
        wanted=wanted,
        query={"q" if name == "text" else name: value for name, value in wanted.items() if value},
        roles=ROLES,
        states=STATES,
    )


def _wanted() -> dict[str, str]:
    """What the address asks for; unknown words are ignored."""
    role, state = asked().get("role", ""), asked().get("state", "")
    return {
        "text": asked().get("q", "").strip()[:LONGEST_TEXT],
        "role": role if role in ROLES else "",
        "state": state if state in STATES else "",
    }


def _shown(row: Row) -> Row:
    return row | {
        "user_id": str(row["user_id"]),
        "look": _look(row),
        "me": str(row["user_id"]) == asking().user_id,
        "by_provider": row["oidc_issuer"] is not None,
    }


def _look(row: Row) -> Look:
    if not row["enabled"]:
        return Look("Switched off", "slash", "grey")
    if row["locked_until"]:
        return Look("Locked", "clock", "amber")
    if row.get("invited"):
        return Look("Invited", "send", "blue")
    if row["last_login_at"] is None:
        return Look("Never signed in", "circle", "grey")
    return Look("Active", "check", "green")


def new() -> str:
    """GET /users/new."""
    demand(asking(), "manage_users")
    return _form({"role": "user", "send": "on"}, {})


def creating() -> AnyResponse:
    """POST /users/new: their page, with the link they come in by; or the form again."""
    demand(asking(), "manage_users")
    typed = {name: request.form.get(name, "").strip() for name in ("email", "name", "role", "send")}
    try:
        row = users.create(typed["email"], None, role=typed["role"], name=_name(), actor=asking().user_id)
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        told = wrong if isinstance(wrong, Invalid) else Invalid(None, [("/email", "is somebody's already")])
        return make_response(_form(typed, forms.complaints(told)), 422)
    return _invited(str(row["user_id"]), by_mail=bool(typed["send"]))


def _name() -> str:
    name = " ".join(request.form.get("name", "").split())
    if len(name) > LONGEST_TEXT or not name.isprintable():
        raise Invalid(None, [("/name", f"has at most {LONGEST_TEXT} letters")])
    return name


def _form(typed: Wrong, wrong: Wrong) -> str:
    return render_template(
        "users/form.html", typed=typed, wrong=wrong, roles=ROLE_WORDS, mail=bool(settings().smtp_host)
    )


def detail(user_id: str) -> str:
    """GET /users/<user_id>."""
    demand(asking(), "manage_users")
    return _page(_found(user_id))


def _found(user_id: str) -> Row:
    row = queries.user(actions.checked_id(user_id))
    if row is None:
        raise NotFound("There is no such person.")
    return row


def _page(row: Row, *, wrong: Wrong | None = None, fresh: Fresh | None = None) -> str:
    user_id = str(row["user_id"])
    living = links.living(user_id)
    keys, _ = queries.api_keys(user_id, limit=MOST_KEYS, offset=0)
    return render_template(
        "users/detail.html",
        person=_shown(row | {"invited": any(link["purpose"] == "invite" for link in living)}),
        roles=ROLE_WORDS,
        wrong=wrong or {},
        fresh=fresh,
        living=living,
        keys=[key for key in keys if key["revoked_at"] is None],
        logins=[
            login | {"device": devices.named(login["user_agent"])}
            for login in logins.of_user(user_id)
            if login["alive"]
        ],
        methods=METHODS,
        open_jobs=sum(n for status, n in jobs.counts_by_status(user_id).items() if status not in FINAL),
        schedules=schedules.count(schedules.Filter(owner=user_id)),
        entries=_entries(user_id),
        mail=bool(settings().smtp_host),
        provider=settings().oidc_name,
    )


def _entries(user_id: str) -> list[Row]:
    """What they did last and what was done to them, newest first, each with `by` and `about`: the others in it."""
    found = {
        entry["id"]: entry
        for wanted in (entries.Filter(actor=user_id), entries.Filter(subject=user_id))
        for entry in entries.page(wanted, limit=MOST_ENTRIES)
    }
    newest = sorted(found.values(), key=lambda entry: (entry["at"], entry["id"]), reverse=True)[:MOST_ENTRIES]
    named = {entry[part] for entry in newest for part in ("actor", "subject") if entry[part]} - {user_id}
    others = queries.emails(sorted(named))
    return [
        entry
        | {
            "by": ""
            if entry["actor"] == user_id
            else others.get(entry["actor"], entry["actor"] or "Callboard"),
            "about": others.get(entry["subject"], ""),
        }
        for entry in newest
    ]


def changing(user_id: str) -> AnyResponse:
    """POST /users/<user_id>: their name and role; a new role ends their logins."""
    demand(asking(), "manage_users")
    row = _found(user_id)
    try:
        users.change(str(row["user_id"]), name=_name(), role=_new_role(row), actor=asking().user_id)
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        told = wrong if isinstance(wrong, Invalid) else Invalid(None, [("/role", wrong.message)])
        return make_response(_page(_found(user_id), wrong=forms.complaints(told)), 422)
    db.session.commit()
    return _back(row, f"{row['email']} is saved.")


def _new_role(row: Row) -> str | None:
    """The role that was chosen; None if it is the one they have. One's own is for others to change."""
    role = request.form.get("role", "")
    if role in {"", row["role"]}:
        return None
    if str(row["user_id"]) == asking().user_id:
        raise Invalid(None, [("/role", "of your own can be changed by another admin only")])
    return role


def act(user_id: str, verb: str) -> AnyResponse:
    """POST /users/<user_id>/<verb>: invite, reset, enable, disable, unlock, sign-out or unlink."""
    demand(asking(), "manage_users")
    row = _found(user_id)
    if verb not in _VERBS:
        raise NotFound
    try:
        return _VERBS[verb](row)
    except Conflict as refused:
        db.session.rollback()
        flash(refused.message, "red")
        return redirect(url_for("dashboard.user", user_id=user_id), 303)


def revoke_key(user_id: str, key_id: str) -> AnyResponse:
    """POST /users/<user_id>/keys/<key_id>/revoke: it stops working at once, and for good."""
    demand(asking(), "manage_users")
    row, key = _found(user_id), queries.api_key(key_id)
    if key is None or str(key["user_id"]) != str(row["user_id"]):
        raise NotFound("There is no such key.")
    api_keys.revoke(asking(), key_id)
    db.session.commit()
    return _back(row, f"The key {key['name']} is revoked.", "keys")


def _enable(row: Row) -> AnyResponse:
    users.change(str(row["user_id"]), enabled=True, actor=asking().user_id)
    db.session.commit()
    return _back(row, f"{row['email']} may come in again.")


def _disable(row: Row) -> AnyResponse:
    if str(row["user_id"]) == asking().user_id:
        raise Conflict("You cannot switch yourself off; ask another admin.")
    users.change(str(row["user_id"]), enabled=False, actor=asking().user_id)
    db.session.commit()
    return _back(row, f"{row['email']} is switched off.")


def _unlock(row: Row) -> AnyResponse:
    if lockout.unlock(str(row["user_id"])):
        actions.noted("user.unlocked", str(row["user_id"]))
    db.session.commit()
    return _back(row, f"{row['email']} may try again.")


def _sign_out(row: Row) -> AnyResponse:
    user_id = str(row["user_id"])
    ended = logins.end_all(user_id, but=asking().session_id if user_id == asking().user_id else None)
    actions.noted("user.signed_out", user_id, logins=ended)
    db.session.commit()
    return _back(
        row, f"{row['email']} is signed out everywhere{' else' if user_id == asking().user_id else ''}."
    )


def _unlink(row: Row) -> AnyResponse:
    oidc.unlink(str(row["user_id"]), actor=asking().user_id)
    db.session.commit()
    return _back(row, f"{row['email']} is linked with nobody at {settings().oidc_name} any more.")


def _invite(row: Row) -> AnyResponse:
    return _invited(str(row["user_id"]), by_mail=bool(request.form.get("send")))


def _reset(row: Row) -> AnyResponse:
    return _linked(row, "reset", by_mail=bool(request.form.get("send")))


def _invited(user_id: str, *, by_mail: bool) -> AnyResponse:
    return _linked(_found(user_id), "invite", by_mail=by_mail)


_VERBS: dict[str, Callable[[Row], AnyResponse]] = {
    "enable": _enable,
    "disable": _disable,
    "unlock": _unlock,
    "sign-out": _sign_out,
    "unlink": _unlink,
    "invite": _invite,
    "reset": _reset,
}


def _back(row: Row, said: str, anchor: str | None = None) -> AnyResponse:
    flash(said, "green")
    return redirect(url_for("dashboard.user", user_id=row["user_id"], _anchor=anchor), 303)


def _linked(row: Row, purpose: links.Purpose, *, by_mail: bool) -> AnyResponse:
    """A link by which they choose a password: sent to them, or shown this once to pass on."""
    user_id = str(row["user_id"])
    if by_mail and settings().smtp_host:
        send_link(user_id, row["email"], purpose)
        actions.noted("auth.link_sent", user_id, purpose=purpose)
        db.session.commit()
        return _back(row, f"A link is on its way to {row['email']}.")
    token = links.make(user_id, purpose, by=asking().user_id)
    db.session.commit()
    shown = Fresh(purpose, links.address(https.root(), token))
    response = make_response(_page(_found(user_id), fresh=shown))
    response.headers["Cache-Control"] = "no-store"
    return response
