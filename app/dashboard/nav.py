"""The main menu, with the counts that call for attention."""

from __future__ import annotations

from flask import Flask, g, request
from markupsafe import Markup

from app.accounts.permissions import may, own_only
from app.budgets import queries as budgets
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.jobs import dead_letters, queries

REFRESH_MS = 15_000
CAP = 1000
SECTIONS = ("jobs", "dead-letters", "agents", "providers", "costs", "budgets", "submit")


def _read() -> Context:
    who = asking()
    owner = own_only(who, "view_task")
    return {
        "at": request.args.get("at") or section(),
        "running": queries.count(queries.Filter(owner=owner, statuses=("running",)), CAP),
        "dead": dead_letters.count(resubmitted=False, cap=CAP) if may(who, "view_dlq") else 0,
        "spent": budgets.stopped(),
        "cap": CAP,
        "poll": every(REFRESH_MS),
    }


def section() -> str:
    """Which entry of the menu the present page belongs to."""
    first = request.path.split("/")[1]
    return first if first in SECTIONS else "now" if first == "" else ""


PANEL = Panel(name="nav", template="layout/_nav.html", read=_read)


def register(app: Flask) -> None:
    """Make `nav()` known to the frame of all pages."""
    app.jinja_env.globals["nav"] = _embed


def _embed() -> Markup:
    return PANEL.embed({"at": section()}) if "principal" in g else Markup("")
