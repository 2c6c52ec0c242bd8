"""Jobs: submit one or many, list, look at one, cancel, hurry, run again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from flask import request
from pydantic import AliasChoices, Field, ValidationError, WithJsonSchema

from app.accounts.permissions import may
from app.agents import registry
from app.api import conditional, cursors
from app.api.answers import Answer
from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.job_filter import understood
from app.api.job_shapes import (
    MOST_AT_ONCE,
    OF_A_POST,
    BulkOut,
    CancelledOut,
    JobAccepted,
    JobIn,
    JobOut,
    JobsOut,
    JobsQuery,
    PriorityIn,
    PriorityOut,
    ReplayIn,
    ResumeIn,
    RetryIn,
)
from app.api.noted import noted
from app.api.ownership import demand_job
from app.api.pace import come_back, pace
from app.api.reading import Input, pointers
from app.api.request_id import current as current_request_id
from app.api.shapes import JSON
from app.db import Row
from app.errors import CallboardError, Invalid
from app.jobs import chosen, delegation, document, intake, lifecycle, queries, reach, stats
from app.jobs.chosen import NONE
from app.jobs.intake import Wish
from app.jobs.lifecycle import Order
from app.jobs.states import Priority, Status, parse_status


class BulkIn(Input):
    """Up to 100 submissions; each is accepted or refused by itself."""

    tasks: Annotated[
        list[JSON],
        Field(min_length=1, max_length=MOST_AT_ONCE, validation_alias=AliasChoices("tasks", "jobs")),
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_AT_ONCE,
                "items": {"type": "object"},
                "title": "Tasks",
            }
        ),
    ]


@op("POST", "/api/v1/jobs", verb="submit_task", out=JobAccepted, status=201, idempotent=True)
def submit_job(body: JobIn) -> Answer:
    """Submit a job; when this answers, the job is durable.

    With the token of a running job it is a child of that job: it belongs to the same owner and session, uses of the
    parent's budget, and under one Idempotency-Key there is one such child. See the guide on delegation.
    """
    who = current_principal()
    if who.job_id:
        return accepted(delegation.submit_child(who.job_id, who.job_fence, _childs(body), _limits()))
    return accepted(lifecycle.submit(intake.order(_wish(body))))


def _childs(body: JobIn) -> Wish:
    return replace(_wish(body), child_key=request.headers.get("Idempotency-Key"))


def _limits() -> delegation.Limits:
    s = settings()
    return delegation.Limits(depth=s.delegation_max_depth, children=s.delegation_max_children)


@op(
    "POST",
    "/api/v1/jobs/bulk",
    verb="submit_task",
    out=BulkOut,
    status=201,
    also={207: BulkOut},
    idempotent=True,
)
def submit_jobs(body: BulkIn) -> Answer:
    """Submit up to 100 jobs; 207 if some were refused, with the reason at their index."""
    judged = [_judged(item) for item in body.tasks]
    rows = iter(lifecycle.submit_many([each for each in judged if isinstance(each, Order)]))
    results = [
        {"index": n} | (_said(next(rows)) if isinstance(each, Order) else each)
        for n, each in enumerate(judged)
    ]
    refused = sum("error" in result for result in results)
    answer = {"results": results, "accepted": len(results) - refused, "rejected": refused}
    return Answer(answer, status=207 if refused else 201)


@op("GET", "/api/v1/jobs", verb="view_task", out=JobsOut)
def list_jobs(query: JobsQuery) -> dict[str, Any]:
    """List jobs, newest first: your own, or all for admins and viewers.

    Words, costs and whatever else no index knows are looked for among the newest 50,000 jobs that fit the rest, and
    `total` counts those. The page may then be short or empty and still have a `next_cursor`, which goes on behind them.
    """
    who = current_principal()
    wanted = _filter(query)
    before = cursors.read(query.cursor) if query.cursor else None
    rows = queries.page(wanted, before=before, limit=query.limit, offset=query.offset)
    shown = [document.brief(row, who) for row in rows]
    return {
        "jobs": shown,
        "tasks": shown,
        "total": queries.count(wanted),
        "limit": query.limit,
        "offset": query.offset,
        "next_cursor": cursors.after(rows, query.limit, "submitted_at", "job_id") or _behind(wanted, before),
    }


def _behind(wanted: queries.Filter, before: tuple[datetime, str] | None) -> str | None:
    """The mark of where a search stopped before the end of the list."""
    end = reach.horizon(wanted, before)
    return cursors.after([end], 1, "submitted_at", "job_id") if end else None


@op("GET", "/api/v1/jobs/<job_id>", verb="view_task", out=JobOut, errors=(404,), conditional=True)
def get_job(job_id: UUID) -> Answer:
    """Show a job with everything you may see of it."""
    who = current_principal()
    row = queries.get(demand_job(job_id, "view_task"), full=True)
    tag = document.etag(row, who, "full")
    hint = come_back(document.poll_hint(row, pace()))
    return conditional.answer(tag, lambda: document.document(row, who, pace()), hint)


@op(
    "DELETE",
    "/api/v1/jobs/<job_id>",
    verb="cancel_task",
    out=CancelledOut,
    also={202: CancelledOut},
    errors=(404, 409),
)
def cancel_job(job_id: UUID) -> Answer:
    """Cancel a job: a waiting one at once (200), a running one within seconds (202)."""
    return _cancelled(job_id)


@op(
    "POST",
    "/api/v1/jobs/<job_id>/cancel",
    verb="cancel_task",
    out=CancelledOut,
    also={202: CancelledOut},
    errors=(404, 409),
)
def cancel_job_by_post(job_id: UUID) -> Answer:
    """The same as DELETE, for forms."""
    return _cancelled(job_id)


@op("PATCH", "/api/v1/jobs/<job_id>", verb="change_priority", out=PriorityOut, errors=(404, 409))
def change_job_priority(job_id: UUID, body: PriorityIn) -> dict[str, Any]:
    """Make a waiting job more or less urgent."""
    demand_job(job_id, "change_priority")
    row = lifecycle.change_priority(str(job_id), Priority.named(body.priority))
    noted("job.priority_changed", job_id, {"priority": body.priority})
    return {
        "job_id": row["job_id"],
        "task_id": row["job_id"],
        "status": row["status"],
        "priority": body.priority,
    }


@op(
    "POST",
    "/api/v1/jobs/<job_id>/retry",
    verb="retry_task",
    out=JobAccepted,
    status=201,
    errors=(404,),
    idempotent=True,
)
def retry_job(job_id: UUID, body: RetryIn | None) -> Answer:
    """Run a finished job again, as a new job that names the old one."""
    demand_job(job_id, "retry_task")
    changes = body.model_dump() if body else {}
    who = current_principal()
    row = intake.again(str(job_id), by=who.user_id, may_exceed_budget=may(who, "exceed_budget"), **changes)
    noted("job.retried", job_id, {"new_job_id": row["job_id"]})
    return accepted(row, retry_of_job_id=str(job_id))


@op(
    "POST",
    "/api/v1/jobs/<job_id>/replay",
    verb="retry_task",
    out=JobAccepted,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def replay_job(job_id: UUID, body: ReplayIn | None) -> Answer:
    """Run a finished job again to compare the two, by the definition it ran with or the present one."""
    demand_job(job_id, "retry_task")
    how = body.model_dump() if body else {}
    who = current_principal()
    row = intake.replay(str(job_id), by=who.user_id, may_exceed_budget=may(who, "exceed_budget"), **how)
    noted("job.replayed", job_id, {"new_job_id": row["job_id"], "version": how.get("version", "pinned")})
    return accepted(row, replay_of_job_id=str(job_id))


@op(
    "POST",
    "/api/v1/jobs/<job_id>/resume",
    verb="retry_task",
    out=JobAccepted,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def resume_job(job_id: UUID, body: ResumeIn | None) -> Answer:
    """Go on with a job that its budget stopped, as a new job from its last checkpoint, with a raised budget.

    What the old job spent does not count against the new one. More than its agent's budget is for admins.
    """
    demand_job(job_id, "retry_task")
    who, more = current_principal(), body.model_dump(exclude_none=True) if body else {}
    row = intake.resume(
        str(job_id),
        by=who.user_id,
        may_exceed_budget=may(who, "exceed_budget"),
        **{f"raise_{unit}": amount for unit, amount in more.items()},
    )
    noted("job.resumed", job_id, {"new_job_id": row["job_id"], "raised": more})
    return accepted(row, retry_of_job_id=str(job_id))


def _wish(body: JobIn) -> Wish:
    apart = {"tags", "notify_on_completion", "notification_email", "callback_url", *OF_A_POST}
    plain = body.model_dump(exclude=apart)
    return Wish(
        **plain,
        tags=tuple(body.tags),
        notify=_notify(body),
        submitted_by=current_principal().user_id,
        may_exceed_budget=may(current_principal(), "exceed_budget"),
        may_replace_gate=may(current_principal(), "manage_gates"),
        correlation_id=current_request_id(),
    )


def _notify(body: JobIn) -> JSON | None:
    """Who is told of the job's end; a mail without address goes to the owner."""
    wanted: JSON = {}
    if body.notify_on_completion or body.notification_email:
        wanted["email"] = body.notification_email
    if body.callback_url:
        wanted["callback_url"] = body.callback_url
    return wanted or None


def _judged(item: JSON) -> Order | dict[str, Any]:
    """One submission of many as an order, or why it is refused."""
    try:
        return intake.order(_wish(JobIn.model_validate_json(orjson.dumps(item), strict=True)))
    except ValidationError as error:
        return _refusal(Invalid("The submission does not fit.", pointers(error)))
    except CallboardError as error:
        return _refusal(error)


def _refusal(error: CallboardError) -> dict[str, Any]:
    fields = error.fields if isinstance(error, Invalid) else []
    errors = [{"pointer": pointer, "message": message} for pointer, message in fields]
    return {"error": {"code": error.code, "message": error.message, "errors": errors}}


def _said(row: Row) -> dict[str, Any]:
    return {"job_id": row["job_id"], "task_id": row["job_id"], "status": row["status"]}


def accepted(row: Row, **because_of: str) -> Answer:
    """What is answered for a job that was just submitted."""
    links = document.links(row["job_id"])
    position = queries.queue_position(row)
    body = (
        _said(row)
        | {
            "priority": Priority(row["priority_rank"]).word,
            "submitted_at": row["submitted_at"],
            "scheduled_for": row["run_at"] if row["status"] == Status.PENDING else None,
            "queue_position": position,
            "estimated_wait_time_seconds": stats.estimated_wait_seconds(position),
            "links": links,
        }
        | because_of
    )
    return Answer(body, headers={"Location": links["self"]})


def _filter(query: JobsQuery) -> queries.Filter:
    """What the query asks for: by `filter` and by the other parameters, which all must hold."""
    base = chosen.which(understood(query.filter or ""), current_principal())
    statuses = tuple(str(parse_status(word)) for word in query.status)
    if statuses and base.statuses:
        statuses = tuple(status for status in statuses if status in base.statuses) or (NONE,)
    return replace(
        base,
        agent_id=query.agent_id and registry.canonical(query.agent_id),
        statuses=statuses or base.statuses,
        priority_rank=None if query.priority is None else int(Priority.named(query.priority)),
        since=max(filter(None, (query.since, base.since)), default=None),
        until=min(filter(None, (query.until, base.until)), default=None),
        tag=query.tag,
        text=query.q,
        pool=query.pool,
        workflow_id=str(query.workflow_id) if query.workflow_id else None,
        schedule_id=str(query.schedule_id) if query.schedule_id else None,
        verdict=query.verdict,
    )


def _cancelled(job_id: UUID) -> Answer:
    demand_job(job_id, "cancel_task")
    row = lifecycle.cancel(str(job_id))
    noted("job.cancelled", job_id)
    running = row["status"] == Status.RUNNING
    body = _said(row) | {"cancel_requested": True, "cancelled_at": row["finished_at"]}
    return Answer(body, status=202 if running else 200)
