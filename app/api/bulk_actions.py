"""Bulk actions: one thing done to many jobs or dead letters; look first, then start it, watch it, stop it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import may, own_only
from app.agents import registry
from app.api import conditional
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import AgentId, PollHint, Priority, StatusWord, Tag, Verdict
from app.api.pace import come_back, pace
from app.api.reading import Input
from app.api.request_id import current as current_request_id
from app.api.shapes import JSON, Commas, Moment, When
from app.db import Row
from app.errors import Invalid
from app.jobs import bulk, bulk_choice, dead_letters, queries
from app.jobs.bulk import Wish
from app.jobs.bulk_choice import MOST_IDS, Choice
from app.jobs.states import Priority as Rank
from app.jobs.states import parse_status

Subject = Literal["jobs", "dead_letters"]
Verb = Literal["cancel", "retry", "priority", "resubmit"]
State = Literal["pending", "running", "stopping", "completed", "aborted", "failed"]


class BulkFilterIn(Input):
    """Which ones; what is left out is any."""

    agent_id: AgentId | None = None
    since: Moment | None = Field(None, description="Submitted, or failed, at or after.")
    status: Annotated[list[StatusWord], Commas] = Field(
        default_factory=list, min_length=1, description="Jobs only."
    )
    priority: Priority | None = Field(None, description="Jobs only.")
    until: Moment | None = Field(None, description="Jobs only: submitted before.")
    tag: Tag | None = Field(None, description="Jobs only.")
    q: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Jobs only: in the name, the agent, the error, or the beginning of the id."
    )
    pool: Literal["marketing", "testing", "engineering", "general"] | None = Field(
        None, description="Jobs only."
    )
    workflow_id: UUID | None = Field(None, description="Jobs only.")
    schedule_id: UUID | None = Field(None, description="Jobs only.")
    verdict: Verdict | None = Field(None, description="Jobs only.")
    group_key: Annotated[str, StringConstraints(max_length=300)] | None = Field(
        None, description="Dead letters only."
    )
    state: Literal["open", "resolved", "ignored"] | None = Field(
        None, description="Dead letters only: what was said of their group."
    )


class BulkOptionsIn(Input):
    """What is to be different."""

    priority: Priority | None = Field(
        None,
        description="The new priority; with `priority` it is required, with `resubmit` it may be left out.",
    )
    override_parameters: JSON | None = Field(
        None, description="With `resubmit`: merged into each letter's parameters, which are checked again."
    )


class BulkActionIn(Input):
    """What is to be done to what: some by id, or all that fit a filter."""

    subject: Subject = "jobs"
    verb: Verb = Field(description="Jobs: cancel, retry, priority. Dead letters: resubmit.")
    options: BulkOptionsIn = Field(default_factory=BulkOptionsIn)
    ids: list[UUID] | None = Field(None, min_length=1, max_length=MOST_IDS)
    filter: BulkFilterIn | None = Field(None, description="`{}` is all that you may touch.")
    dry_run: bool = Field(False, description="Only say what it would touch.")
    upto: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="As the dry run answered it: nothing newer is touched."
    )
    at_most: int | None = Field(
        None, ge=0, description="As the dry run answered `count`: if it would be more now, that is a 409."
    )


class SampleOut(BaseModel):
    """One of those it would touch."""

    id: str
    job_id: str
    agent_id: str
    task_name: str | None
    status: str


class BulkLookOut(BaseModel):
    """What it would touch now. Nothing was changed."""

    dry_run: Literal[True]
    count: int = Field(description="How many it would be done to.")
    more: bool = Field(description="There are more than one action takes (100,000); it takes the oldest.")
    left_alone: dict[str, int] = Field(
        description="How many it would not be done to: by their state, or `missing`. For a filter `state` counts all."
    )
    upto: str | None
    sample: list[SampleOut]


class RefusalOut(BaseModel):
    """One that was left as it is."""

    id: str
    reason: str


class BulkActionOut(BaseModel):
    """A bulk action and how far it is."""

    bulk_id: str
    subject: Subject
    verb: Verb
    options: JSON
    words: str = Field(description="What it is done to, for people.")
    status: State
    requested_by: str
    matched: int = Field(description="How many were counted when it was asked for; it never touches more.")
    done: int
    refused: int
    left: int
    percent: int
    refusals: list[RefusalOut] = Field(description="The first 20.")
    error: str | None = Field(description="Why it failed as a whole.")
    created_at: When
    started_at: When | None
    abort_requested_at: When | None
    aborted_by: str | None
    finished_at: When | None
    seconds_left: float | None = Field(description="A guess.")
    poll: PollHint


class BulkActionsQuery(Input):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=100)
    before: UUID | None = Field(None, description="`next` of the page before.")


class BulkActionsOut(BaseModel):
    """Bulk actions, newest first."""

    bulk_actions: list[BulkActionOut]
    next: str | None


@op(
    "POST",
    "/api/v1/bulk-actions",
    verb="run_bulk_actions",
    out=BulkActionOut,
    status=202,
    also={200: BulkLookOut},
    errors=(409,),
    idempotent=True,
)
def create_bulk_action(body: BulkActionIn) -> Answer:
    """Start doing one thing to many jobs or dead letters (202), or with `dry_run` only say what it would touch (200).

    What it touches is fixed now: jobs that are submitted later are never a part of it. It is done in the background;
    ask for it by its id, or abort it.
    """
    who, wish = current_principal(), _wish(body)
    if body.dry_run:
        return Answer(_looked(bulk.look(wish, who)), status=200)
    row = bulk.create(wish, who, at_most=body.at_most, correlation_id=current_request_id())
    return Answer(_shown(row), headers={"Location": f"/api/v1/bulk-actions/{row['bulk_id']}"})


@op("GET", "/api/v1/bulk-actions", verb="view_bulk_actions", out=BulkActionsOut)
def list_bulk_actions(query: BulkActionsQuery) -> dict[str, Any]:
    """List bulk actions, newest first: your own, or all for admins."""
    owner = own_only(current_principal(), "view_bulk_actions")
    rows = bulk.page(owner, before=str(query.before) if query.before else None, limit=query.limit + 1)
    return {
        "bulk_actions": [_shown(row) for row in rows[: query.limit]],
        "next": rows[query.limit - 1]["bulk_id"] if len(rows) > query.limit else None,
    }


@op(
    "GET",
    "/api/v1/bulk-actions/<bulk_id>",
    verb="view_bulk_actions",
    out=BulkActionOut,
    errors=(404,),
    conditional=True,
)
def get_bulk_action(bulk_id: UUID) -> Answer:
    """Show how far a bulk action is."""
    row = bulk.get(str(bulk_id), own_only(current_principal(), "view_bulk_actions"))
    shown = _shown(row)
    return conditional.answer(bulk.tag(row), lambda: shown, come_back(shown["poll"]))


@op(
    "POST",
    "/api/v1/bulk-actions/<bulk_id>/abort",
    verb="run_bulk_actions",
    out=BulkActionOut,
    status=202,
    errors=(404, 409),
)
def abort_bulk_action(bulk_id: UUID) -> dict[str, Any]:
    """Stop a bulk action before its next step; what is done stays done."""
    who = current_principal()
    row = bulk.get(str(bulk_id), own_only(who, "run_bulk_actions"))
    return _shown(bulk.abort(row["bulk_id"], by=who.user_id))


def _wish(body: BulkActionIn) -> Wish:
    only = None if body.filter is None else _filter(body.subject, body.filter)
    choice = Choice(
        subject=body.subject,
        verb=body.verb,
        ids=tuple(str(each) for each in body.ids or ()),
        only=only,
        upto=body.upto,
    )
    return Wish(choice=choice, options=body.options.model_dump(exclude_none=True), words=_words(choice, body))


def _filter(subject: str, given: BulkFilterIn) -> bulk_choice.Filter:
    said = given.model_dump(exclude_defaults=True)
    of_letters = {"group_key", "state"}
    foreign = set(said) & of_letters if subject == "jobs" else set(said) - of_letters - {"agent_id", "since"}
    if foreign:
        wrong = [(f"/filter/{name}", f"is no filter of {subject}") for name in sorted(foreign)]
        raise Invalid(f"The filter does not fit {subject}.", wrong)
    agent = given.agent_id and registry.canonical(given.agent_id)
    if subject == "dead_letters":
        return dead_letters.Filter(
            agent_id=agent, since=given.since, group_key=given.group_key, state=given.state
        )
    return queries.Filter(
        agent_id=agent,
        statuses=tuple(parse_status(word).value for word in given.status),
        priority_rank=None if given.priority is None else int(Rank.named(given.priority)),
        since=given.since,
        until=given.until,
        tag=given.tag,
        text=given.q,
        pool=given.pool,
        workflow_id=str(given.workflow_id) if given.workflow_id else None,
        schedule_id=str(given.schedule_id) if given.schedule_id else None,
        verdict=given.verdict,
        in_errors=may(current_principal(), "view_task_content"),
    )


def _words(choice: Choice, body: BulkActionIn) -> str:
    what = "jobs" if choice.subject == "jobs" else "dead letters"
    if choice.ids:
        return f"{len(choice.ids):,} {what}, each by its id"
    said = body.filter.model_dump(mode="json", exclude_defaults=True) if body.filter else {}
    parts = [
        f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in said.items()
    ]
    return f"{what} with {' and '.join(parts)}" if parts else f"all {what}"


def _looked(found: bulk.Look) -> dict[str, Any]:
    return {
        "dry_run": True,
        "count": found.count,
        "more": found.more,
        "left_alone": found.left_alone,
        "upto": found.upto,
        "sample": [
            {
                "id": row.get("dlq_id") or row["job_id"],
                "job_id": row["job_id"],
                "agent_id": row["agent_id"],
                "task_name": row["task_name"],
                "status": row.get("status") or "failed",
            }
            for row in found.sample
        ],
    }


def _shown(row: Row) -> dict[str, Any]:
    shown = bulk.shown(row)
    after = None if row["finished_at"] else pace().shortest
    known = {name: shown[name] for name in BulkActionOut.model_fields if name in shown}
    return known | {
        "status": shown["state"],
        "poll": {"next_after_ms": after, "terminal": after is None},
    }
