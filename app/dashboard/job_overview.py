"""The first part of a job's page: what stopped it or what it asks, its way so far, its last words."""

from __future__ import annotations

from typing import Any

from app.accounts.permissions import may, may_answer
from app.approvals import queries as approvals
from app.dashboard import job_again, job_family, job_rail, job_result, job_seen, job_steps, job_stopped
from app.dashboard.htmx import Context, Panel
from app.dashboard.session import asking
from app.db import Row
from app.jobs import timeline, told

LAST_WORDS = 6
LARGEST_SHOWN = 16_000
"""Characters of the parameters that stand in the page; the whole is in the status document."""


def part(row: Row) -> Context:
    """What the template shows besides the head."""
    both = {"overview": PANEL.embed(job_id=row["job_id"]), "family": job_family.embed(row)}
    if not job_seen.sees_content(row):
        return both | {"rail": job_rail.embed(row)}
    return both | {
        "summary": job_result.SUMMARY.embed(job_id=row["job_id"]),
        "rail": job_rail.embed(row),
        "largest": LARGEST_SHOWN,
        "curl": job_again.curl(row),
    }


def _read(job_id: str) -> Context:
    row = job_seen.visible(job_id, full=True)
    shown = job_seen.shown(row)
    return {
        "job": shown,
        "steps": job_steps.steps(timeline.history(row["job_id"])),
        "ahead": job_steps.AHEAD.get(row["status"], ()),
        "stopped": job_stopped.why(row, shown),
        "question": _question(row) if row["status"] == "awaiting_input" else None,
        "latest": told.latest(row["job_id"], LAST_WORDS) if _speaks(row) else [],
        "poll": job_seen.soon(row),
    }


def _speaks(row: Row) -> bool:
    return row["status"] in ("running", "retry", "awaiting_input") and job_seen.sees_content(row)


def _question(row: Row) -> dict[str, Any] | None:
    """What it asks, and whether whoever looks may answer; the words of it only for those who may know them."""
    wanted = approvals.Filter(job_id=row["job_id"], status="open")
    for found in approvals.page(only=wanted, limit=1, brief=True):
        mine = may_answer(found, asking())
        sees = mine or may(asking(), "view_task_content", row["submitted_by"])
        return found | {"mine": mine, "sees": sees}
    return None


PANEL = Panel(name="job_overview", template="job/_overview.html", read=_read, glance=job_seen.glance)
