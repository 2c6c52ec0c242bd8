"""Workflows: run one, check one, look, pause, resume, cancel, run again from where it failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from app import clock
from app.accounts.permissions import may, own_only
from app.api import conditional
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.ownership import seen_workflow
from app.api.pace import come_back, pace
from app.api.request_id import current as current_request_id
from app.api.shapes import JSON
from app.api.workflow_shapes import (
    AnalyticsOut,
    AnalyticsQuery,
    StepOut,
    ValidateIn,
    ValidateOut,
    WorkflowAccepted,
    WorkflowBrief,
    WorkflowIn,
    WorkflowOut,
    WorkflowRetryIn,
    WorkflowsOut,
    WorkflowsQuery,
)
from app.db import Row
from app.errors import Invalid, NotFound
from app.workflows import analytics, definition, document, queries, review, rows, runs, source, templates
from app.workflows.definition import Definition
from app.workflows.review import Review
from app.workflows.runs import RunWish

USUAL_DAYS = 30
# The keys of a definition that a body may have itself; of `inputs` see _own_keys.
_KEYS = ("name", "description", "workflow_id", "steps", "output", "on_failure", "on_success")
StepId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


@op("POST", "/api/v1/workflows", verb="submit_workflow", out=WorkflowAccepted, status=201, idempotent=True)
def submit_workflow(body: WorkflowIn) -> Answer:
    """Run a workflow; when this answers, it is durable and its first steps are submitted.

    The body is the workflow itself (`name`, `steps`, …), or `{definition, inputs}`, or `{source, inputs}` with text.
    """
    try:
        wish = RunWish(
            definition=_definition(body),
            submitted_by=current_principal().user_id,
            inputs=_values(body),
            priority=body.priority,
            tags=tuple(body.tags),
            notify=body.notification(),
            correlation_id=current_request_id(),
        )
        row = runs.start(wish)
    except Invalid:
        _review(body, _values(body)).demand_sound(_place(body))
        raise
    return accepted(row)


@op("POST", "/api/v1/workflows/validate", verb="submit_workflow", out=ValidateOut)
def validate_workflow(body: ValidateIn) -> dict[str, Any]:
    """Check a workflow without running it: each mistake with its place, or the plan of what would run when.

    Send what you would submit. If you send `inputs`, they are checked too, and stand in the plan.
    """
    found = _review(body, _values(body) if "inputs" in body.model_fields_set else None)
    wrong = [
        {name: getattr(each, name) for name in ("pointer", "line", "message", "hint")}
        for each in found.complaints
    ]
    return {"valid": not wrong, "problems": wrong, "plan": found.plan}


@op("GET", "/api/v1/workflows", verb="view_workflow", out=WorkflowsOut)
def list_workflows(query: WorkflowsQuery) -> dict[str, Any]:
    """List runs, newest first: your own, or all for admins and viewers."""
    owner = own_only(current_principal(), "view_workflow")
    chosen = {"owner": owner, **query.model_dump(exclude={"limit", "offset"})}
    chosen["schedule_id"] = query.schedule_id and str(query.schedule_id)
    found = queries.page(**chosen, limit=query.limit, offset=query.offset)
    return {
        "workflows": [_brief(row) for row in found],
        "total": queries.count(**chosen),
        "limit": query.limit,
        "offset": query.offset,
    }


@op("GET", "/api/v1/workflows/analytics", verb="view_workflow", out=AnalyticsOut)
def get_workflow_analytics(query: AnalyticsQuery) -> dict[str, Any]:
    """Sum how runs went, by template or name: how many, how well, how long, and which step took longest."""
    since = query.since or clock.now() - timedelta(days=USUAL_DAYS)
    owner = own_only(current_principal(), "view_workflow")
    return {
        "since": since,
        "workflows": analytics.by_template(owner=owner, since=since, template=query.template),
    }


@op(
    "GET",
    "/api/v1/workflows/<workflow_id>",
    verb="view_workflow",
    out=WorkflowOut,
    errors=(404,),
    conditional=True,
)
def get_workflow(workflow_id: UUID) -> Answer:
    """Show or poll a run: 304 while nothing changed; `poll.next_after_ms` says when to come back."""
    seen = seen_workflow(workflow_id, "view_workflow")
    hint = come_back(document.poll(seen, pace()))
    return conditional.answer(_tag(seen), lambda: _document(workflow_id, seen), hint)


@op(
    "GET",
    "/api/v1/workflows/<workflow_id>/steps/<step_id>",
    verb="view_workflow",
    out=StepOut,
    errors=(404,),
    conditional=True,
)
def get_workflow_step(workflow_id: UUID, step_id: StepId) -> Answer:
    """Show one step of a run, for those who may see it also as it was written."""
    seen = seen_workflow(workflow_id, "view_workflow")
    return conditional.answer(_tag(seen), lambda: _step(workflow_id, step_id, seen))


@op(
    "POST",
    "/api/v1/workflows/<workflow_id>/cancel",
    verb="manage_workflow",
    out=WorkflowBrief,
    also={202: WorkflowBrief},
    errors=(404, 409),
)
def cancel_workflow(workflow_id: UUID) -> Answer:
    """End a run with its jobs, questions and inner runs: at once (200), or when what runs has stopped (202)."""
    row = _steered(workflow_id, runs.cancel, "cancelled")
    return Answer(_brief(row), status=200 if row["finished_at"] else 202)


@op(
    "POST",
    "/api/v1/workflows/<workflow_id>/pause",
    verb="manage_workflow",
    out=WorkflowBrief,
    errors=(404, 409),
)
def pause_workflow(workflow_id: UUID) -> dict[str, Any]:
    """Start nothing new of a run until it is resumed; what runs goes on."""
    return _brief(_steered(workflow_id, runs.pause, "paused"))


@op(
    "POST",
    "/api/v1/workflows/<workflow_id>/resume",
    verb="manage_workflow",
    out=WorkflowBrief,
    errors=(404, 409),
)
def resume_workflow(workflow_id: UUID) -> dict[str, Any]:
    """Let a paused run go on."""
    return _brief(_steered(workflow_id, runs.resume, "resumed"))


@op(
    "POST",
    "/api/v1/workflows/<workflow_id>/retry",
    verb="manage_workflow",
    out=WorkflowAccepted,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def retry_workflow(workflow_id: UUID, body: WorkflowRetryIn | None) -> Answer:
    """Run a finished run again, as a new one that keeps what was done in it; or from a step on that you name."""
    seen_workflow(workflow_id, "manage_workflow")
    from_step = body.from_step if body else None
    row = runs.retry(str(workflow_id), by=current_principal().user_id, from_step=from_step)
    noted("workflow.retried", workflow_id, {"new_workflow_id": row["workflow_id"], "from_step": from_step})
    return _accepted(row)


def accepted(row: Row, **details: object) -> Answer:
    """The answer to a submission, from the row of the run; notes who it was."""
    noted("workflow.submitted", row["workflow_id"], {"name": row["name"], **details})
    return _accepted(row)


def _accepted(row: Row) -> Answer:
    shown = document.brief(row, content=True) | {"links": links(row["workflow_id"])}
    body = {name: shown[name] for name in WorkflowAccepted.model_fields}
    return Answer(body, headers={"Location": body["links"]["self"]})


def links(workflow_id: str) -> dict[str, str]:
    """Where to go from here."""
    base = f"/api/v1/workflows/{workflow_id}"
    verbs = {verb: f"{base}/{verb}" for verb in ("cancel", "pause", "resume", "retry")}
    return {"self": base, **verbs, "page": f"/workflows/{workflow_id}"}


def _tag(seen: Row) -> str:
    """What changes whenever the document would, and is another for those who see more or less of it."""
    who = current_principal()
    sees = "c" if _sees_content(seen) else "s"
    return f'"{seen["version"]}.{seen["work"]}.{sees}{who.role[0]}"'


def _sees_content(row: Row) -> bool:
    return may(current_principal(), "view_workflow_content", row["submitted_by"])


def _document(workflow_id: UUID, seen: Row) -> Row:
    shown = document.of(str(workflow_id), content=_sees_content(seen), pace=pace())
    return shown | {"actions": _actions(shown), "links": links(shown["workflow_id"])}


def _step(workflow_id: UUID, step_id: str, seen: Row) -> Row:
    content = _sees_content(seen)
    steps = document.of(str(workflow_id), content=content)["steps"]
    shown: Row | None = next((step for step in steps if step["step_id"] == step_id), None)
    if shown is None:
        raise NotFound(f"There is no step {step_id} in the workflow {workflow_id}.")
    if not content:
        return shown
    return shown | {"definition": rows.definitions(str(workflow_id), [step_id])[step_id]["definition"]}


def _brief(row: Row) -> Row:
    return document.brief(row, content=_sees_content(row)) | {"actions": _actions(row)}


def _actions(row: Row) -> list[str]:
    """What the caller may do with a run now; by its row or its document."""
    if not may(current_principal(), "manage_workflow", row["submitted_by"]):
        return []
    if row["finished_at"]:
        return [] if row.get("parent") or row.get("parent_workflow_id") else ["retry"]
    if row.get("cancel_requested") or row.get("cancel_requested_at"):
        return []
    return ["resume" if row["status"] == "paused" else "pause", "cancel"]


def _steered(workflow_id: UUID, steer: Callable[[str], Row], done: str) -> Row:
    seen_workflow(workflow_id, "manage_workflow")
    row = steer(str(workflow_id))
    noted(f"workflow.{done}", workflow_id)
    return row


def _place(body: WorkflowIn) -> str:
    """Where in the body the definition stands; raises Invalid if nowhere or twice."""
    given = [name for name in ("steps", "definition", "source") if getattr(body, name) is not None]
    if len(given) != 1:
        said = "send the workflow itself with its steps, or definition, or source"
        raise Invalid(f"{said[0].upper()}{said[1:]}.", [(f"/{given[1] if given else 'steps'}", said)])
    return "" if given[0] == "steps" else f"/{given[0]}"


def _definition(body: WorkflowIn) -> Definition:
    place = _place(body)
    return definition.read(source.parse(body.source or "")[0] if place == "/source" else _raw(body, place))


def _raw(body: WorkflowIn, place: str) -> Any:
    if place:
        return body.definition
    own = {name: getattr(body, name) for name in _KEYS if name in body.model_fields_set}
    return own | ({"inputs": body.inputs} if _has_schema(body) else {})


def _has_schema(body: WorkflowIn) -> bool:
    """Whether `inputs` beside `steps` is what belongs to the definition: the schema of inputs."""
    return body.steps is not None and isinstance(body.inputs.get("properties"), dict)


def _values(body: WorkflowIn) -> JSON:
    return {} if _has_schema(body) else body.inputs


def _review(body: WorkflowIn, inputs: JSON | None) -> Review:
    known, place = templates.knowledge(current_principal().user_id), _place(body)
    if place == "/source":
        return review.of_text(body.source or "", known, inputs)
    return review.of_json(_raw(body, place), known, inputs)
