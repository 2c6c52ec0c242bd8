"""Approvals: the questions that workflows put to people, and answering them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import may
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import JSON, Page, PageQuery, When
from app.approvals import asking, queries
from app.db import Row
from app.errors import NotFound
from app.workflows import asking as answering

Status = Literal["open", "approved", "rejected", "expired", "cancelled"]


class ApprovalOut(BaseModel):
    """A question, what it shows, and its answer."""

    approval_id: str
    workflow_id: str | None
    step_id: str | None
    job_id: str | None
    question: str
    shown: Any = Field(description="What you look at before you answer.")
    form: JSON | None = Field(description="JSON Schema of `answer`.")
    approvers: list[str] = Field(
        description="E-mail addresses and roles; none: whoever started the work, and admins."
    )
    requested_by: str
    status: Status
    deadline_at: When | None
    on_timeout: Literal["approve", "reject"] = Field(description="What silence means at the deadline.")
    answer: JSON | None
    comment: str | None
    answered_by: str | None = Field(description="An e-mail address; null: nobody.")
    answered_at: When | None
    created_at: When
    actions: list[str] = Field(description="What you may do with it now: answer.")


class ApprovalsQuery(PageQuery):
    """Which questions."""

    status: Status | Literal["any"] | None = Field(
        None, description="Left out: open ones that you may answer. Else also those that you asked."
    )


class ApprovalsOut(Page):
    """A page of questions."""

    approvals: list[ApprovalOut]


class AnswerIn(Input):
    """What somebody decided."""

    decision: Literal["approve", "reject"]
    answer: JSON | None = Field(None, description="What the form asks for; a rejection may leave it out.")
    comment: Annotated[str, StringConstraints(max_length=4000)] | None = None


@op("GET", "/api/v1/approvals", verb="view_approvals", out=ApprovalsOut)
def list_approvals(query: ApprovalsQuery) -> dict[str, Any]:
    """List the open questions that you may answer, the nearest deadline first; with `status` all you may see."""
    who = current_principal()
    if query.status is None:
        rows = queries.open_for(who.user_id, who.email, who.role, limit=query.limit + query.offset)
        rows, total = rows[query.offset :], queries.count_open(who.user_id, who.email, who.role)
    else:
        theirs: dict[str, Any] = {
            "user_id": None if who.is_admin else who.user_id,
            "email": who.email,
            "role": who.role,
            "status": None if query.status == "any" else query.status,
        }
        rows = queries.page(**theirs, limit=query.limit, offset=query.offset)
        total = queries.count(**theirs)
    shown = [_shown(row) for row in rows]
    return {"approvals": shown, "total": total, "limit": query.limit, "offset": query.offset}


@op("GET", "/api/v1/approvals/<approval_id>", verb="view_approvals", out=ApprovalOut, errors=(404,))
def get_approval(approval_id: UUID) -> dict[str, Any]:
    """Show a question that you asked or may answer."""
    return _shown(_demand_visible(approval_id))


@op(
    "POST",
    "/api/v1/approvals/<approval_id>/answer",
    verb="answer_approval",
    out=ApprovalOut,
    errors=(404, 409),
)
def answer_approval(approval_id: UUID, body: AnswerIn) -> dict[str, Any]:
    """Approve or reject; the workflow goes on at once. An answer is final: a second one is a conflict."""
    _demand_visible(approval_id)
    who = current_principal()
    answering.answer(
        str(approval_id), decision=body.decision, by=who, answer=body.answer, comment=body.comment
    )
    noted("approval.answered", approval_id, {"decision": body.decision})
    return _shown(queries.get(str(approval_id)))


def _demand_visible(approval_id: UUID) -> Row:
    who, row = current_principal(), queries.get(str(approval_id))
    if row["requested_by"] != who.user_id and not asking.may_answer(row, who):
        raise NotFound(f"there is no approval {approval_id}")
    return row


def _shown(row: Row) -> dict[str, Any]:
    who = current_principal()
    free = row["status"] == "open" and may(who, "answer_approval") and asking.may_answer(row, who)
    shown = row | {"actions": ["answer"] if free else []}
    return {name: shown[name] for name in ApprovalOut.model_fields}
