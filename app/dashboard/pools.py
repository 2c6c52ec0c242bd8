"""Pausing a pool and letting it go on, from the front page and from the page of queues."""

from __future__ import annotations

from datetime import timedelta

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand
from app.dashboard import actions
from app.dashboard.session import asking
from app.db import db
from app.jobs import pools

# How long one can pause from the page, in seconds; "" is until somebody resumes it.
PAUSES = {
    "": "Until I resume it",
    "900": "15 minutes",
    "3600": "1 hour",
    "14400": "4 hours",
    "86400": "1 day",
}


def pause(pool: str) -> AnyResponse:
    """POST /pools/<pool>/pause."""
    demand(asking(), "manage_queues")
    chosen = request.form.get("for_seconds", "")
    until = clock.now() + timedelta(seconds=int(chosen)) if chosen and chosen in PAUSES else None
    reason = request.form.get("reason", "").replace("\x00", "")[: pools.LONGEST_REASON]
    line = pools.pause(pool, by=asking().user_id, reason=reason, until=until)
    actions.noted("queue.paused", pool, reason=line["pause_reason"], until=line["paused_until"])
    db.session.commit()
    flash(f"{pool.capitalize()} is paused. What runs goes on; nothing new is started.", "green")
    return _back()


def resume(pool: str) -> AnyResponse:
    """POST /pools/<pool>/resume."""
    demand(asking(), "manage_queues")
    pools.resume(pool)
    actions.noted("queue.resumed", pool)
    db.session.commit()
    flash(f"{pool.capitalize()} goes on.", "green")
    return _back()


def _back() -> AnyResponse:
    page = "queues" if request.form.get("back") == "queues" else "now"
    return redirect(url_for(f"dashboard.{page}"), 303)
