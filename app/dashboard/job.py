"""GET /jobs/<id>: one job in parts, each with an address of its own; only the part that is shown is read and polled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import render_template, request

from app.accounts.permissions import demand
from app.dashboard import (
    job_attempts,
    job_cost,
    job_events,
    job_head,
    job_json,
    job_log,
    job_overview,
    job_quality,
    job_result,
    job_seen,
    story,
)
from app.dashboard.htmx import Context
from app.dashboard.session import asking
from app.db import Row


class Part(NamedTuple):
    """One part of the page, as `?tab=` names it; all but those for everybody show content."""

    name: str
    title: str
    read: Callable[[Row], Context]
    for_everybody: bool = False


PARTS = (
    Part("overview", "Overview", job_overview.part, for_everybody=True),
    Part("log", "Log", job_log.part),
    Part("transcript", "Transcript", story.part),
    Part("attempts", "Attempts", job_attempts.part),
    Part("result", "Result", job_result.part),
    Part("quality", "Quality", job_quality.part),
    Part("cost", "Cost", job_cost.part),
    Part("events", "Events", job_events.part),
    Part("json", "JSON", job_json.part, for_everybody=True),
)


def page(job_id: str) -> str:
    """GET /jobs/<job_id>, and of it the part that `?tab=` names."""
    row = job_seen.visible(job_id, full=True)
    part = _asked_for()
    if not part.for_everybody:
        demand(asking(), "view_task_content", row["submitted_by"])
    sees_content = job_seen.sees_content(row)
    return render_template(
        f"job/tab_{part.name}.html",
        job=job_seen.shown(row),
        part=part,
        parts=[each for each in PARTS if sees_content or each.for_everybody],
        sees_content=sees_content,
        head=job_head.PANEL.embed(job_id=row["job_id"]),
        **part.read(row),
    )


def _asked_for() -> Part:
    wanted = request.args.get("tab")
    return next((part for part in PARTS if part.name == wanted), PARTS[0])
