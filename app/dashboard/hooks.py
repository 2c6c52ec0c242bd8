"""GET /hooks: the addresses that others call, what their calls become, and what came in.

A hook belongs to whoever made it. Its secret is shown once, on the page that answers the form which made it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, make_response, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may, own_only
from app.dashboard import actions, hook_words, https, links, sessions_seen
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.hooks import changes, queries

VIEW, MANAGE = "view_hooks", "manage_hooks"
REFRESH_MS = 5_000
FIELDS = ("slug", "name", "provider", "networks", "enabled")
LONGEST_NAME = 200
PROVIDERS = {
    "github": "GitHub",
    "standard": "Any program that signs as Standard Webhooks say",
    "session": "An assistant that sends commands to sessions",
}
ON = Look("On", "check", "green")
OFF = Look("Off", "pause", "grey")

Typed = dict[str, Any]
Wrong = dict[str, str]


def page() -> str:
    """GET /hooks."""
    demand(asking(), VIEW)
    return render_template("hooks/page.html", listing=LISTING.embed())


def _listing() -> Context:
    rows = queries.page(own_only(asking(), VIEW))
    return {"hooks": [shown(row) for row in rows], "poll": every(REFRESH_MS)}


def shown(row: Row) -> Row:
    """A hook with its address, for lists and heads."""
    mine = row["owner"] == asking().user_id
    return row | {
        "title": row["name"] or row["slug"],
        "address": f"{https.root()}/hooks/{row['slug']}",
        "look": ON if row["enabled"] else OFF,
        "provider_words": PROVIDERS[row["provider"]]
        if row["provider"] != "standard"
        else "Standard Webhooks",
        "by": "" if mine else links.person(row["owner"]),
    }


def found(hook_id: str, verb: str = VIEW) -> Row:
    """The hook's row, if it is there and whoever asks may `verb` it."""
    demand(asking(), verb)
    row = queries.get(actions.checked_id(hook_id))
    demand(asking(), verb, row["owner"])
    return row


# -- forms


def new() -> str:
    """GET /add-hook."""
    demand(asking(), MANAGE)
    return _form({"provider": "github", "enabled": "on"}, {})


def adding() -> AnyResponse:
    """POST /add-hook: the hook's page with its secret, this once; or the form again with what is wrong with it."""
    demand(asking(), MANAGE)
    typed = sessions_seen.typed(*FIELDS)
    try:
        row = changes.create(
            typed["slug"],
            who=asking(),
            provider=typed["provider"],
            name=typed["name"][:LONGEST_NAME],
            ip_allowlist=sessions_seen.words(typed["networks"]),
        )
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        return make_response(_form(typed, _complaints(wrong)), 422)
    actions.noted("hook.created", row["hook_id"], slug=row["slug"], provider=row["provider"])
    return _with_secret(row)


def _form(typed: Typed, wrong: Wrong) -> str:
    base = f"{https.root()}/hooks/"
    return render_template("hooks/new.html", typed=typed, wrong=wrong, providers=PROVIDERS, base=base)


def _complaints(wrong: Invalid | Conflict) -> Wrong:
    taken = wrong if isinstance(wrong, Invalid) else Invalid(wrong.message, [("/slug", wrong.message)])
    said = sessions_seen.by_field(taken)
    if "ip_allowlist" in said:
        said["networks"] = said.pop("ip_allowlist")
    return said


def _with_secret(row: Row) -> AnyResponse:
    """The page that shows a secret: no store may keep it."""
    db.session.commit()
    response = make_response(drawn(queries.get(row["hook_id"]), secret=row["secret"]))
    response.headers["Cache-Control"] = "no-store"
    return response


# -- one hook


def detail(hook_id: str) -> str:
    """GET /hook/<hook_id>; `?status=` and `?event=` narrow what came in."""
    return drawn(found(hook_id))


def drawn(row: Row, *, secret: str = "", typed: Typed | None = None, wrong: Wrong | None = None) -> str:
    """The page of a hook; with its new secret, or with its form as it was typed."""
    usual = {
        "name": row["name"],
        "networks": ", ".join(row["ip_allowlist"]),
        "enabled": "on" if row["enabled"] else "",
    }
    return render_template(
        "hooks/detail.html",
        hook=shown(row),
        secret=secret,
        rules=[hook_words.rule(each) for each in queries.rules(row["hook_id"])],
        mine=may(asking(), MANAGE, row["owner"]),
        typed=usual | (typed or {}),
        wrong=wrong or {},
        came=hook_words.CAME.embed(hook_words.wanted(), hook_id=row["hook_id"]),
        wanted=hook_words.wanted(),
        outcomes=hook_words.OUTCOMES,
    )


def changing(hook_id: str) -> AnyResponse:
    """POST /hook/<hook_id>: name, networks, on or off."""
    row, typed = found(hook_id, MANAGE), sessions_seen.typed(*FIELDS)
    try:
        changes.change(
            row["hook_id"],
            name=typed["name"][:LONGEST_NAME],
            ip_allowlist=sessions_seen.words(typed["networks"]),
            enabled=typed["enabled"] == "on",
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(drawn(row, typed=typed, wrong=_complaints(wrong)), 422)
    return done(row["hook_id"], "hook.changed", "The hook is changed.", enabled=typed["enabled"] == "on")


def act(hook_id: str, verb: str) -> AnyResponse:
    """POST /hook/<hook_id>/<verb>: rotate or delete."""
    row = found(hook_id, MANAGE)
    if verb not in _VERBS:
        raise NotFound
    return _VERBS[verb](row)


def _rotate(row: Row) -> AnyResponse:
    made = changes.rotate(row["hook_id"])
    actions.noted("hook.rotated", row["hook_id"], slug=row["slug"])
    return _with_secret(made)


def _delete(row: Row) -> AnyResponse:
    changes.delete(row["hook_id"])
    actions.noted("hook.deleted", row["hook_id"], slug=row["slug"])
    db.session.commit()
    flash(f"{row['name'] or row['slug']} is deleted; what it led to stays.", "green")
    return redirect(url_for("dashboard.hooks"), 303)


_VERBS: dict[str, Callable[[Row], AnyResponse]] = {"rotate": _rotate, "delete": _delete}


def done(hook_id: str, action: str, words: str, **details: Any) -> AnyResponse:
    """Write down who did it, and lead back to the hook's page."""
    actions.noted(action, hook_id, **details)
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.hook", hook_id=hook_id), 303)


LISTING = Panel(name="hooks", template="hooks/_list.html", read=_listing)
