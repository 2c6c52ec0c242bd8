"""GET /approvals: what workflows ask before they go on, and the page on which a person answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand
from app.approvals import asking as questions
from app.approvals import queries
from app.dashboard import actions, forms, links
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import Look, look
from app.db import Row, db
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.workflows import asking as workflows
from app.workflows import queries as runs

JSON = dict[str, Any]

REFRESH_MS = 5_000
OPEN = 100
PAGE_SIZE = 30
SOON = timedelta(hours=1)
DECISIONS = {"approve": "Approved.", "reject": "Rejected."}
LOOKS = {
    "open": Look("Waiting", "hand", "violet"),
    "approved": Look("Approved", "check", "green"),
    "rejected": Look("Rejected", "cross", "red"),
    "expired": Look("Nobody answered", "clock", "amber"),
    "cancelled": Look("Not needed any more", "slash", "grey"),
}
# A form that is no object of its own is asked for as one value.
VALUE = "answer"


def page() -> str:
    """GET /approvals."""
    demand(asking(), "view_approvals")
    before = links.before_id()
    return render_template(
        "approvals/page.html", listing=LISTING.embed({"before": before} if before else None)
    )


def waiting() -> int:
    """How many questions wait for the one who asks."""
    who = asking()
    return queries.count_open(who.user_id, who.email, who.role)


def _listing() -> Context:
    who, before = asking(), links.before_id()
    demand(who, "view_approvals")
    answered, following = _answered(before)
    return {
        "open": _all(queries.open_for(who.user_id, who.email, who.role, limit=OPEN)),
        "answered": _all(answered),
        "before": before,
        "next": following,
        "poll": every(REFRESH_MS),
    }


def _answered(before: str | None) -> tuple[list[Row], str | None]:
    """Settled questions, the newest first, and the id after which the next page begins."""
    who, most = asking(), PAGE_SIZE + OPEN
    found = queries.page(
        user_id=None if who.is_admin else who.user_id,
        email=who.email,
        role=who.role,
        before=before,
        limit=most,
    )
    settled = [row for row in found if row["status"] != "open"]
    if len(settled) > PAGE_SIZE:
        return settled[:PAGE_SIZE], settled[PAGE_SIZE - 1]["approval_id"]
    return settled, found[-1]["approval_id"] if len(found) == most else None


def _all(rows: list[Row]) -> list[Row]:
    names = runs.names([row["workflow_id"] for row in rows if row["workflow_id"]])
    return [_shown(row, names) for row in rows]


def _shown(row: Row, names: dict[str, str]) -> Row:
    deadline = row["deadline_at"]
    return row | {
        "look": look(row["status"], LOOKS),
        "soon": deadline is not None and deadline - clock.now() < SOON,
        "of": _asker(row, names),
        "by": row["answered_by"],
    }


def _asker(row: Row, names: dict[str, str]) -> Row:
    """The workflow, or the job, that waits for the answer."""
    if row["workflow_id"]:
        words = names.get(row["workflow_id"]) or f"workflow {row['workflow_id'][-8:]}"
        return {"words": words, "href": links.to("workflow", row["workflow_id"])}
    return {"words": f"job {row['job_id'][-8:]}", "href": links.to("job", row["job_id"])}


def detail(approval_id: str) -> str:
    """GET /approvals/<approval_id>."""
    return _page(_visible(approval_id), {}, {})


def _visible(approval_id: str) -> Row:
    """The question, for those who may answer it and for whoever's work asks it."""
    who = asking()
    demand(who, "view_approvals")
    row = queries.get(actions.checked_id(approval_id))
    if not (questions.may_answer(row, who) or row["requested_by"] == who.user_id):
        raise NotFound
    return row


def answering(approval_id: str) -> AnyResponse:
    """POST /approvals/<approval_id>: back to the list, or the form again with what is wrong with it."""
    row = _visible(approval_id)
    demand(asking(), "answer_approval")
    schema, decision = _schema(row["form"]), request.form.get("decision", "")
    typed, comment = forms.typed(schema, request.form), request.form.get("comment", "").strip()
    if decision not in DECISIONS:
        raise NotFound
    try:
        workflows.answer(
            row["approval_id"],
            decision="approve" if decision == "approve" else "reject",
            by=asking(),
            answer=_answer(row, typed, decision),
            comment=comment or None,
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_page(row, typed, _complaints(wrong), comment), 422)
    except (Conflict, Forbidden) as refused:
        db.session.rollback()
        flash(f"Not answered: {refused.message}.", "red")
        return redirect(url_for("dashboard.approval", approval_id=row["approval_id"]), 303)
    actions.noted(
        f"approval.{questions.STATUS_OF[decision]}", row["approval_id"], workflow_id=row["workflow_id"]
    )
    db.session.commit()
    flash(DECISIONS[decision], "green")
    return redirect(url_for("dashboard.approvals"), 303)


def _schema(form: JSON | None) -> JSON:
    """The form's schema as one with properties."""
    if not form:
        return {}
    return form if form.get("properties") else {"properties": {VALUE: form}}


def _answer(row: Row, typed: dict[str, str], decision: str) -> Any:
    """What was filled in; a rejection may leave out what an approval needs, and what cannot be read."""
    if not row["form"]:
        return None
    try:
        read = forms.parameters(_schema(row["form"]), typed)
    except Invalid:
        if decision == "approve":
            raise
        return None
    if not row["form"].get("properties"):
        return read.get(VALUE)
    return read if decision == "approve" or any(typed.values()) else None


def _complaints(wrong: Invalid) -> dict[str, str]:
    fields = [(pointer.replace("/answer", "/parameters", 1), said) for pointer, said in wrong.fields]
    return forms.complaints(Invalid(wrong.message, fields))


def _page(row: Row, typed: dict[str, str], wrong: dict[str, str], comment: str = "") -> str:
    fields = forms.fields(_schema(row["form"]), typed, wrong)
    return render_template(
        "approvals/detail.html",
        a=_all([row])[0] | {"requester": links.person(row["requested_by"])},
        answerable=row["status"] == "open" and questions.may_answer(row, asking()),
        fields=fields,
        wrong=wrong,
        strays=[name for name in wrong if name != "comment" and name not in {f.name for f in fields}],
        comment=comment,
    )


LISTING = Panel(name="approvals", template="approvals/_list.html", read=_listing)
