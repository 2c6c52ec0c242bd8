"""GET /analytics: how many jobs, how well, how fast, and in which hours of the day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import render_template

from app.accounts.permissions import demand, own_only
from app.agents import registry
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.job_chart import RANGES, chart
from app.dashboard.session import asking
from app.dashboard.words import dollars, duration
from app.db import Row
from app.jobs import figures, rollups

REFRESH_MS = 15_000


def page() -> str:
    """GET /analytics; `?window=7d&agent=copywriter`."""
    demand(asking(), "view_task")
    return render_template(
        "analytics/page.html",
        window=_window(),
        agent=_agent(),
        agents=registry.all_agents(),
        windows=RANGES,
        figures=FIGURES.embed({"window": _window()} | ({"agent": _agent()} if _agent() else {})),
    )


def _window() -> str:
    word = asked().get("window", figures.USUAL_WINDOW)
    return word if word in RANGES else figures.USUAL_WINDOW


def _agent() -> str:
    word = asked().get("agent", "").strip()
    return word if any(agent.agent_id == word for agent in registry.all_agents()) else ""


def _read() -> Context:
    owner, agent_id = own_only(asking(), "view_task"), _agent() or None
    found = figures.figures(_window(), owner=owner, agent_id=agent_id)
    hours = {line["hour"]: line for line in found["hours"]}
    drawn = chart(rollups.series(_window(), owner=owner, agent_id=agent_id), _window())
    return {
        "figures": found,
        "chart": drawn,
        "day": [_hour(line) for line in found["hours"]],
        "busiest": [hours[hour] | {"span": _span(hour)} for hour in found["peak_hours"]],
        "fastest": _fastest(drawn["points"]),
        "agents": [line | {"cost_words": _cost(line)} for line in found["agents"]],
        "whose": "" if owner is None else "of your ",
        "poll": every(REFRESH_MS),
    }


def _fastest(parts: list[Row]) -> Row:
    """The part of the time in which most was done, the newest of several: {span, jobs_per_hour}."""
    found = max(reversed(parts), key=lambda part: part["ok"] + part["bad"])
    hours = (found["until"] - found["at"]) / timedelta(hours=1)
    return {"span": f"{found['span']} UTC", "jobs_per_hour": (found["ok"] + found["bad"]) / hours}


def _cost(line: Row) -> str:
    """What a run cost on average, honestly: tokens where nothing has a price."""
    if line["cost_usd_per_run"]:
        return dollars(line["cost_usd_per_run"])
    return "–" if line["tokens_per_run"] is None else f"{line['tokens_per_run']:,} tok"


def _hour(line: Row) -> dict[str, Any]:
    words = (
        f"{_span(line['hour'])} UTC: {line['completed']:,} completed, {line['failed']:,} failed, "
        f"mean wait {duration(line['wait_seconds'])}"
    )
    return {"ok": line["completed"], "bad": line["failed"], "words": words}


def _span(hour: int) -> str:
    """An hour of the day as people say it: `09:00 to 10:00`."""
    return f"{hour:02d}:00 to {hour + 1:02d}:00"


FIGURES = Panel(name="analytics", template="analytics/_figures.html", read=_read)
