"""The main menu and the bell, with the counts that call for attention; both come with one poll."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import NamedTuple, cast

from flask import Flask, current_app, g, render_template, request
from markupsafe import Markup

from app.accounts.permissions import may, own_only
from app.alerts import queries as alerts
from app.approvals import queries as approvals
from app.budgets import queries as budgets
from app.dashboard import notifications
from app.dashboard.htmx import Context, Panel, asked, every, is_poll
from app.dashboard.session import asking
from app.jobs import dead_letters, pools, queries
from app.kept import Kept

REFRESH_MS = 15_000
_kept = Kept(seconds=5, most=5_000)
forget = _kept.forget
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
    key: str = ""
    """What leads there after `g`."""


ENTRIES = (
    Entry("now", "now", "grid", "Now", key="n"),
    Entry("jobs", "jobs", "list", "Jobs", unit="running", key="j"),
    Entry(
        "approvals", "approvals", "hand", "Inbox", "view_approvals", unit="waiting for you", hot=True, key="i"
    ),
    Entry("dead-letters", "dead_letters", "dead", "Dead letters", "view_dlq", "open", hot=True, key="d"),
    Entry("workflows", "workflows", "flow", "Workflows", "view_workflow", key="w"),
    Entry("schedules", "schedules", "calendar", "Schedules", "view_schedule", key="s"),
    Entry("queues", "queues", "layers", "Queues", "view_queues", "paused", hot=True, key="q"),
    Entry("workers", "workers", "bolt", "Workers", "view_workers"),
    Entry("agents", "agents", "agent", "Agents", key="a"),
    Entry("providers", "providers", "plug", "Providers", key="p"),
    Entry("quality", "quality", "target", "Quality", "view_task"),
    Entry("costs", "costs", "coin", "Costs", "view_budgets", key="c"),
    Entry("budgets", "budgets", "gauge", "Budgets", "view_budgets", "spent", hot=True),
    Entry("sessions", "sessions", "talk", "Sessions", "view_session"),
    Entry("alerts", "alerts", "bell", "Alerts", "view_alerts", "active", hot=True),
    Entry("audit", "audit", "file", "Audit", "view_audit"),
    Entry("security", "security", "shield", "Security", "view_audit"),
    Entry("backups", "backups", "again", "Backups", "manage_backups"),
    Entry("polling", "polling", "pulse", "Polling health", "view_alerts"),
    Entry("users", "users", "person", "Users", "manage_users", key="u"),
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
    "new-session": "sessions",
    "hooks": "settings",
    "hook": "settings",
    "add-hook": "settings",
}
SECTIONS = ("notifications", "submit", *(entry.name for entry in ENTRIES[1:]))


def _read() -> Context:
    return {
        "at": asked().get("at") or section(),
        "entries": entries(),
        "counts": _counts(),
        "unread": _unread(),
        "cap": CAP,
        "poll": every(REFRESH_MS),
    }


def has(endpoint: str) -> bool:
    """Whether there is such a page."""
    return f"dashboard.{endpoint}" in current_app.view_functions


def entries() -> list[Entry]:
    """The entries of the menu for whoever asks."""
    return [entry for entry in ENTRIES if may(asking(), entry.verb) and has(entry.endpoint)]


def _glance() -> tuple[str, str]:
    shown = (asked().get("at") or section(), [entry.name for entry in entries()], _counts(), _unread())
    return f'"{hashlib.blake2s(repr(shown).encode(), digest_size=9).hexdigest()}"', every(REFRESH_MS)


def _counts() -> dict[str, int]:
    who = asking()
    owner = own_only(who, "view_task")
    counted: dict[str, Callable[[], int]] = {
        "jobs": lambda: queries.count(queries.Filter(owner=owner, statuses=("running",)), CAP),
        "budgets": budgets.stopped,
        "queues": pools.paused,
    }
    if may(who, "view_dlq"):
        counted["dead-letters"] = lambda: dead_letters.count(resubmitted=False, state="open", cap=CAP)
    if may(who, "view_alerts"):
        counted["alerts"] = alerts.active
    if may(who, "view_approvals"):
        counted["approvals"] = lambda: approvals.count_open(who.user_id, who.email, who.role)
    whose = {"jobs": owner, "approvals": who}
    return {name: _shared((name, whose.get(name)), count) for name, count in counted.items()}


def _unread() -> int:
    """What the bell counts; asked once a page, though the menu brings it and the frame shows it."""
    if "unread" not in g:
        g.unread = _shared(("unread", asking()), notifications.unread)
    return cast(int, g.unread)


def _shared(key: Hashable, count: Callable[[], int]) -> int:
    """A count for all polls of some seconds; a page that is opened counts anew, because somebody did something."""
    found: int = _kept.answer(key, count, fresh=not is_poll())
    return found


def section() -> str:
    """Which entry of the menu the present page belongs to."""
    first = request.path.split("/")[1]
    return first if first in SECTIONS else ALSO.get(first, "")


PANEL = Panel(name="nav", template="layout/_nav.html", read=_read, glance=_glance)


def register(app: Flask) -> None:
    """Make `nav()`, `bell()` and `has_page(endpoint)` known to the frame of all pages."""
    app.jinja_env.globals.update(nav=_embed, bell=_bell, has_page=has)


def _embed() -> Markup:
    return PANEL.embed({"at": section()}) if "principal" in g else Markup("")


def _bell() -> Markup:
    if "principal" not in g:
        return Markup("")
    shown = render_template("layout/_bell.html", unread=_unread(), cap=CAP, at=section())
    return Markup(shown)  # noqa: S704 - the template engine has escaped it
