"""Saved views of the list of jobs: some come with Callboard, the others people keep themselves."""

from __future__ import annotations

from typing import NamedTuple

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import views
from app.accounts.permissions import may
from app.dashboard import actions
from app.dashboard.job_filter import Wanted
from app.dashboard.session import asking
from app.db import Row, db
from app.errors import Conflict, Invalid

PAGE = "jobs"
BUILT_IN = {
    "Failed today": "status:failed since:today",
    "Open for over an hour": "status:waiting,running,asking until:1h",
    "Mine": "by:me",
    "Expensive": "cost:>1",
}


class View(NamedTuple):
    """A view in the menu: where it leads, and what can be done with it."""

    name: str
    wanted: Wanted
    is_here: bool
    kept: Row | None = None
    """What is stored of it; None for one that comes with Callboard."""
    changeable: bool = False


def menu(here: Wanted) -> list[View]:
    """All views for whoever asks: their own, those shared with them, those that come with Callboard."""
    who, found = asking(), []
    for row in views.listing(who, PAGE):
        wanted = Wanted.of_query(row["query"])
        found.append(View(row["name"], wanted, wanted.same(here), row, views.changeable(who, row)))
    for name, text in BUILT_IN.items():
        wanted = Wanted.of({"q": text})
        found.append(View(name, wanted, wanted.same(here)))
    return found


def save() -> AnyResponse:
    """POST /jobs/views: keep the present filter under a name; one of the same name is replaced."""
    wanted, name = Wanted.of(request.form), request.form.get("name", "")
    if wanted.asked.complaints:
        flash(f"Not saved: {wanted.asked.complaints[0].message}.", "red")
        return _back(wanted)
    try:
        kept = views.save(
            asking(), page=PAGE, name=name, query=wanted.address(), shared=request.form.get("shared") == "on"
        )
    except (Invalid, Conflict) as refused:
        db.session.rollback()
        flash(f"Not saved: {_reason(refused)}", "red")
        return _back(wanted)
    actions.noted("view.saved", kept["view_id"], shared=kept["shared"])
    db.session.commit()
    flash(f"Saved as “{kept['name']}”.", "green")
    return _back(wanted)


def rename(view_id: str) -> AnyResponse:
    """POST /jobs/views/<view_id>/rename."""
    wanted = Wanted.of(request.form)
    try:
        kept = views.rename(asking(), actions.checked_id(view_id), request.form.get("name", ""))
    except (Invalid, Conflict) as refused:
        db.session.rollback()
        flash(f"Not renamed: {_reason(refused)}", "red")
        return _back(wanted)
    actions.noted("view.renamed", kept["view_id"])
    db.session.commit()
    flash(f"It is called “{kept['name']}” now.", "green")
    return _back(wanted)


def delete(view_id: str) -> AnyResponse:
    """POST /jobs/views/<view_id>/delete."""
    kept = views.get(asking(), actions.checked_id(view_id))
    views.delete(asking(), kept["view_id"])
    actions.noted("view.deleted", kept["view_id"])
    db.session.commit()
    flash(f"The view “{kept['name']}” is deleted.", "green")
    return _back(Wanted.of(request.form))


def may_share() -> bool:
    """Whether whoever asks can show their views to everybody."""
    return may(asking(), "share_view")


def _reason(refused: Invalid | Conflict) -> str:
    return refused.message.rstrip(".") + "."


def _back(wanted: Wanted) -> AnyResponse:
    return redirect(url_for("dashboard.jobs", **wanted.query()), 303)
