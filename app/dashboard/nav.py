"""The main menu and the bell, with the counts that call for attention; both come with one poll."""

from __future__ import annotations

from typing import NamedTuple, cast

from flask import Flask, current_app, g, render_template, request
from markupsafe import Markup

from app.accounts.permissions import may, own_only
from app.approvals import queries as approvals
from app.budgets import queries as budgets
from app.dashboard import notifications
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.jobs import dead_letters, queries

REFRESH_MS = 15_000
CAP = 1000


class Entry(NamedTuple):
    """One entry of the menu: the first part of its address, its page, icon, word, and the verb that opens it."""

    name: str
    endpoint: str
    icon: str
    word: str
    verb: str = "view_self"
    unit: str = ""
    hot: bool = False


ENTRIES = (
    Entry("now", "now", "grid", "Now"),
    Entry("jobs", "jobs", "list", "Jobs", unit="running"),
    Entry("approvals", "approvals", "hand", "Inbox", "view_approvals", unit="waiting for you", hot=True),
    Entry("dead-letters", "dead_letters", "dead", "Dead letters", "view_dlq", "open", hot=True),
    Entry("workflows", "workflows", "flow", "Workflows", "view_workflow"),
    Entry("schedules", "schedules", "calendar", "Schedules", "view_schedule"),
    Entry("queues", "queues", "layers", "Queues", "view_queues", "paused", hot=True),
    Entry("workers", "workers", "bolt", "Workers", "view_workers"),
    Entry("agents", "agents", "agent", "Agents"),
    Entry("providers", "providers", "plug", "Providers"),
    Entry("quality", "quality", "target", "Quality", "view_task"),
    Entry("costs", "costs", "coin", "Costs", "view_budgets"),
    Entry("budgets", "budgets", "gauge", "Budgets", "view_budgets", "spent", hot=True),
    Entry("alerts", "alerts", "bell", "Alerts", "view_alerts", "active", hot=True),
    Entry("polling", "polling", "pulse", "Polling health", "view_alerts"),
    Entry("settings", "settings", "gear", "Settings"),
)
# Pages whose address begins otherwise than that of the entry they belong to.
ALSO = {
    "": "now",
    "analytics": "now",
    "workflow-templates": "workflows",
    "gates": "quality",
    "gate-editor": "quality",
    "deliveries": "notifications",
    "notify": "notifications",
    "policies": "approvals",
    "blog-post": "jobs",
    "bulk-actions": "jobs",
    "prices": "settings",
}
SECTIONS = ("notifications", "submit", *(entry.name for entry in ENTRIES[1:]))


def _read() -> Context:
    who = asking()
    return {
        "at": request.args.get("at") or section(),
        "entries": [
            entry
            for entry in ENTRIES
            if may(who, entry.verb) and f"dashboard.{entry.endpoint}" in current_app.view_functions
        ],
        "counts": _counts(),
        "unread": _unread(),
        "cap": CAP,
        "poll": every(REFRESH_MS),
    }


def _counts() -> dict[str, int]:
    who = asking()
    owner = own_only(who, "view_task")
    return {
        "jobs": queries.count(queries.Filter(owner=owner, statuses=("running",)), CAP),
        "dead-letters": dead_letters.count(resubmitted=False, cap=CAP) if may(who, "view_dlq") else 0,
        "budgets": budgets.stopped(),
        "approvals": approvals.count_open(who.user_id, who.email, who.role)
        if may(who, "view_approvals")
        else 0,
    }


def _unread() -> int:
    """What the bell counts; asked once a page, though the menu brings it and the frame shows it."""
    if "unread" not in g:
        g.unread = notifications.unread()
    return cast(int, g.unread)


def section() -> str:
    """Which entry of the menu the present page belongs to."""
    first = request.path.split("/")[1]
    return first if first in SECTIONS else ALSO.get(first, "")


PANEL = Panel(name="nav", template="layout/_nav.html", read=_read)


def register(app: Flask) -> None:
    """Make `nav()` and `bell()` known to the frame of all pages."""
    app.jinja_env.globals.update(nav=_embed, bell=_bell)


def _embed() -> Markup:
    return PANEL.embed({"at": section()}) if "principal" in g else Markup("")


def _bell() -> Markup:
    if "principal" not in g:
        return Markup("")
    shown = render_template("layout/_bell.html", unread=_unread(), cap=CAP, at=section())
    return Markup(shown)  # noqa: S704 - the template engine has escaped it
