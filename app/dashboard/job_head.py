"""The head of a job's page, on each of its parts: title, state, agent and version, and what can be done now."""

from __future__ import annotations

from app.dashboard import job_seen, job_stopped
from app.dashboard.htmx import Context, Panel
from app.jobs.states import PRIORITIES


def _read(job_id: str) -> Context:
    row = job_seen.visible(job_id, full=True)
    return {
        "job": job_seen.shown(row),
        "dead": job_stopped.letter(row),
        "priorities": PRIORITIES,
        "poll": job_seen.soon(row),
    }


PANEL = Panel(name="job_status", template="job/_status.html", read=_read, glance=job_seen.glance)
