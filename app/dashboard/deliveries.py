"""GET /deliveries: each mail, chat and webhook on its way, with every try; and sending it again."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may, own_only
from app.dashboard import actions, links
from app.dashboard.htmx import STOP, Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look, look
from app.db import Row, db
from app.notify import deliveries, events

REFRESH_MS = 5_000
ONE_MS = 2_000
PAGE_SIZE = 50
LOOKS = {
    "pending": Look("On its way", "clock", "blue"),
    "delivered": Look("Delivered", "check", "green"),
    "failed": Look("Failed", "cross", "red"),
    "skipped": Look("Skipped", "dash", "amber"),
}
CHANNELS = {"email": "E-mail", "chat": "Chat", "webhook": "Webhook"}
_GOOD = Look("Accepted", "check", "green")
_BAD = Look("Failed", "cross", "red")


def page() -> str:
    """GET /deliveries, narrowed by `status`, `channel` and `event`."""
    demand(asking(), "view_deliveries")
    before = {"before": asked()["before"]} if asked().get("before") else {}
    return render_template(
        "deliveries/page.html",
        listing=LISTING.embed({**_wanted(), **before}),
        wanted=_wanted(),
        looks=LOOKS,
        channels=CHANNELS,
        events=sorted(events.EVENTS),
    )


def _wanted() -> dict[str, str]:
    """What the address asks for; unknown words are ignored."""
    known = {"status": set(LOOKS), "channel": set(CHANNELS), "event": set(events.EVENTS)}
    return {name: asked()[name] for name, words in known.items() if asked().get(name) in words}


def _owner() -> str | None:
    """Whose deliveries the one who asks may see; None: everybody's."""
    return own_only(asking(), "view_deliveries")


def _listing() -> Context:
    before = links.before_id()
    rows = deliveries.page(
        owner=_owner(),
        before=before,
        limit=PAGE_SIZE + 1,
        status=_wanted().get("status"),
        channel=_wanted().get("channel"),
        event=_wanted().get("event"),
    )
    return {
        "deliveries": [_shown(row) for row in rows[:PAGE_SIZE]],
        "next": rows[PAGE_SIZE - 1]["delivery_id"] if len(rows) > PAGE_SIZE else None,
        "before": before,
        "wanted": _wanted(),
        "poll": every(REFRESH_MS),
    }


def _shown(row: Row) -> Row:
    return row | {
        "look": look(row["status"], LOOKS),
        "channel_words": "Callback" if row["callback"] else CHANNELS[row["channel"]],
    }


def detail(delivery_id: str) -> str:
    """GET /deliveries/<delivery_id>."""
    row = _visible(delivery_id)
    return render_template(
        "deliveries/detail.html",
        delivery_id=row["delivery_id"],
        status=STATUS.embed(delivery_id=row["delivery_id"]),
    )


def _visible(delivery_id: str) -> Row:
    row = deliveries.get(actions.checked_id(delivery_id))
    demand(asking(), "view_deliveries", row["owner"])
    return row


def _status(delivery_id: str) -> Context:
    row = _visible(delivery_id)
    shown = _shown(row) | {
        "subject_href": links.to(row["subject_type"], row["subject_id"]),
        "can_redeliver": row["status"] != "pending" and may(asking(), "manage_webhooks", row["owner"]),
    }
    tries = [t | {"look": _BAD if t["error"] else _GOOD} for t in deliveries.attempts(row["delivery_id"])]
    return {
        "d": shown,
        "attempts": tries,
        "poll": every(ONE_MS) if row["status"] == "pending" else STOP,
    }


def redeliver(delivery_id: str) -> AnyResponse:
    """POST /deliveries/<delivery_id>/redeliver."""
    row = _visible(delivery_id)
    demand(asking(), "manage_webhooks", row["owner"])
    deliveries.redeliver(row["delivery_id"])
    actions.noted("delivery.redelivered", row["delivery_id"], target=row["target"])
    db.session.commit()
    flash("It is sent again.", "green")
    return redirect(url_for("dashboard.delivery", delivery_id=row["delivery_id"]), 303)


LISTING = Panel(name="deliveries", template="deliveries/_list.html", read=_listing)
STATUS = Panel(name="delivery", template="deliveries/_detail.html", read=_status)
