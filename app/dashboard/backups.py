"""GET /backups: whether there is a way back, how old it is, and one more on request."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts import queries as accounts
from app.accounts.permissions import demand
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking, settings
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Conflict
from app.ops.backups import queries, records
from app.ops.backups.plan import plan_of

REFRESH_MS, RUNNING_MS = 15_000, 2_000
SHOWN = 40

LOOKS = {
    "running": Look("Being made", "bolt", "blue"),
    "done": Look("Not verified yet", "circle", "grey"),
    "verified": Look("Verified", "check", "green"),
    "failed": Look("Failed", "cross", "red"),
    "pruned": Look("Removed", "slash", "grey"),
}
UNSOUND = Look("Did not verify", "warn", "red")
KINDS = {
    "daily": "Daily",
    "manual": "By hand",
    "before_upgrade": "Before an upgrade",
    "before_restore": "Before a restore",
}


def page() -> str:
    """GET /backups."""
    demand(asking(), "manage_backups")
    return render_template("backups/page.html", listing=LISTING.embed())


def create() -> AnyResponse:
    """POST /backups: ask the scheduler for one."""
    who = asking()
    demand(who, "manage_backups")
    try:
        records.ask(by=who.user_id, version=plan_of(settings()).release)
    except Conflict:
        flash("A backup is being made already.")
    else:
        db.session.commit()
        flash("The scheduler makes a backup now.")
    return redirect(url_for("dashboard.backups"))


def _read() -> Context:
    demand(asking(), "manage_backups")
    now, plan, standing = clock.now(), plan_of(settings()), queries.standing()
    why = queries.stay(plan.keep, now)["why"]
    rows = [_row(row, why.get(row["backup_id"], [])) for row in queries.listing(limit=SHOWN)]
    failed, last = standing["last_failed"], standing["last"]
    return {
        **standing,
        "rows": rows,
        "names": accounts.emails([row["requested_by"] for row in rows if row["requested_by"]]),
        "plan": plan,
        "next_at": plan.next_at(now),
        "place": plan.place.shown,
        "wrong": failed if failed and (last is None or failed["started_at"] > last["started_at"]) else None,
        "poll": every(RUNNING_MS if standing["running"] else REFRESH_MS),
    }


def _row(row: Row, why: list[str]) -> Row:
    unsound = row["status"] == "done" and row["verify_error"]
    return row | {
        "look": UNSOUND if unsound else LOOKS[row["status"]],
        "kind_word": KINDS[row["kind"]],
        "kept_as": ", ".join(why),
        "about": row["error"] or row["verify_error"],
    }


LISTING = Panel(name="backups", template="backups/_listing.html", read=_read)
