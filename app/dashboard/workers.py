"""GET /workers: which processes work, on what, how they did; and letting one rest or end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may, own_only
from app.dashboard import actions, links
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.session import asking, settings
from app.dashboard.words import Look, many
from app.db import Row, db
from app.errors import Conflict, NotFound
from app.jobs import sizing
from app.workers import fleet, history

REFRESH_MS = 3_000
SCALING_MS = 5_000
MOST_SHOWN = 5  # of the jobs in a worker's line

STATES = {
    "active": Look("Working", "play", "blue"),
    "idle": Look("Idle", "check", "green"),
    "draining": Look("Draining", "pause", "amber"),
    "stopping": Look("Stopping", "out", "amber"),
    "lost": Look("Lost", "bolt", "red"),
    "gone": Look("Gone", "circle", "grey"),
}


def page() -> str:
    """GET /workers."""
    demand(asking(), "view_workers")
    return render_template("workers/page.html", listing=LISTING.embed(), scaling=SCALING.embed())


def detail(worker_id: str) -> str:
    """GET /workers/<worker_id>: of one that has left, what it did is still there."""
    return render_template(
        "workers/detail.html", worker=_worker(worker_id), status=STATUS.embed(worker_id=worker_id)
    )


def _listing() -> Context:
    demand(asking(), "view_workers")
    rows = [_shown(row) for row in fleet.listing()]
    memory = [row["memory_bytes"] for row in rows if row["memory_bytes"] and row["state"] != "lost"]
    return {
        "workers": rows,
        "summary": fleet.capacity(),
        "lost": sum(row["state"] == "lost" for row in rows),
        "memory": sum(memory) if memory else None,
        "release": current_app.config["RELEASE"],
        "poll": every(REFRESH_MS),
    }


def _scaling() -> Context:
    demand(asking(), "view_workers")
    chosen = settings()
    wanted = sizing.decisions(chosen.worker_bounds, pace=chosen.scale_pace)
    lines = [
        row | {"name": name, "decision": wanted[name]}
        for name, row in sizing.figures().items()
        if name in wanted
    ]
    return {
        "whole": lines[-1],
        "pools": lines[:-1],
        "bounds": chosen.worker_bounds,
        "told": bool(chosen.scale_command or chosen.scale_url),
        "grows_here": bool(chosen.workers) and not chosen.worker_bounds.is_fixed,
        "history": sizing.history(MOST_SHOWN),
        "poll": every(SCALING_MS),
    }


def _worker(worker_id: str) -> Row:
    """The worker as the list has it; one that has left and whose attempts are still known is `gone`."""
    demand(asking(), "view_workers")
    try:
        return _shown(fleet.get(worker_id))
    except NotFound:
        if not history.totals(worker_id)["attempts"]:
            raise
        return {"worker_id": worker_id, "state": "gone", "look": STATES["gone"], "jobs": [], "others": ""}


def _status(worker_id: str) -> Context:
    row = _worker(worker_id)
    attempts = history.attempts(worker_id, owner=own_only(asking(), "view_task"))
    return {
        "w": row,
        "attempts": attempts,
        "totals": history.totals(worker_id),
        "most": history.MOST_ATTEMPTS,
        "rescued": history.rescued(worker_id) if row["state"] in ("lost", "gone") else None,
        "release": current_app.config["RELEASE"],
        "poll": STOP if row["state"] == "gone" else every(REFRESH_MS),
    }


def _shown(row: Row) -> Row:
    mine = [job for job in row["jobs"] if may(asking(), "view_task", job["submitted_by"])]
    others = row["busy"] - len(mine)
    return row | {
        "look": STATES[row["state"]],
        "jobs": mine,
        "shown": mine[:MOST_SHOWN],
        "others": f"{many(others, 'job')} of others" if others > 0 else "",
        "by": links.person(row["wanted_by"]) if row["wanted_by"] else None,
        "mine": may(asking(), "manage_workers"),
        "question": confirming(row),
    }


def act(worker_id: str, verb: str) -> AnyResponse:
    """POST /workers/<worker_id>/<verb>: drain, resume or stop."""
    demand(asking(), "manage_workers")
    if verb not in _VERBS:
        raise NotFound
    action, words, do = _VERBS[verb]
    try:
        row = do(worker_id, by=asking().user_id)
    except Conflict as refused:
        db.session.rollback()
        flash(f"Not done: {refused.message}.", "red")
        return redirect(_back(worker_id), 303)
    actions.noted(action, worker_id, hostname=row["hostname"], busy=row["busy"])
    db.session.commit()
    flash(words.format(f"{row['hostname']}, process {row['process_id']}"), "green")
    return redirect(_back(worker_id), 303)


def _back(worker_id: str) -> str:
    """The page that was acted on: the worker's own, else the list."""
    own: str = url_for("dashboard.worker", worker_id=worker_id)
    at_own = (request.referrer or "").partition("?")[0].endswith(own)
    return own if at_own else url_for("dashboard.workers")


_VERBS: dict[str, tuple[str, str, Callable[..., Row]]] = {
    "drain": ("worker.drained", "{} takes nothing more; what it runs goes on.", fleet.drain),
    "resume": ("worker.resumed", "{} takes work again.", fleet.resume),
    "stop": ("worker.stopped", "{} ends, and hands back what does not end in time.", fleet.stop),
}


def grace() -> float:
    """How long what runs may take to end once a worker is stopped."""
    return settings().shutdown_grace_seconds


def confirming(row: dict[str, Any]) -> str:
    """The question before a worker is stopped."""
    return (
        f"Stop {row['hostname']}, process {row['process_id']}? What it runs has {grace():g} s to end and is then handed "
        "back; processes that were started together end together. Whatever keeps them running starts them anew."
    )


LISTING = Panel(name="workers", template="workers/_list.html", read=_listing)
SCALING = Panel(name="scaling", template="workers/_scaling.html", read=_scaling)
STATUS = Panel(name="worker", template="workers/_detail.html", read=_status)
