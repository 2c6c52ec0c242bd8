"""Dead letters, for admins: look, group, send in again."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.agents import secrecy
from app.api import cursors
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import AgentId, ItemError, Priority
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import JSON, Moment, Page, PageQuery, When
from app.db import Row
from app.errors import Invalid
from app.jobs import dead_letters, error_groups, intake, states

MOST_OF_A_GROUP = 500

Cursor = Annotated[str, StringConstraints(max_length=200)]


class LettersQuery(PageQuery):
    """Which dead letters."""

    agent_id: AgentId | None = None
    since: Moment | None = Field(None, description="Failed at or after.")
    resubmitted: bool | None = None
    group_key: Annotated[str, StringConstraints(max_length=300)] | None = None
    cursor: Cursor | None = None


class LetterOut(BaseModel):
    """A job that ended failed."""

    dlq_id: str
    job_id: str
    task_id: str
    agent_id: str
    task_name: str | None
    priority: Priority
    submitted_by: str
    submitted_at: When
    failed_at: When
    reason: Literal["exhausted", "permanent", "poison"]
    error_type: str
    error_class: str
    error_message: str
    error: str = Field(description="The same as error_message.")
    stack_trace: str | None
    retry_count: int
    group_key: str
    user_error: bool = Field(description="The submitter's mistake; not counted against Callboard.")
    parameters: JSON
    resubmitted: bool
    resubmitted_at: When | None
    resubmitted_by: str | None
    new_job_id: str | None
    new_task_id: str | None


class LettersOut(Page):
    """A page of dead letters, newest first."""

    tasks: list[LetterOut]
    next_cursor: str | None


class ResubmitIn(Input):
    """What is to be different this time."""

    priority: Priority | None = None
    override_parameters: JSON | None = Field(
        None,
        description="Merged into the parameters; `timeout` and `retry_after` are the job's, in seconds.",
    )
    force: bool = Field(False, description="Once more, although it was resubmitted already.")


class ResubmittedOut(BaseModel):
    """The new job."""

    dlq_id: str
    new_job_id: str
    new_task_id: str
    status: str
    resubmitted_at: When


class GroupsQuery(Input):
    """Which groups."""

    window: Literal["1h", "3h", "24h", "3d", "7d", "30d"] | None = Field(
        None, description="Failures of so long ago at most."
    )
    open_only: bool = Field(True, description="Leave out what was resubmitted.")
    status: Literal["open", "resolved", "ignored", "any"] = Field(
        "open", description="What was said of the group; a resolved one is open again when it comes back."
    )


GroupStatus = Literal["open", "resolved", "ignored"]


class GroupOut(BaseModel):
    """Failures with the same cause."""

    group_key: str
    agent_id: str
    error_type: str
    error_message: str
    count: int
    first_at: When
    last_at: When
    newest_dlq_id: str
    user_error: bool
    status: GroupStatus
    note: str | None
    changed_by: str | None = Field(description="Who said so.")
    changed_at: When | None


class GroupSaidOut(BaseModel):
    """What is true of a group now."""

    group_key: str
    agent_id: str
    error_type: str
    error_message: str
    letters: int
    unsent: int = Field(description="Those that were not resubmitted.")
    first_at: When
    last_at: When
    status: GroupStatus
    note: str | None
    changed_by: str | None
    changed_at: When | None


class GroupNoteIn(Input):
    """Why."""

    note: Annotated[str, StringConstraints(max_length=error_groups.LONGEST_NOTE)] | None = None


class GroupsOut(BaseModel):
    """Groups, the most frequent first."""

    groups: list[GroupOut]
    share_24h: float | None = Field(
        description="Of the jobs that ended within 24 hours, whatever is asked for, the part that failed for good by no "
        "mistake of their input (0 to 1; the aim is less than 0.05); null if none ended."
    )


class GroupResubmitIn(Input):
    """What is to be different this time, and how many at most."""

    priority: Priority | None = None
    limit: int = Field(100, ge=1, le=MOST_OF_A_GROUP)


class GroupItem(BaseModel):
    """What became of one letter."""

    dlq_id: str
    new_job_id: str | None = None
    error: ItemError | None = None


class GroupResubmittedOut(BaseModel):
    """What became of each, oldest first."""

    results: list[GroupItem]
    resubmitted: int
    refused: int


@op("GET", "/api/v1/dlq/tasks", verb="view_dlq", out=LettersOut)
def list_dead_letters(query: LettersQuery) -> dict[str, Any]:
    """List dead letters, newest first."""
    chosen = query.model_dump(include={"agent_id", "since", "resubmitted", "group_key"})
    before = cursors.read(query.cursor) if query.cursor else None
    rows = dead_letters.page(**chosen, before=before, limit=query.limit, offset=query.offset)
    return {
        "tasks": [_shown(row) for row in rows],
        "total": dead_letters.count(**chosen),
        "limit": query.limit,
        "offset": query.offset,
        "next_cursor": cursors.after(rows, query.limit, "failed_at", "dlq_id"),
    }


@op("GET", "/api/v1/dlq/tasks/<dlq_id>", verb="view_dlq", out=LetterOut, errors=(404,))
def get_dead_letter(dlq_id: UUID) -> dict[str, Any]:
    """Show a dead letter, by its own id or by its job's."""
    return _shown(dead_letters.get(str(dlq_id)))


@op(
    "POST",
    "/api/v1/dlq/tasks/<dlq_id>/resubmit",
    verb="resubmit_dlq",
    out=ResubmittedOut,
    errors=(404, 409),
    idempotent=True,
)
def resubmit_dead_letter(dlq_id: UUID, body: ResubmitIn | None) -> dict[str, Any]:
    """Send a dead letter in again as a new job of its submitter; twice is a conflict unless `force`."""
    changes = body.model_dump() if body else {}
    letter = dead_letters.get(str(dlq_id))["dlq_id"]
    new = intake.resubmit(letter, by=current_principal().user_id, **changes)
    noted("dead_letter.resubmitted", letter, {"new_job_id": new["new_job_id"]})
    return new | {"dlq_id": letter, "new_task_id": new["new_job_id"]}


@op("GET", "/api/v1/dlq/groups", verb="view_dlq", out=GroupsOut)
def list_dead_letter_groups(query: GroupsQuery) -> dict[str, Any]:
    """Group dead letters by cause; those that were called resolved or ignored only if you ask for them."""
    window = dead_letters.WINDOWS[query.window] if query.window else None
    state = None if query.status == "any" else query.status
    found = dead_letters.groups(window, open_only=query.open_only, state=state)
    return {"groups": found, "share_24h": dead_letters.share()}


@op(
    "POST",
    "/api/v1/dlq/groups/<path:group_key>/resolve",
    verb="resubmit_dlq",
    out=GroupSaidOut,
    errors=(404,),
)
def resolve_group(group_key: str, body: GroupNoteIn | None) -> dict[str, Any]:
    """Say that the cause of a group is dealt with; it is open again by itself when it comes back."""
    return _say(group_key, "resolved", body)


@op(
    "POST", "/api/v1/dlq/groups/<path:group_key>/ignore", verb="resubmit_dlq", out=GroupSaidOut, errors=(404,)
)
def ignore_group(group_key: str, body: GroupNoteIn | None) -> dict[str, Any]:
    """Say that nobody needs to look at a group, now or later."""
    return _say(group_key, "ignored", body)


@op(
    "POST", "/api/v1/dlq/groups/<path:group_key>/reopen", verb="resubmit_dlq", out=GroupSaidOut, errors=(404,)
)
def reopen_group(group_key: str, body: GroupNoteIn | None) -> dict[str, Any]:
    """Take back what was said of a group."""
    return _say(group_key, "open", body)


def _say(group_key: str, status: str, body: GroupNoteIn | None) -> dict[str, Any]:
    note = body.note if body else None
    row = error_groups.say(group_key, status, by=current_principal().user_id, note=note)
    noted(f"dead_letter_group.{'reopened' if status == 'open' else status}", group_key[:300])
    return {name: row[name] for name in GroupSaidOut.model_fields}


@op(
    "POST",
    "/api/v1/dlq/groups/<path:group_key>/resubmit",
    verb="resubmit_dlq",
    out=GroupResubmittedOut,
    errors=(409,),
    idempotent=True,
)
def resubmit_group(group_key: str, body: GroupResubmitIn | None) -> dict[str, Any]:
    """Send a whole group in again, oldest first."""
    asked = body or GroupResubmitIn(limit=100)
    results = [
        _again(dlq_id, asked.priority) for dlq_id in dead_letters.open_in_group(group_key, asked.limit)
    ]
    refused = sum("error" in result for result in results)
    return {"results": results, "resubmitted": len(results) - refused, "refused": refused}


def _again(dlq_id: str, priority: str | None) -> dict[str, Any]:
    try:
        new = intake.resubmit(dlq_id, by=current_principal().user_id, priority=priority)
    except Invalid as error:  # raised before anything was written: the agent's schema changed meanwhile
        errors = [{"pointer": pointer, "message": message} for pointer, message in error.fields]
        return {"dlq_id": dlq_id, "error": {"code": error.code, "message": error.message, "errors": errors}}
    noted("dead_letter.resubmitted", dlq_id, {"new_job_id": new["new_job_id"]})
    return {"dlq_id": dlq_id, "new_job_id": new["new_job_id"]}


def _shown(row: Row) -> dict[str, Any]:
    shown = dict(row) | {"parameters": secrecy.parameters(row["agent_id"], None, row["parameters"])}
    shown.pop("options", None)
    return shown | {
        "task_id": row["job_id"],
        "new_task_id": row["new_job_id"],
        "error": row["error_message"],
        "priority": states.Priority(shown.pop("priority_rank")).word,
    }
