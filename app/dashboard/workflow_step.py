"""GET /workflows/<id>/steps/<step_id>: one step: what it was told, what it made, and the question if it asks one."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may
from app.agents import secrecy
from app.approvals import asking as approving
from app.approvals import queries as approvals
from app.dashboard import actions, workflow_inputs
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.session import asking, settings
from app.dashboard.workflow import FINAL, hide_sentences, may_retry, seen
from app.dashboard.workflow_editor import as_yaml
from app.dashboard.workflow_picture import about
from app.db import Row, db
from app.errors import Invalid, Malformed, NotFound
from app.jobs import queries as jobs
from app.workflows import asking as answering
from app.workflows import document, queries

MOST_ITEMS = 200
"""Of a map are listed at most so many; the rest is counted."""
OVER = ("completed", "failed", "skipped", "cancelled")

JSON = dict[str, Any]


def page(workflow_id: str, step_id: str) -> str:
    """GET /workflows/<workflow_id>/steps/<step_id>."""
    return _draw(seen(workflow_id), step_id, {}, {})


def _draw(row: Row, step_id: str, typed: dict[str, str], wrong: dict[str, str]) -> str:
    step = _step(row, step_id)
    sees_content = may(asking(), "view_workflow_content", row["submitted_by"])
    approval = _approval(step)
    may_answer = bool(
        approval
        and approval["status"] == "open"
        and may(asking(), "answer_approval")
        and approving.may_answer(approval, asking())
    )
    return render_template(
        "workflows/step.html",
        run=row,
        step=step,
        sees_content=sees_content,
        does=about(step["kind"], step["definition"]),
        source=as_yaml(step["definition"]) if sees_content else "",
        status=STATUS.embed(workflow_id=row["workflow_id"], step_id=step_id),
        approval=approval if sees_content or may_answer else None,
        may_answer=may_answer,
        fields=workflow_inputs.fields(approval["form"], typed, wrong) if approval else [],
        wrong=wrong,
        form=request.form,
        is_over=step["status"] in OVER,
        may_retry=may_retry(row),
    )


def _step(row: Row, step_id: str) -> Row:
    for step in queries.steps(row["workflow_id"]):
        if step["step_id"] == step_id:
            return step
    raise NotFound


def _approval(step: Row) -> Row | None:
    """The question of a step; None if it asks none, or if it was kept from a run that is gone by now."""
    try:
        return approvals.get(step["approval_id"]) if step["approval_id"] else None
    except NotFound:
        return None


def _status(workflow_id: str, step_id: str) -> Context:
    row = seen(workflow_id)
    sees_content = may(asking(), "view_workflow_content", row["submitted_by"])
    run = document.of(row["workflow_id"], content=sees_content)
    if not sees_content:
        hide_sentences(run["steps"])
    known = {step["step_id"]: step for step in run["steps"]}
    if step_id not in known:
        raise NotFound
    step = known[step_id]
    inside = [each for each in run["steps"] if each["parent_step_id"] == step_id]
    return {
        "run": run,
        "step": step,
        "sees_content": sees_content,
        "parameters": _parameters(step) if sees_content else None,
        "inside": inside[:MOST_ITEMS],
        "more": max(len(inside) - MOST_ITEMS, 0),
        "poll": STOP if row["status"] in FINAL else every(settings().poll_running_ms),
    }


def _parameters(step: JSON) -> JSON | None:
    """What its job was told, references resolved and secrets hidden; None before there is a job."""
    if not step["job_id"]:
        return None
    try:
        job = jobs.get(step["job_id"], full=True)
    except NotFound:  # removed by retention
        return None
    return secrecy.parameters(job["agent_id"], job["agent_version"], job["parameters"])  # type: ignore[no-any-return]


def _glance(workflow_id: str, step_id: str) -> tuple[str, str]:  # noqa: ARG001 - the panel's address
    row = seen(workflow_id)
    over = row["status"] in FINAL
    tag = document.etag(row["workflow_id"]).strip('"')
    return f'"{tag}-{asking().role}"', STOP if over else every(settings().poll_running_ms)


def answer(workflow_id: str, step_id: str) -> AnyResponse:
    """POST /workflows/<workflow_id>/steps/<step_id>/answer: approve or reject, with what was filled in."""
    demand(asking(), "answer_approval")
    row = seen(workflow_id)
    approval = _approval(_step(row, step_id))
    if approval is None:
        raise NotFound
    if request.form.get("decision") not in ("approve", "reject"):
        raise Malformed("Choose whether to approve or to reject.")
    decision: approving.Decision = "approve" if request.form["decision"] == "approve" else "reject"
    typed = workflow_inputs.typed(approval["form"], request.form)
    try:
        answering.answer(
            approval["approval_id"],
            decision=decision,
            by=asking(),
            answer=_filled(approval, typed, decision),
            comment=request.form.get("comment", "").strip() or None,
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_draw(row, step_id, typed, workflow_inputs.complaints(wrong)), 422)
    told = {"workflow_id": row["workflow_id"], "decision": decision}
    actions.noted("approval.answered", approval["approval_id"], **told)
    db.session.commit()
    flash("Approved." if decision == "approve" else "Rejected.", "green")
    return redirect(url_for("dashboard.workflow", workflow_id=row["workflow_id"]), 303)


def _filled(approval: Row, typed: dict[str, str], decision: approving.Decision) -> JSON | None:
    """What was filled in; a rejection needs nothing, so what does not fit is left out of it."""
    if approval["form"] is None or decision == "reject":
        return None
    return workflow_inputs.values(approval["form"], typed)


STATUS = Panel(name="workflow_step_status", template="workflows/_step.html", read=_status, glance=_glance)
