"""Approvals: the questions that agents, gates, policies and workflows put to people, and answering them."""

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

Status = Literal["open", "approved", "rejected", "sent_back", "expired", "cancelled"]
Kind = Literal["step", "agent", "gate", "policy"]
Decision = Literal["approve", "reject", "edit", "ask_back"]


class ApprovalOut(BaseModel):
    """A question, what it shows, and its answer."""

    approval_id: str
    kind: Kind = Field(
        description="Who asks: a workflow's step, an agent, the quality gate of one, or a policy."
    )
    workflow_id: str | None
    step_id: str | None
    job_id: str | None = Field(description="The job that waits for the answer.")
    fence: int | None = Field(description="The attempt of the job that asked.")
    draft_number: int | None = Field(description="The draft it is about; the answer holds for no other.")
    policy_id: str | None
    question: str
    shown: Any = Field(description="What you look at before you answer.")
    form: JSON | None = Field(description="JSON Schema of `answer`.")
    options: list[Decision] = Field(description="What you may decide.")
    editable: JSON | None = Field(description="{text} or {value}: what `edit` begins with.")
    approvers: list[str] = Field(
        description="E-mail addresses and roles; none: whoever started the work, and admins."
    )
    requested_by: str
    status: Status
    deadline_at: When | None
    on_timeout: Literal["approve", "reject"] = Field(description="What silence means at the deadline.")
    escalate_at: When | None = Field(description="When `escalate_to` are asked as well.")
    escalate_to: list[str]
    escalated_at: When | None
    answer: JSON | None
    edited: Any = Field(description="What was made of `editable`; set only if it was changed.")
    comment: str | None
    answered_by: str | None = Field(description="An e-mail address; null: nobody.")
    answered_at: When | None
    created_at: When
    actions: list[str] = Field(description="What you may do with it now: answer.")


class ContextOut(BaseModel):
    """The job that asks, as far as it got."""

    agent_id: str
    task_name: str | None
    submitted_by: str
    attempt: int
    usage: JSON = Field(description="What it used so far, with `cost_usd` where prices are known.")
    input: JSON = Field(description="Its parameters, long ones cut.")
    input_cut: bool = Field(description="`input` is not all of them.")


class ApprovalWithContext(ApprovalOut):
    """A question with what the job was to do."""

    context: ContextOut | None = Field(
        description="Of the job that asks; null for a workflow's step, and when the job is gone."
    )


class ApprovalsQuery(PageQuery):
    """Which questions."""

    status: Status | Literal["any"] | None = Field(
        None, description="Left out: open ones that you may answer. Else also those that you asked."
    )
    kind: Kind | None = None
    job_id: UUID | None = Field(None, description="What one job asked.")
    mine: bool = Field(False, description="For admins, who may answer all: only those that are for them.")


class ApprovalsOut(Page):
    """A page of questions."""

    approvals: list[ApprovalOut]


class AnswerIn(Input):
    """What somebody decided."""

    decision: Decision = Field(description="One of the question's `options`.")
    answer: JSON | None = Field(
        None, description="What the form asks for; whoever rejects or asks back may leave it out."
    )
    edited: Any = Field(
        None, description="With `edit`: the text, or a value of the same JSON type as the one shown."
    )
    comment: Annotated[str, StringConstraints(max_length=4000)] | None = Field(
        None, description="Required with `ask_back`: what should be different."
    )


@op("GET", "/api/v1/approvals", verb="view_approvals", out=ApprovalsOut)
def list_approvals(query: ApprovalsQuery) -> dict[str, Any]:
    """List the open questions that you may answer, the nearest deadline first; with a filter all you may see."""
    who = current_principal()
    only = queries.Filter(
        status=None if query.status == "any" else query.status,
        kind=query.kind,
        job_id=str(query.job_id) if query.job_id else None,
        mine=query.mine,
    )
    window: dict[str, Any] = {"limit": query.limit, "offset": query.offset}
    if query.status is None:
        rows = queries.open_for(who.user_id, who.email, who.role, only=only, **window)
        total = queries.count_open(who.user_id, who.email, who.role, only=only)
    else:
        theirs: dict[str, Any] = {
            "user_id": None if who.is_admin and not query.mine else who.user_id,
            "email": who.email,
            "role": who.role,
            "only": only,
        }
        rows, total = queries.page(**theirs, **window), queries.count(**theirs)
    return {"approvals": [_shown(row) for row in rows], "total": total} | window


@op("GET", "/api/v1/approvals/<approval_id>", verb="view_approvals", out=ApprovalWithContext, errors=(404,))
def get_approval(approval_id: UUID) -> dict[str, Any]:
    """Show a question that you asked or may answer, with what the job that asks was to do and has cost."""
    return _with_context(_demand_visible(approval_id))


@op(
    "POST",
    "/api/v1/approvals/<approval_id>/answer",
    verb="answer_approval",
    out=ApprovalWithContext,
    errors=(404, 409),
)
def answer_approval(approval_id: UUID, body: AnswerIn) -> dict[str, Any]:
    """Approve, reject, edit and approve, or ask back; what waits goes on at once.

    An answer is final, a second one is a conflict; it holds for exactly this question and draft.
    """
    _demand_visible(approval_id)
    answering.answer(
        str(approval_id),
        decision=body.decision,
        by=current_principal(),
        answer=body.answer,
        edited=body.edited,
        comment=body.comment,
    )
    noted("approval.answered", approval_id, {"decision": body.decision})
    return _with_context(queries.get(str(approval_id)))


def _demand_visible(approval_id: UUID) -> Row:
    who, row = current_principal(), queries.get(str(approval_id))
    if row["requested_by"] != who.user_id and not asking.may_answer(row, who):
        raise NotFound(f"there is no approval {approval_id}")
    return row


def _with_context(row: Row) -> dict[str, Any]:
    return _shown(row) | {"context": queries.context(row["job_id"]) if row["job_id"] else None}


def _shown(row: Row) -> dict[str, Any]:
    who = current_principal()
    free = row["status"] == "open" and may(who, "answer_approval") and asking.may_answer(row, who)
    shown = row | {"actions": ["answer"] if free else []}
    return {name: shown[name] for name in ApprovalOut.model_fields}
