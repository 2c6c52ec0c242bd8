"""GET /agents/<id>/versions/<version>: one definition an agent had, and what it changed."""

from __future__ import annotations

from typing import Any

from flask import Flask, render_template, request

from app.accounts.permissions import demand, may
from app.agents import registry, versions
from app.dashboard.session import asking
from app.db import Row


def page(agent_id: str, version: str) -> str:
    """GET /agents/<agent_id>/versions/<version>; `?against=` another version than the one before it."""
    demand(asking(), "view_agents")
    agent = registry.get(agent_id)
    shown = _seen(agent.agent_id, version)
    listed = versions.listing(agent.agent_id)
    against = request.args.get("against") or next(
        (str(each["number"]) for each in listed if each["number"] < shown["number"]), ""
    )
    before = _seen(agent.agent_id, against) if against else None
    # An older one is compared with the present one as things went: from the old to the new.
    first, second = sorted((before, shown), key=lambda row: row["number"]) if before else (None, shown)
    return render_template(
        "agents/version.html",
        agent=agent,
        shown=shown,
        text=versions.shown(shown["definition"], shown["overlay"]),
        before=first,
        after=second,
        change=versions.compared(first, second) if first else None,
        versions=listed,
    )


def _seen(agent_id: str, version: str) -> Row:
    found = versions.get(agent_id, version)
    return found if may(asking(), "configure_agent") else versions.hidden(found)


def ran_with(job: dict[str, Any]) -> Row | None:
    """What the page of a job says of its definition (templates/job/_version.html)."""
    return versions.since(job["agent_id"], job["agent_version"])


def register(app: Flask) -> None:
    """Make `ran_with` known to the page of a job."""
    app.jinja_env.globals["ran_with"] = ran_with
