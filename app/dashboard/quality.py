"""GET /quality: how drafts score, what refining helps, which checks fail, which topics are hard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import render_template

from app import clock
from app.accounts.permissions import demand, may, own_only
from app.agents import registry
from app.dashboard import score_chart
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look
from app.quality import analytics

REFRESH_MS = 15_000
WINDOWS = {"1": "Last 24 h", "7": "7 days", "30": "30 days"}
USUAL_WINDOW = "7"
# How a job ended, for its gate: the word, and the colour that the legend repeats.
OUTCOMES = {
    "first": Look("Passed at first draft", "check", "green"),
    "refined": Look("Passed after refinement", "again", "blue"),
    "person": Look("Passed by a person", "hand", "violet"),
    "rejected": Look("Rejected", "down", "amber"),
    "needs_review": Look("Left for review", "help", "amber"),
    "failed": Look("Failed before a verdict", "cross", "red"),
    "cancelled": Look("Cancelled", "slash", "grey"),
    "open": Look("Still under way", "play", "grey"),
}


def page() -> str:
    """GET /quality; `?days=7&agent=copywriter`."""
    demand(asking(), "view_task")
    query = {"days": _days()} | ({"agent": _agent()} if _agent() else {})
    return render_template(
        "quality/page.html",
        days=_days(),
        agent=_agent(),
        agents=registry.all_agents(),
        windows=WINDOWS,
        figures=FIGURES.embed(query),
    )


def _days() -> str:
    word = asked().get("days", USUAL_WINDOW)
    return word if word in WINDOWS else USUAL_WINDOW


def _agent() -> str:
    word = asked().get("agent", "").strip()
    return word if any(agent.agent_id == word for agent in registry.all_agents()) else ""


def _read() -> Context:
    found = analytics.figures(
        clock.now() - timedelta(days=int(_days())),
        window=_days(),
        owner=own_only(asking(), "view_task"),
        agent_id=_agent() or None,
        with_topics=may(asking(), "view_task_content"),
    )
    return {
        "figures": found,
        "outcomes": _shares(found["outcomes"]),
        "chart": score_chart.draw([(line["number"], line["score"]) for line in found["attempts"]])
        if found["attempts"]
        else None,
        "poll": every(REFRESH_MS),
    }


def _shares(outcomes: dict[str, int]) -> list[dict[str, Any]]:
    """Those that happened, each with where its part of the bar begins: {look, jobs, share, at}, of 100."""
    total = sum(outcomes.values())
    shown: list[dict[str, Any]] = []
    at = 0.0
    for name, seen in OUTCOMES.items():
        if jobs := outcomes.get(name, 0):
            share = 100 * jobs / total
            shown.append({"name": name, "look": seen, "jobs": jobs, "share": share, "at": round(at, 2)})
            at += share
    return shown


FIGURES = Panel(name="quality", template="quality/_figures.html", read=_read)
