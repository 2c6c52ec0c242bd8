"""What can be done with one job from its page: cancel, retry, resume, another priority."""

from __future__ import annotations

import math

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.dashboard import actions, job_seen
from app.dashboard.session import asking
from app.db import db
from app.errors import Invalid
from app.jobs import lifecycle
from app.jobs.states import PRIORITIES, Priority


def cancel(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/cancel."""
    row = job_seen.visible(job_id)
    demand(asking(), "cancel_task", row["submitted_by"])
    done = lifecycle.cancel(row["job_id"])
    actions.noted("job.cancelled", row["job_id"])
    db.session.commit()
    is_over = done["status"] == "cancelled"
    flash("Cancelled." if is_over else "Cancelling: its worker stops it in a moment.", "green")
    return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)


def retry(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/retry: the same again as a new job."""
    row = job_seen.visible(job_id)
    demand(asking(), "retry_task", row["submitted_by"])
    new_id = actions.again(row["job_id"])
    db.session.commit()
    flash("Sent in again as this new job.", "green")
    return redirect(url_for("dashboard.job", job_id=new_id), 303)


def resume(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/resume: go on, as a new job, where a spent budget stopped this one."""
    row = job_seen.visible(job_id)
    demand(asking(), "retry_task", row["submitted_by"])
    try:
        new_id = actions.resume(row["job_id"], {unit: _amount(unit) for unit in ("usd", "tokens", "minutes")})
    except Invalid as invalid:
        db.session.rollback()
        flash(f"Not resumed: {invalid.message}.", "red")
        return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)
    db.session.commit()
    flash("It goes on as this new job.", "green")
    return redirect(url_for("dashboard.job", job_id=new_id), 303)


def _amount(unit: str) -> float | None:
    """How much more of a unit the form asks for; nothing where it is left empty."""
    text = request.form.get(unit, "").strip()
    try:
        amount = float(text or 0)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        raise Invalid(f"{unit} must be a number", [(f"/{unit}", "must be a number")])
    return (int(amount) if amount.is_integer() else amount) or None


def priority(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/priority."""
    row = job_seen.visible(job_id)
    demand(asking(), "change_priority", row["submitted_by"])
    word = request.form.get("priority", "")
    chosen = Priority.named(word) if word in PRIORITIES else Priority.NORMAL
    lifecycle.change_priority(row["job_id"], chosen)
    actions.noted("job.priority_changed", row["job_id"], priority=chosen.word)
    db.session.commit()
    flash(f"The priority is {chosen.word} now.", "green")
    return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)
