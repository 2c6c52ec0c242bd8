"""On a job's page: the jobs that it delegated and those below them, with what they cost, and one way to stop them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import flash, redirect, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.dashboard import actions, job_seen
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.session import asking
from app.db import Row, db
from app.jobs import delegation, family
from app.jobs.states import FINAL

MOST = 100


def embed(row: Row) -> Markup | None:
    """The panel, for a job that has delegated, was delegated, or may yet delegate; most jobs have none to poll for."""
    has_some = row["children"] or row["parent_job_id"]
    may_yet = row["finished_at"] is None and delegation.may_delegate(row["agent_id"], row["agent_version"])
    return PANEL.embed(job_id=row["job_id"]) if has_some or may_yet else None


def _read(job_id: str) -> Context:
    row = job_seen.visible(job_id)
    told = family.tree(row["job_id"], asking()) if row["children"] else None
    shown = list(_lines(told["children"])) if told else []
    living = any(each["status"] not in FINAL for each in shown)
    return {
        "job": row,
        "family": told,
        "lines": shown[:MOST],
        "left_out": len(shown) - MOST,
        "above": family.above(row),
        "may_stop": living and may(asking(), "cancel_task", row["submitted_by"]),
        "poll": every(job_seen.SLOW_MS) if living or row["finished_at"] is None else STOP,
    }


def _lines(children: list[dict[str, Any]], level: int = 0) -> Iterator[dict[str, Any]]:
    """The jobs of a tree one below the other, each with how deep it stands."""
    for child in children:
        yield child | {"level": level}
        yield from _lines(child["children"], level + 1)


def cancel(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/tree/cancel: the job, if it lives, and all that lives below it."""
    row = job_seen.visible(job_id)
    demand(asking(), "cancel_task", row["submitted_by"])
    delegation.cancel_tree(row["job_id"])
    actions.noted("job.cancelled", row["job_id"], tree=True)
    db.session.commit()
    flash("Cancelled. What still runs is stopped by its worker in a moment.", "green")
    return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)


PANEL = Panel(name="job_family", template="job/_family.html", read=_read)
