"""GET /workflows/<id>: one run, followed live: its graph, where the time went, each step, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import demand, may
from app.dashboard import actions, links, workflow_picture
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import REASONS
from app.dashboard.workflow_editor import as_yaml
from app.db import Row, db
from app.errors import NotFound
from app.jobs.states import Priority
from app.polling.hints import Pace
from app.workflows import document, queries, runs
from app.workflows.definition import read

REDRAWN_SECONDS = 15
"""While it runs, its waterfall is drawn anew at least so often: what goes on grows longer."""
FINAL = ("completed", "failed", "cancelled")

JSON = dict[str, Any]


def page(workflow_id: str) -> str:
    """GET /workflows/<workflow_id>."""
    row = seen(workflow_id, full=True)
    sees_content = may(asking(), "view_workflow_content", row["submitted_by"])
    run = document.of(row["workflow_id"], content=sees_content)
    return render_template(
        "workflows/run.html",
        run=run,
        sees_content=sees_content,
        schedule=links.to("schedule", row["schedule_id"]),
        owner=links.person(row["submitted_by"]),
        source=as_yaml(row["definition"]) if sees_content else "",
        status=STATUS.embed(workflow_id=row["workflow_id"]),
        outcome=OUTCOME.embed(workflow_id=row["workflow_id"]) if sees_content else "",
    )


def seen(workflow_id: str, *, full: bool = False) -> Row:
    """The run's row, if it exists and may be seen; with definition, inputs and output if `full`."""
    row = queries.get(actions.checked_id(workflow_id), full=full)
    demand(asking(), "view_workflow", row["submitted_by"])
    return row


def _status(workflow_id: str) -> Context:
    row = seen(workflow_id)
    run = _with_reasons(row, document.of(row["workflow_id"], content=False, pace=_pace()))
    lines, whole = workflow_picture.lines(run, clock.now())
    return {
        "run": run,
        "actions": _actions(row),
        "picture": workflow_picture.of_run(run),
        "summary": workflow_picture.in_words(run["steps"]),
        "lines": lines,
        "whole": whole,
        "asking": [step for step in run["steps"] if step["status"] == "awaiting_input"][:5],
        "poll": _poll(run),
    }


def _with_reasons(row: Row, run: JSON) -> JSON:
    """The document as the panel shows it: what errors say for those who may know, without any output.

    Who sees no content gets only reasons that are words; sentences quote the values that conditions looked at.
    """
    if may(asking(), "view_workflow_content", row["submitted_by"]):
        errors = {step["step_id"]: step["error"] for step in queries.steps(row["workflow_id"])}
        run["error"] = row["error"]
        for step in run["steps"]:
            step["error"] = errors.get(step["step_id"])
    else:
        hide_sentences(run["steps"])
    return run


def hide_sentences(steps: list[JSON]) -> None:
    """Take reasons out that are more than a word."""
    for step in steps:
        if step["status_reason"] not in REASONS:
            step["status_reason"] = None


def _actions(row: Row) -> list[str]:
    """What whoever asks can do with it now."""
    can: list[str] = []
    if may(asking(), "manage_workflow", row["submitted_by"]):
        can += {"running": ["pause", "cancel"], "paused": ["resume", "cancel"]}.get(row["status"], [])
        can += ["retry"] if may_retry(row) and row["status"] != "completed" else []
    if row["status"] in FINAL and may(asking(), "submit_workflow"):
        can += ["again", "edit"] if may(asking(), "view_workflow_content", row["submitted_by"]) else []
    return can


def may_retry(row: Row) -> bool:
    """Whether whoever asks may run it again from one of its steps; a run inside another is no matter of its own."""
    return (
        row["status"] in FINAL
        and not row["parent_workflow_id"]
        and may(asking(), "manage_workflow", row["submitted_by"])
    )


def _poll(run: JSON) -> str:
    after = run["poll"]["next_after_ms"]
    return STOP if run["poll"]["terminal"] or not after else every(after)


def _glance(workflow_id: str) -> tuple[str, str]:
    row = seen(workflow_id)
    tag = document.etag(row["workflow_id"]).strip('"')
    who = asking()
    if row["status"] in FINAL:
        return f'"{tag}-{who.role}"', STOP
    round_ = int(clock.now().timestamp() // REDRAWN_SECONDS)
    return f'"{tag}-{round_}-{who.role}"', _poll({"poll": document.poll(row, _pace())})


def _pace() -> Pace:
    return current_app.config["PACE"]  # type: ignore[no-any-return]


def _outcome(workflow_id: str) -> Context:
    row = seen(workflow_id, full=True)
    demand(asking(), "view_workflow_content", row["submitted_by"])
    return {
        "run": {"output": row["output"]},
        "poll": STOP if row["status"] in FINAL else every(5000),
    }


def act(workflow_id: str, verb: str) -> AnyResponse:
    """POST /workflows/<workflow_id>/<verb>: pause, resume, cancel, retry or again."""
    if verb not in VERBS:
        raise NotFound
    row = seen(workflow_id, full=verb == "again")
    where = VERBS[verb](row)
    db.session.commit()
    return redirect(url_for("dashboard.workflow", workflow_id=where), 303)


def _change(name: str, change: Callable[[str], Any], words: str) -> Callable[[Row], str]:
    def changed(row: Row) -> str:
        demand(asking(), "manage_workflow", row["submitted_by"])
        change(row["workflow_id"])
        actions.noted(f"workflow.{name}", row["workflow_id"])
        flash(words, "green")
        return str(row["workflow_id"])

    return changed


def _retry(row: Row) -> str:
    demand(asking(), "manage_workflow", row["submitted_by"])
    from_step = request.form.get("from_step") or None
    new = runs.retry(row["workflow_id"], by=asking().user_id, from_step=from_step)
    actions.noted("workflow.retried", row["workflow_id"], new_workflow_id=str(new["workflow_id"]))
    flash("Started again: what was finished is kept, the rest runs anew.", "green")
    return str(new["workflow_id"])


def _again(row: Row) -> str:
    """The same, from the beginning."""
    demand(asking(), "submit_workflow")
    demand(asking(), "view_workflow_content", row["submitted_by"])
    new = runs.start(
        runs.RunWish(
            definition=read(row["definition"]),
            submitted_by=asking().user_id,
            **runs.inputs_of(row),
            priority=Priority(row["priority_rank"]).word,
            tags=tuple(row["tags"]),
            correlation_id=g.get("request_id"),
            template_name=row["template_name"],
            template_version=row["template_version"],
        )
    )
    actions.noted("workflow.submitted", str(new["workflow_id"]), again=row["workflow_id"])
    flash("Started again, from the beginning.", "green")
    return str(new["workflow_id"])


VERBS: dict[str, Callable[[Row], str]] = {
    "pause": _change("paused", runs.pause, "Paused: what runs goes on to its end."),
    "resume": _change("resumed", runs.resume, "It goes on."),
    "cancel": _change("cancelled", runs.cancel, "Cancelled: what runs stops at its next checkpoint."),
    "retry": _retry,
    "again": _again,
}

STATUS = Panel(name="workflow_status", template="workflows/_status.html", read=_status, glance=_glance)
OUTCOME = Panel(name="workflow_outcome", template="workflows/_outcome.html", read=_outcome)


def part_of(job: JSON) -> Row | None:
    """The run that a job is a step of; None if it is gone (templates/job/page.html)."""
    try:
        return queries.get(job["workflow_id"])
    except NotFound:
        return None


def register(app: Flask) -> None:
    """Make `part_of` known to the page of a job."""
    app.jinja_env.globals["part_of"] = part_of
