"""GET /jobs/<id>: one job, followed live: its state, its log, what came out, and what can be done with it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from flask import Response, current_app, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import queries as people
from app.accounts.permissions import demand, may, may_answer
from app.agents import registry
from app.approvals import queries as approvals
from app.dashboard import actions, job_quality, story
from app.dashboard.htmx import STOP, Context, Panel, every
from app.dashboard.prose import rendered
from app.dashboard.session import asking, settings
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.jobs import artifacts, dead_letters, explain, intake, lifecycle, queries, timeline
from app.jobs.document import document, etag, poll_hint
from app.jobs.states import PRIORITIES, Priority
from app.polling.hints import Pace

# The steps that are still to come, by status.
AHEAD = {
    "pending": ("Queued", "Running", "Finished"),
    "queued": ("Running", "Finished"),
    "running": ("Finished",),
    "retry": ("Running", "Finished"),
    "awaiting_input": ("Running", "Finished"),
}

LOG_AT_FIRST = 200
LOG_AT_ONCE = 500
OUTCOME_MS = 5000
PREVIEW_BYTES = 64_000
TEXTS = ("text/", "application/json", "application/xml", "application/sarif+json", "application/x-ndjson")
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


def page(job_id: str) -> str:
    """GET /jobs/<job_id>."""
    row = _visible(job_id, full=True)
    who = asking()
    sees_content = may(who, "view_task_content", row["submitted_by"])
    return render_template(
        "job/page.html",
        job=document(row, who, _pace()),
        sees_content=sees_content,
        owner=_owner(row),
        status=STATUS.embed(job_id=row["job_id"]),
        outcome=OUTCOME.embed(job_id=row["job_id"]) if sees_content else "",
        lines=timeline.newest(row["job_id"], LOG_AT_FIRST) if sees_content else [],
        log_poll=_log_poll(row),
        priorities=PRIORITIES,
        **(story.at_first(row) | job_quality.at_first(row) if sees_content else {}),
    )


def _visible(job_id: str, *, full: bool = False) -> Row:
    """The job's row, if it exists and may be seen."""
    row = queries.get(actions.checked_id(job_id), full=full)
    demand(asking(), "view_task", row["submitted_by"])
    return row


def _pace() -> Pace:
    return current_app.config["PACE"]  # type: ignore[no-any-return]


def _owner(row: Row) -> str:
    """Who submitted it, by e-mail where the account still exists."""
    if row["submitted_by"] == asking().user_id:
        return "you"
    try:
        found = people.user(actions.checked_id(row["submitted_by"]))
    except NotFound:
        found = None
    return str(found["email"] if found else row["submitted_by"])


def _status(job_id: str) -> Context:
    row, who = _visible(job_id, full=True), asking()
    shown = document(row, who, _pace())
    waiting = row["status"] in ("pending", "queued", "retry")
    return {
        "job": shown,
        "steps": _steps(timeline.history(row["job_id"])),
        "ahead": AHEAD.get(row["status"], ()),
        "why": explain.explain(row["job_id"], who=who) if waiting else None,
        "dead": _dead_letter(row),
        "question": _question(row) if row["status"] == "awaiting_input" else None,
        "tail": timeline.newest(row["job_id"], 8)
        if row["status"] == "failed" and "stack_trace" in shown
        else [],
        "priorities": PRIORITIES,
        "raisable": _raisable(row) if "resume" in shown["actions"] else {},
        "poll": _poll(row),
    }


def _question(row: Row) -> Row | None:
    """What it asks, and whether whoever looks may answer; the words of it only for those who may know them."""
    wanted = approvals.Filter(job_id=row["job_id"], status="open")
    for found in approvals.page(only=wanted, limit=1, brief=True):
        mine = may_answer(found, asking())
        sees = mine or may(asking(), "view_task_content", row["submitted_by"])
        return found | {"mine": mine, "sees": sees}
    return None


def _glance(job_id: str) -> tuple[str, str]:
    row = _visible(job_id)
    return etag(row, asking()), _poll(row)


def _poll(row: Row) -> str:
    after = poll_hint(row, _pace())["next_after_ms"]
    return every(after) if after else STOP


def _steps(history: list[Row]) -> list[Row]:
    """The way of a job: its first step and, where it went round and round, the last ten."""
    steps: list[Row] = [
        {"status": h["to_status"], "at": h["at"], "reason": h["reason"], "attempt": h["attempt"]}
        for h in history
    ]
    for step, following in pairwise(steps):
        step["left_at"] = following["at"]
    return steps if len(steps) <= 11 else [steps[0], *steps[-10:]]


def _dead_letter(row: Row) -> Row | None:
    if row["status"] != "failed" or not may(asking(), "view_dlq"):
        return None
    try:
        return dead_letters.get(row["job_id"])
    except NotFound:  # removed by retention
        return None


def _glance_at_outcome(job_id: str) -> tuple[str, str]:
    row = _visible(job_id)
    demand(asking(), "view_task_content", row["submitted_by"])
    return etag(row, asking()), _outcome_poll(row)


def _outcome_poll(row: Row) -> str:
    return STOP if row["finished_at"] is not None else every(OUTCOME_MS)


def _outcome(job_id: str) -> Context:
    row = _visible(job_id, full=True)
    demand(asking(), "view_task_content", row["submitted_by"])
    return {
        "job": row,
        "report": rendered(_text_of(row["result"], row["agent_id"])),
        "attempts": timeline.attempts(row["job_id"]),
        "artifacts": [_preview(a) for a in artifacts.listing(row["job_id"])],
        "poll": _outcome_poll(row),
    }


def _text_of(result: dict[str, Any] | None, agent_id: str) -> str | None:
    """What of a result is to be read: its report, what the agent's schema calls markdown, or a model's answer."""
    found = ((result or {}).get(name) for name in ["report", *_prose_of(agent_id)])
    return next((text for text in found if isinstance(text, str) and text), None)


def _prose_of(agent_id: str) -> list[str]:
    try:
        agent = registry.get(agent_id)
    except NotFound:  # it was removed
        return []
    properties = (agent.output_schema or {}).get("properties", {})
    named = [
        n
        for n, p in properties.items()
        if isinstance(p, dict) and p.get("contentMediaType") == "text/markdown"
    ]
    return [*named, "result"] if agent.runner in ("llm", "cli") else named


def _preview(artifact: Row) -> Row:
    """An artifact with how it can be shown in the page: `image`, `markdown`, `text` or not at all."""
    kind = artifact["media_type"].partition(";")[0]
    shown = artifact | {"kind": "file", "text": None, "html": None}
    if kind in IMAGES:
        return shown | {"kind": "image"}
    if not kind.startswith(TEXTS) or artifact["size_bytes"] > PREVIEW_BYTES or kind == "text/html":
        return shown
    text = _bytes(artifact["artifact_id"]).decode("utf-8", "replace")
    if kind == "text/markdown":
        return shown | {"kind": "markdown", "html": rendered(text)}
    return shown | {"kind": "text", "text": text}


def _bytes(artifact_id: str) -> bytes:
    now = settings()
    store = artifacts.Store(now.artifact_store, now.max_artifact_bytes)
    try:
        with store.open(artifacts.get(artifact_id)["location"]) as file:
            return file.read(now.max_artifact_bytes)
    except NotFound:
        return b"(the bytes are gone from the store)"


def artifact(job_id: str, artifact_id: str) -> Response:
    """GET /jobs/<job_id>/artifacts/<artifact_id>: the bytes, in a sandbox; `?download` saves them."""
    found = artifacts.get(actions.checked_id(artifact_id))
    if found["job_id"] != actions.checked_id(job_id):
        raise NotFound
    demand(asking(), "view_task_content", found["submitted_by"])
    now = settings()
    file = artifacts.Store(now.artifact_store, now.max_artifact_bytes).open(found["location"])
    kind = found["media_type"].partition(";")[0]
    response = Response(_chunks(file), mimetype=kind if kind in IMAGES else "application/octet-stream")
    # Whatever an agent wrote, it never runs as a page of this site.
    response.headers["Content-Security-Policy"] = (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    response.headers["Content-Length"] = str(found["size_bytes"])
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    inline = kind in IMAGES and "download" not in request.args
    response.headers.set("Content-Disposition", "inline" if inline else "attachment", filename=found["name"])
    return response


def _chunks(file: Any) -> Any:
    with file:
        while chunk := file.read(65_536):
            yield chunk


def log(job_id: str) -> Response:
    """GET /ui/jobs/<job_id>/log?after=N: the lines above a cursor; 204 when there are none."""
    row = _visible(job_id)
    demand(asking(), "view_task_content", row["submitted_by"])
    lines = timeline.log(row["job_id"], after=story.number(request.args.get("after")), limit=LOG_AT_ONCE)
    response = (
        make_response(render_template("job/_lines.html", lines=lines)) if lines else make_response("", 204)
    )
    response.headers["HX-Poll"] = every(0) if len(lines) == LOG_AT_ONCE else _log_poll(row)
    return response


def _log_poll(row: Row) -> str:
    # One more look after the end: the last lines and the final status are written apart.
    return STOP if row["finished_at"] is not None else every(settings().poll_running_ms)


def raw(job_id: str) -> Response:
    """GET /jobs/<job_id>/log.txt: the whole log as text."""
    row = _visible(job_id)
    demand(asking(), "view_task_content", row["submitted_by"])
    lines = timeline.log(row["job_id"], limit=settings().max_log_lines)
    text = "".join(
        f"{line['at'].isoformat()} {line['level']:7} {line['source']}: {line['message']}\n" for line in lines
    )
    return Response(text, mimetype="text/plain")


def cancel(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/cancel."""
    row = _visible(job_id)
    demand(asking(), "cancel_task", row["submitted_by"])
    done = lifecycle.cancel(row["job_id"])
    actions.noted("job.cancelled", row["job_id"])
    db.session.commit()
    flash(
        "Cancelled." if done["status"] == "cancelled" else "Cancelling: its worker stops it in a moment.",
        "green",
    )
    return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)


def retry(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/retry: the same again as a new job."""
    row = _visible(job_id)
    demand(asking(), "retry_task", row["submitted_by"])
    new_id = actions.again(row["job_id"])
    db.session.commit()
    flash("Sent in again as this new job.", "green")
    return redirect(url_for("dashboard.job", job_id=new_id), 303)


def resume(job_id: str) -> AnyResponse:
    """POST /jobs/<job_id>/resume: go on, as a new job, where a spent budget stopped this one."""
    row = _visible(job_id)
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


def _raisable(row: Row) -> dict[str, float]:
    """What the job might use, by unit, where the person who looks may give it more."""
    agents_own = registry.demand(row["agent_id"]).budget or {}
    return {
        unit: had
        for unit, had in intake.allowance(row).items()
        if may(asking(), "exceed_budget") or had < agents_own.get(unit, math.inf)
    }


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
    row = _visible(job_id)
    demand(asking(), "change_priority", row["submitted_by"])
    word = request.form.get("priority", "")
    chosen = Priority.named(word) if word in PRIORITIES else Priority.NORMAL
    lifecycle.change_priority(row["job_id"], chosen)
    actions.noted("job.priority_changed", row["job_id"], priority=chosen.word)
    db.session.commit()
    flash(f"The priority is {chosen.word} now.", "green")
    return redirect(url_for("dashboard.job", job_id=row["job_id"]), 303)


STATUS = Panel(name="job_status", template="job/_status.html", read=_status, glance=_glance)
OUTCOME = Panel(name="job_outcome", template="job/_outcome.html", read=_outcome, glance=_glance_at_outcome)
