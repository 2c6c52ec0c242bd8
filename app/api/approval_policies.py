"""Approval policies: rules by which jobs ask a person before they go on, whatever their agent is."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import When
from app.approvals import policies
from app.approvals.asking import LONGEST_QUESTION
from app.approvals.policies import LONGEST_NAME, MOST_MINUTES, MOST_NAMED
from app.approvals.wanted import MOST_APPROVERS

Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Words = Annotated[list[Word], Field(max_length=MOST_NAMED)]
Approvers = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=255)]], Field(max_length=MOST_APPROVERS)
]
Minutes = Annotated[int, Field(ge=1, le=MOST_MINUTES)]


class PolicyOut(BaseModel):
    """Which jobs it covers, when it asks, and whom."""

    policy_id: str
    name: str
    enabled: bool
    agents: list[str] = Field(description="Whose jobs it covers; none: any agent's.")
    teams: list[str] = Field(description="And of which teams; none: any.")
    effects: list[str] = Field(description="It asks before an agent has one of these effects outside.")
    over_usd: float | None = Field(description="It asks once a job has spent more than this.")
    question: str | None
    approvers: list[str] = Field(description="E-mail addresses and roles.")
    deadline_minutes: int | None
    on_timeout: Literal["approve", "reject"] = Field(description="What silence means at the deadline.")
    escalate_minutes: int | None = Field(description="After that `escalate_to` are asked as well.")
    escalate_to: list[str]
    created_by: str | None
    created_at: When
    updated_at: When


class PoliciesOut(BaseModel):
    """All policies, by name."""

    policies: list[PolicyOut]
    total: int


class PolicyIn(Input):
    """A whole policy. With neither `effects` nor `over_usd` it asks before each start of the jobs it covers."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
    enabled: bool = True
    agents: Words = Field(default_factory=list)
    teams: Words = Field(default_factory=list)
    effects: Words = Field(default_factory=list)
    over_usd: float | None = Field(None, gt=0, le=1_000_000)
    question: Annotated[str, StringConstraints(max_length=LONGEST_QUESTION)] | None = Field(
        None, description="What they are asked; left out: it is worded from what the job is about to do."
    )
    approvers: Approvers = Field(["admin"], description="E-mail addresses and roles (admin, user).")
    deadline_minutes: Minutes | None = None
    on_timeout: Literal["approve", "reject"] = "reject"
    escalate_minutes: Minutes | None = None
    escalate_to: Approvers = Field(default_factory=list)


@op("GET", "/api/v1/approval-policies", verb="manage_policies", out=PoliciesOut)
def list_policies() -> dict[str, Any]:
    """List the policies by name."""
    rows = policies.listing()
    return {"policies": rows, "total": len(rows)}


@op("POST", "/api/v1/approval-policies", verb="manage_policies", out=PolicyOut, status=201, errors=(409,))
def create_policy(body: PolicyIn) -> dict[str, Any]:
    """Make a policy; every worker minds it within five seconds, also for jobs that wait already."""
    row = policies.create(by=current_principal().user_id, **body.model_dump())
    noted("policy.created", row["policy_id"], body.model_dump())
    return row


@op("GET", "/api/v1/approval-policies/<policy_id>", verb="manage_policies", out=PolicyOut, errors=(404,))
def get_policy(policy_id: UUID) -> dict[str, Any]:
    """Show a policy."""
    return policies.get(str(policy_id))


@op("PUT", "/api/v1/approval-policies/<policy_id>", verb="manage_policies", out=PolicyOut, errors=(404, 409))
def replace_policy(policy_id: UUID, body: PolicyIn) -> dict[str, Any]:
    """Replace a policy by another under the same id; what it has asked already stays as it was asked."""
    row = policies.change(str(policy_id), **body.model_dump())
    noted("policy.changed", policy_id, body.model_dump())
    return row


@op("DELETE", "/api/v1/approval-policies/<policy_id>", verb="manage_policies", status=204, errors=(404,))
def delete_policy(policy_id: UUID) -> None:
    """Delete a policy; what it has asked already can still be answered."""
    row = policies.remove(str(policy_id))
    noted("policy.deleted", policy_id, {"name": row["name"]})
