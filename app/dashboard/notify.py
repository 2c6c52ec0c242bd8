"""GET /notify: where news goes besides the inbox: channels, rules and webhook endpoints.

Rules and channels are for admins; an endpoint belongs to whoever made it. Its secret is shown once, on the page
that answers the form which made it, and never again.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents import registry
from app.dashboard import actions, forms, links
from app.dashboard.deliveries import CHANNELS
from app.dashboard.session import asking, settings
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.notify import endpoints, events, rules

READY = Look("Ready", "check", "green")
MISSING = Look("Not configured", "dash", "grey")
ON = Look("On", "check", "green")
OFF = Look("Off", "pause", "grey")
BROKEN = Look("Switched off", "warn", "red")

Typed = dict[str, str]
Wrong = dict[str, dict[str, str]]


def page() -> str:
    """GET /notify."""
    return _page()


def _page(
    *,
    typed: Typed | None = None,
    ticked: list[str] | None = None,
    wrong: Wrong | None = None,
    secret: Row | None = None,
) -> str:
    who = asking()
    demand(who, "manage_webhooks")
    admin = may(who, "manage_notify")
    return render_template(
        "notify/page.html",
        channels=_channels() if admin else None,
        rules=[_rule(row) for row in rules.listing()] if admin else None,
        endpoints=[_endpoint(row) for row in endpoints.listing(None if admin else who.user_id)],
        patterns=_patterns(),
        events=[*_families(), *(name for name in events.EVENTS if name != "test")],
        chats=list(settings().chats),
        agents=[agent.agent_id for agent in registry.all_agents()],
        typed=typed or {},
        typed_events=ticked or [],
        wrong=wrong or {},
        secret=secret,
    )


def _channels() -> list[Row]:
    """Each way there is, and what must be set for those that are not there yet."""
    told = settings()
    mail = {"title": "E-mail", "channel": "email", "asks": True, "ready": bool(told.smtp_host)}
    mail["words"] = f"Through {told.smtp_host}." if told.smtp_host else "Set SMTP_HOST to send mail."
    chats = [
        {
            "title": f"Chat {name}",
            "channel": "chat",
            "target": name,
            "ready": True,
            "words": "For rules, by its name.",
        }
        for name in told.chats
    ]
    if "slack" not in told.chats:
        words = "Set SLACK_WEBHOOK_URL; other chats by NOTIFY_CHANNELS."
        chats.insert(0, {"title": "Chat slack", "channel": "chat", "ready": False, "words": words})
    return [one | {"look": READY if one["ready"] else MISSING} for one in (mail, *chats)]


def _patterns() -> dict[str, str]:
    """What a rule may ask for: everything, a family, or one event."""
    families = {name: f"All of {name.removesuffix('.*')}" for name in _families()}
    return {
        "*": "Everything",
        **families,
        **{e.name: e.title for e in events.EVENTS.values() if e.name != "test"},
    }


def _families() -> list[str]:
    return sorted({f"{name.partition('.')[0]}.*" for name in events.EVENTS if "." in name})


def _rule(row: Row) -> Row:
    return row | {"channel_words": CHANNELS[row["channel"]].lower()}


def _endpoint(row: Row) -> Row:
    off = BROKEN if row["disabled_reason"] else OFF
    mine = row["owner"] == asking().user_id
    return row | {"look": ON if row["enabled"] else off, "by": "" if mine else links.person(row["owner"])}


def _done(words: str, place: str) -> AnyResponse:
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.notify", _anchor=place), 303)


def _typed(*names: str) -> Typed:
    return {name: request.form.get(name, "").strip().replace("\x00", "") for name in names}


def _complaints(wrong: Invalid | Conflict) -> dict[str, str]:
    return forms.complaints(wrong if isinstance(wrong, Invalid) else Invalid(wrong.message))


# -- channels and rules


def test() -> AnyResponse:
    """POST /notify/test: send a test by one channel; the delivery's page shows what becomes of it."""
    demand(asking(), "manage_notify")
    typed = _typed("channel", "target")
    try:
        delivery_id = rules.test(typed["channel"], typed["target"])
    except Invalid as wrong:
        db.session.rollback()
        flash(f"No test was sent: {'; '.join(_complaints(wrong).values())}.", "red")
        return redirect(url_for("dashboard.notify"), 303)
    return _tested(delivery_id)


def _tested(delivery_id: str) -> AnyResponse:
    actions.noted("notify.tested", delivery_id)
    db.session.commit()
    flash("A test is on its way.", "green")
    return redirect(url_for("dashboard.delivery", delivery_id=delivery_id), 303)


def add_rule() -> AnyResponse:
    """POST /notify/rules: the settings, or the form again with what is wrong with it."""
    demand(asking(), "manage_notify")
    typed = _typed("event", "where", "target", "agent_id")
    channel, _, chat = typed["where"].partition(":")
    try:
        row = rules.create(
            event=typed["event"],
            channel=channel,
            target=chat or typed["target"],
            agent_id=typed["agent_id"] or None,
            by=asking().user_id,
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_page(typed=typed, wrong={"rule": _complaints(wrong)}), 422)
    actions.noted("rule.created", row["rule_id"], event=row["event"], target=row["target"])
    return _done("The rule holds from now on.", "rules")


def remove_rule(rule_id: str) -> AnyResponse:
    """POST /notify/rules/<rule_id>/remove."""
    demand(asking(), "manage_notify")
    row = rules.get(actions.checked_id(rule_id))
    rules.remove(row["rule_id"])
    actions.noted("rule.removed", row["rule_id"], event=row["event"], target=row["target"])
    return _done("The rule is removed.", "rules")


# -- endpoints


def add_endpoint() -> AnyResponse:
    """POST /notify/endpoints: the settings with the new secret, this once; or the form again."""
    demand(asking(), "manage_webhooks")
    typed, ticked = _typed("url", "description"), request.form.getlist("events")
    try:
        row = endpoints.create(
            typed["url"], owner=asking().user_id, wanted=ticked, description=typed["description"] or None
        )
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        return make_response(_page(typed=typed, ticked=ticked, wrong={"endpoint": _complaints(wrong)}), 422)
    actions.noted("endpoint.created", row["endpoint_id"], url=row["url"])
    return _with_secret(row)


def act(endpoint_id: str, verb: str) -> AnyResponse:
    """POST /notify/endpoints/<endpoint_id>/<verb>: test, enable, disable, rotate or delete."""
    row = endpoints.get(actions.checked_id(endpoint_id))
    demand(asking(), "manage_webhooks", row["owner"])
    if verb not in _VERBS:
        raise NotFound
    return _VERBS[verb](row)


def _with_secret(row: Row) -> AnyResponse:
    """The page that shows a secret: no store may keep it, and a reload asks before it does the same again."""
    db.session.commit()
    response = make_response(_page(secret=row))
    response.headers["Cache-Control"] = "no-store"
    return response


def _rotate(row: Row) -> AnyResponse:
    made = endpoints.rotate(row["endpoint_id"])
    actions.noted("endpoint.rotated", row["endpoint_id"], url=row["url"])
    return _with_secret(made)


def _switch(row: Row, *, enabled: bool) -> AnyResponse:
    endpoints.change(row["endpoint_id"], enabled=enabled)
    actions.noted("endpoint.changed", row["endpoint_id"], enabled=enabled)
    return _done("The endpoint is switched on." if enabled else "The endpoint is switched off.", "endpoints")


def _delete(row: Row) -> AnyResponse:
    endpoints.remove(row["endpoint_id"])
    actions.noted("endpoint.deleted", row["endpoint_id"], url=row["url"])
    return _done("The endpoint is deleted.", "endpoints")


_VERBS: dict[str, Callable[[Row], AnyResponse]] = {
    "test": lambda row: _tested(endpoints.test(row["endpoint_id"])),
    "enable": lambda row: _switch(row, enabled=True),
    "disable": lambda row: _switch(row, enabled=False),
    "rotate": _rotate,
    "delete": _delete,
}
