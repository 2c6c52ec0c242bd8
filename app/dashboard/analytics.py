"""GET /analytics: how many jobs, how well, how fast, and in which hours of the day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import render_template, request

from app.accounts.permissions import demand, own_only
from app.agents import registry
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import duration
from app.db import Row
from app.jobs import figures

REFRESH_MS = 15_000
STEPS = {"24h": "an hour", "7d": "six hours", "30d": "a day"}
WINDOWS = {"24h": "Last 24 h", "7d": "7 days", "30d": "30 days"}


def page() -> str:
    """GET /analytics; `?window=7d&agent=copywriter`."""
    demand(asking(), "view_task")
    return render_template(
        "analytics/page.html",
        window=_window(),
        agent=_agent(),
        agents=registry.all_agents(),
        windows=WINDOWS,
        figures=FIGURES.embed({"window": _window()} | ({"agent": _agent()} if _agent() else {})),
    )


def _window() -> str:
    asked = request.args.get("window", figures.USUAL_WINDOW)
    return asked if asked in WINDOWS else figures.USUAL_WINDOW


def _agent() -> str:
    asked = request.args.get("agent", "").strip()
    return asked if any(agent.agent_id == asked for agent in registry.all_agents()) else ""


def _read() -> Context:
    found = figures.figures(_window(), owner=own_only(asking(), "view_task"), agent_id=_agent() or None)
    hours = {line["hour"]: line for line in found["hours"]}
    return {
        "figures": found,
        "speed": [_part(line) for line in found["speed"]],
        "day": [_hour(line) for line in found["hours"]],
        "busiest": [hours[hour] | {"span": _span(hour)} for hour in found["peak_hours"]],
        "fastest": _fastest(found["speed"]),
        "step": STEPS[_window()],
        "lasts": WINDOWS[_window()].removeprefix("Last "),
        "poll": every(REFRESH_MS),
    }


def _part(line: Row) -> dict[str, Any]:
    words = (
        f"{_stretch(line)}: {line['completed']:,} completed, "
        f"{line['failed']:,} failed, {line['jobs_per_hour']:,.1f} an hour"
    )
    return {"ok": line["completed"], "bad": line["failed"], "words": words}


def _fastest(parts: list[Row]) -> Row:
    """The part of the time in which most was done, the newest of several."""
    found = max(reversed(parts), key=lambda line: line["jobs_per_hour"])
    return found | {"span": _stretch(found)}


def _stretch(line: Row) -> str:
    return f"{_moment(line['at'])} to {_moment(line['until'])} UTC"


def _moment(at: datetime) -> str:
    return at.strftime("%-d %b, %H:%M")


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
