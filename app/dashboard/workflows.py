"""GET /workflows: the list of runs, by state and filter, by cursor; and how they went, by template."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from flask import render_template

from app import clock
from app.accounts.permissions import own_only
from app.dashboard import actions
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking, settings
from app.dashboard.workflow_editor import listed
from app.dashboard.workflow_picture import RUNS
from app.workflows import analytics, queries

PAGE_SIZE = 50
OFFERED = 5
TABS = {"": "All", **{name: seen.word for name, seen in RUNS.items()}}
SINCE = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
WINDOWS = {7: "7 days", 30: "30 days", 90: "90 days"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; unknown words are ignored, so that old links still show something."""

    state: str = ""
    template: str = ""
    since: str = ""
    q: str = ""

    def query(self) -> dict[str, Any]:
        """Itself as a query string's parts, without what is empty."""
        return {name: value for name, value in vars(self).items() if value}


def _wanted() -> Wanted:
    given = {name: asked().get(name, "").strip()[:200] for name in Wanted.__dataclass_fields__}
    known = {"state": tuple(TABS), "since": ("", *SINCE)}
    return Wanted(
        **{name: value if value in known.get(name, (value,)) else "" for name, value in given.items()}
    )


def page() -> str:
    """GET /workflows."""
    wanted = _wanted()
    after = {"after": asked()["after"]} if asked().get("after") else {}
    return render_template(
        "workflows/page.html",
        wanted=wanted,
        templates=listed(),
        since=tuple(SINCE),
        tabs=TABS_PANEL.embed(wanted.query()),
        table=TABLE.embed(wanted.query() | after),
        is_filtered=wanted != Wanted(state=wanted.state),
    )


def _tabs() -> Context:
    wanted = _wanted()
    counts = queries.counts(own_only(asking(), "view_workflow"))
    return {
        "tabs": [
            (
                name,
                word,
                counts.get(name, 0) if name else sum(counts.get(each, 0) for each in RUNS),
                replace(wanted, state=name).query(),
            )
            for name, word in TABS.items()
        ],
        "at": wanted.state,
        "poll": every(2 * settings().stats_refresh_ms),
    }


def _table() -> Context:
    wanted = _wanted()
    after = asked().get("after")
    rows = queries.page(
        owner=own_only(asking(), "view_workflow"),
        status=wanted.state or None,
        template=wanted.template or None,
        q=wanted.q or None,
        since=clock.now() - SINCE[wanted.since] if wanted.since else None,
        before=actions.checked_id(after) if after else None,
        limit=PAGE_SIZE + 1,
    )
    shown = rows[:PAGE_SIZE]
    is_filtered = wanted != Wanted() or bool(after)
    busy = any(row["status"] == "running" for row in shown)
    return {
        "runs": shown,
        "wanted": wanted,
        "is_filtered": is_filtered,
        "is_first": not after,
        "next": shown[-1]["workflow_id"] if len(rows) > PAGE_SIZE else None,
        "offered": [] if shown or is_filtered else listed()[:OFFERED],
        "poll": every(settings().poll_running_ms if busy else settings().stats_refresh_ms),
    }


def figures() -> str:
    """GET /workflows/analytics; `?days=` 7, 30 or 90."""
    word = asked().get("days", "")
    days = int(word) if word.isdecimal() and int(word) in WINDOWS else 30
    rows = analytics.by_template(
        owner=own_only(asking(), "view_workflow"), since=clock.now() - timedelta(days=days)
    )
    return render_template("workflows/analytics.html", rows=rows, windows=WINDOWS, days=days)


TABS_PANEL = Panel(name="workflows_tabs", template="workflows/_tabs.html", read=_tabs)
TABLE = Panel(name="workflows_table", template="workflows/_table.html", read=_table)
