"""GET /notifications: the inbox, and what the bell on every page counts."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.dashboard import actions, links
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look, look, many
from app.db import Row, db
from app.notify import inbox

REFRESH_MS = 5_000
PAGE_SIZE = 50
SEVERITIES = {
    "info": Look("Info", "bell", "grey"),
    "success": Look("Good", "check", "green"),
    "warning": Look("Warning", "warn", "amber"),
    "error": Look("Error", "cross", "red"),
}


def page() -> str:
    """GET /notifications; `?which=unread` leaves out what has been read."""
    demand(asking(), "view_notifications")
    query = {name: asked()[name] for name in ("which", "before") if asked().get(name)}
    return render_template(
        "notifications/page.html", listing=LISTING.embed(query), only_unread=_only_unread(), unread=unread()
    )


def unread() -> int:
    """How many the one who asks has not read."""
    who = asking()
    return inbox.unread(who.user_id, is_admin=who.is_admin)


def _only_unread() -> bool:
    return asked().get("which") == "unread"


def _listing() -> Context:
    who, before = asking(), links.before_id()
    demand(who, "view_notifications")
    rows = inbox.page(
        who.user_id, is_admin=who.is_admin, unread=_only_unread(), before=before, limit=PAGE_SIZE + 1
    )
    return {
        "notifications": [_shown(row) for row in rows[:PAGE_SIZE]],
        "next": rows[PAGE_SIZE - 1]["notification_id"] if len(rows) > PAGE_SIZE else None,
        "before": before,
        "only_unread": _only_unread(),
        "poll": every(REFRESH_MS),
    }


def _shown(row: Row) -> Row:
    link = row["link"] or ""
    # Only paths of this site; whatever a link may have come to say, it leads nowhere else.
    mine = link.startswith("/") and not link.startswith(("//", "/\\"))
    return row | {"look": look(row["severity"], SEVERITIES), "link": link if mine else ""}


def read(notification_id: str) -> AnyResponse:
    """POST /notifications/<notification_id>/read."""
    who = asking()
    demand(who, "view_notifications")
    inbox.mark_read(actions.checked_id(notification_id), who.user_id, is_admin=who.is_admin)
    db.session.commit()
    return redirect(_back(), 303)


def follow(notification_id: str) -> AnyResponse:
    """GET /notifications/<notification_id>: on to what it is about; who follows it has read it."""
    who = asking()
    demand(who, "view_notifications")
    row = _shown(inbox.one(actions.checked_id(notification_id), who.user_id, is_admin=who.is_admin))
    inbox.mark_read(row["notification_id"], who.user_id, is_admin=who.is_admin)
    db.session.commit()
    return redirect(row["link"] or url_for("dashboard.notifications"), 303)


def read_all() -> AnyResponse:
    """POST /notifications/read."""
    who = asking()
    demand(who, "view_notifications")
    marked = inbox.mark_all_read(who.user_id, is_admin=who.is_admin)
    db.session.commit()
    flash(f"{many(marked, 'notification')} marked read.", "green")
    return redirect(url_for("dashboard.notifications"), 303)


def _back() -> str:
    which = "unread" if (request.referrer or "").endswith("which=unread") else None
    return url_for("dashboard.notifications", which=which)


LISTING = Panel(name="notifications", template="notifications/_list.html", read=_listing)
