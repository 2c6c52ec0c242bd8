"""GET /workflow-templates: the list; one template with its form, its versions, and what changed between them."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents.versions import difference
from app.dashboard import actions, workflow_inputs
from app.dashboard.session import asking
from app.dashboard.workflow_editor import start, visible
from app.dashboard.workflow_picture import of_plan
from app.db import Row, db
from app.errors import Forbidden, Invalid, NotFound
from app.jobs.states import PRIORITIES
from app.workflows import plan, review, templates
from app.workflows.definition import read


def page() -> str:
    """GET /workflow-templates; `?q=` filters."""
    demand(asking(), "view_templates")
    q = request.args.get("q", "").strip()[:200]
    rows = templates.page(asking().user_id, asking().is_admin, q=q or None)
    mine = asking().user_id
    groups = (
        ("Yours", [row for row in rows if row["owner"] == mine]),
        ("Of others", [row for row in rows if row["owner"] not in (None, mine)]),
        ("Shipped with Callboard", [row for row in rows if row["owner"] is None]),
    )
    return render_template("workflows/templates.html", groups=groups, q=q)


def detail(name: str) -> str:
    """GET /workflow-templates/<name>."""
    demand(asking(), "view_templates")
    return _detail(visible(name, archived=True), None, {})


def _detail(row: Row, typed: dict[str, str] | None, wrong: dict[str, str]) -> str:
    schema = row["definition"].get("inputs")
    seen = review.of_text(row["source"], templates.knowledge(asking().user_id))
    return render_template(
        "workflows/template.html",
        template=row,
        is_mine=_is_mine(row),
        fields=workflow_inputs.fields(schema, typed or {}, wrong),
        wrong=wrong,
        broken=seen.complaints,
        picture=of_plan(plan.steps(seen.definition)) if seen.definition else None,
        versions=templates.versions(row["name"]),
        priorities=PRIORITIES,
        priority=request.form.get("priority", "normal"),
    )


def _is_mine(row: Row) -> bool:
    """Whether whoever asks may change it."""
    return may(asking(), "manage_template", row["owner"])


def run(name: str) -> AnyResponse:
    """POST /workflow-templates/<name>/run: the new run's page, or the form again with what is wrong with it."""
    demand(asking(), "submit_workflow")
    row = visible(name)
    schema = row["definition"].get("inputs")
    typed = workflow_inputs.typed(schema, request.form)
    priority = request.form.get("priority", "normal")
    try:
        made = start(
            read(row["definition"]),
            workflow_inputs.values(schema, typed),
            template=row,
            priority=priority if priority in PRIORITIES else "normal",
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_detail(row, typed, workflow_inputs.complaints(wrong)), 422)
    return redirect(url_for("dashboard.workflow", workflow_id=made["workflow_id"]), 303)


def version(name: str, version: str) -> str:
    """GET /workflow-templates/<name>/versions/<version>; `?against=` another version than the one before it."""
    demand(asking(), "view_templates")
    shown = visible(name, _number(version), archived=True)
    numbers = [row["version"] for row in templates.versions(name)]
    earlier = max((number for number in numbers if number < shown["version"]), default=None)
    against = _number(request.args["against"]) if request.args.get("against") else earlier
    before = visible(name, against, archived=True) if against else None
    # An older one is compared with the present one as things went: from the old to the new.
    first, second = sorted((before, shown), key=lambda row: row["version"]) if before else (None, shown)
    return render_template(
        "workflows/version.html",
        template=shown,
        is_mine=_is_mine(shown),
        numbers=numbers,
        before=first,
        after=second,
        change=difference(first["source"], second["source"], _names(first, second)) if first else None,
    )


def _names(first: Row, second: Row) -> tuple[str, str]:
    return f"v{first['version']}", f"v{second['version']}"


def _number(text: str) -> int:
    if not (text.isdecimal() and len(text) < 10):
        raise NotFound
    return int(text)


def restore(name: str, version: str) -> AnyResponse:
    """POST /workflow-templates/<name>/versions/<version>/restore."""
    _mine(name)
    row = templates.restore(name, _number(version), by=asking().user_id)
    return _done(name, "restored", f"Version {version} is in use again, as version {row['current_version']}.")


def act(name: str, verb: str) -> AnyResponse:
    """POST /workflow-templates/<name>/<verb>: share, unshare, archive."""
    row = _mine(name)
    if verb == "archive":
        templates.archive(name)
        return _done(name, "archived", "Archived. Restore a version to bring it back.")
    if verb not in {"share", "unshare"}:
        raise NotFound
    _make(row, "shared" if verb == "share" else "private")
    return _done(
        name, f"{verb}d", "Everybody may use it." if verb == "share" else "Only you and admins see it."
    )


def _make(row: Row, visibility: Any) -> None:
    templates.save(
        row["name"],
        text=row["source"],
        by=asking().user_id,
        visibility=visibility,
        over_others=asking().is_admin,
        checked=False,
    )


def _mine(name: str) -> Row:
    """A template that whoever asks may change."""
    demand(asking(), "manage_template")
    row = visible(name, archived=True)
    if not _is_mine(row):
        raise Forbidden("It is somebody else's; make a copy of it.")
    return row


def _done(name: str, what: str, words: str) -> AnyResponse:
    actions.noted(f"workflow_template.{what}", name)
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.workflow_template", name=name), 303)
