"""Budgets, and what was used: by whom, for how much, and how much of it has no price."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app import clock
from app.api.auth import current_principal
from app.api.errors import Unreadable
from app.api.glue import op
from app.api.job_shapes import FARTHEST_SEQ
from app.api.noted import noted
from app.api.ownership import demand_job
from app.api.reading import Input
from app.api.shapes import JSON, Moment, When
from app.budgets import ledger, queries
from app.db import Row
from app.jobs import spending

Scope = Literal["agent", "schedule", "team", "global"]
Unit = Literal["usd", "tokens", "minutes", "runs"]
Period = Literal["total", "day", "month", "rolling"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=100)]

USUAL_DAYS = 30
MOST_DAYS = 400


class BudgetOut(BaseModel):
    """How much may be used by whom in which time, and how it stands."""

    budget_id: str
    name: str
    scope: Scope
    subject: str | None = Field(description="The agent, team or schedule; null for global.")
    unit: Unit
    limit: float
    period: Period
    rolling_days: int | None
    warn_ratio: float
    enabled: bool
    spent: float = Field(description="In the present period.")
    reserved: float = Field(description="Set aside for running jobs, not used yet.")
    left: float
    spent_ratio: float
    state: Literal["off", "ok", "warned", "stopped"] = Field(description="stopped: new work is held.")
    period_start: When
    period_end: When | None = Field(description="null: the calendar does not end it.")
    warned_at: When | None
    stopped_at: When | None
    created_by: str
    created_at: When
    updated_at: When


class BudgetsOut(BaseModel):
    """All budgets, the widest first."""

    budgets: list[BudgetOut]
    total: int


class BudgetIn(Input):
    """A new budget."""

    name: Name
    scope: Scope
    subject: Subject | None = Field(None, description="Which agent, team or schedule; left out for global.")
    unit: Unit
    limit: float = Field(gt=0, le=1_000_000_000)
    period: Period = "month"
    rolling_days: int | None = Field(None, ge=1, le=366, description="With period `rolling` only.")
    warn_ratio: float = Field(0.8, gt=0, le=1, description="From this share on it warns.")
    enabled: bool = True


class BudgetPatch(Input):
    """What is to change; what is left out stays. Scope, subject and unit never change."""

    name: Name | None = None
    limit: float | None = Field(None, gt=0, le=1_000_000_000)
    period: Period | None = None
    rolling_days: int | None = Field(None, ge=1, le=366)
    warn_ratio: float | None = Field(None, gt=0, le=1)
    enabled: bool | None = None


class UsageQuery(Input):
    """Of which time, and in which groups."""

    group_by: Literal["agent", "model", "provider", "team", "day"] = "agent"
    since: Moment | None = Field(None, description=f"Left out: {USUAL_DAYS} days before `until`.")
    until: Moment | None = Field(None, description="Left out: now.")


class UsageFigures(BaseModel):
    """What was used. Money is null where nothing is priced, and never stands for what has no price."""

    calls: int
    jobs: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    tokens: int = Field(description="All four kinds.")
    cash_usd: float | None = Field(description="Of calls that an API bills.")
    notional_usd: float | None = Field(description="By the price list, subscriptions too.")
    unpriced_tokens: int
    unpriced_share: float = Field(ge=0, le=1, description="Of all tokens.")


class UsageGroup(UsageFigures):
    """The figures of one agent, model, provider, team or day."""

    key: str


class UsageOut(BaseModel):
    """What was used in a time."""

    group_by: str
    since: When
    until: When
    groups: list[UsageGroup]
    total: UsageFigures


class UsageEvent(BaseModel):
    """A little of what one model call used; the parts of a call add up to it."""

    id: int
    at: When
    attempt: int
    call_id: str
    part: int
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int = Field(description="Part of output_tokens.")
    cost_usd: float | None
    cost_status: Literal["reported", "derived", "unpriced", "unaccounted"]
    billing: Literal["api", "subscription", "local"]
    price_version: str | None = Field(description="Whose price it was.")


class UsageAfterQuery(Input):
    """From where on."""

    after: int = Field(0, ge=0, le=FARTHEST_SEQ, description="The last `id` you have.")
    limit: int = Field(200, ge=1, le=1000)


class JobUsageOut(BaseModel):
    """What a job used, all attempts together, and the rows behind it."""

    job_id: str
    task_id: str
    usage: JSON = Field(description="Like `usage` of the status document, but of all attempts.")
    events: list[UsageEvent]
    cursor: int = Field(description="Send it as `after` the next time.")
    more: bool


@op("GET", "/api/v1/budgets", verb="view_budgets", out=BudgetsOut)
def list_budgets() -> dict[str, Any]:
    """List budgets with what is spent of each."""
    found = [queries.public(row) for row in queries.listing()]
    return {"budgets": found, "total": len(found)}


@op("POST", "/api/v1/budgets", verb="manage_budgets", out=BudgetOut, status=201)
def create_budget(body: BudgetIn) -> dict[str, Any]:
    """Make a budget; it has already seen what its present period saw, and holds new work at once if that is too much."""
    row = spending.create(by=current_principal().user_id, **_wish(body.model_dump()))
    noted("budget.created", row["budget_id"], body.model_dump(exclude_unset=True))
    return queries.public(row)


@op("GET", "/api/v1/budgets/<budget_id>", verb="view_budgets", out=BudgetOut, errors=(404,))
def get_budget(budget_id: UUID) -> dict[str, Any]:
    """Show a budget."""
    return queries.public(queries.get(str(budget_id)))


@op("PATCH", "/api/v1/budgets/<budget_id>", verb="manage_budgets", out=BudgetOut, errors=(404,))
def change_budget(budget_id: UUID, body: BudgetPatch) -> dict[str, Any]:
    """Change a budget; work that it held goes on at once if there is room now."""
    given = body.model_dump(exclude_unset=True)
    nothing = {name for name, value in given.items() if value is None and name != "rolling_days"}
    row = spending.change(str(budget_id), **_wish({k: v for k, v in given.items() if k not in nothing}))
    noted("budget.changed", str(budget_id), given)
    return queries.public(row)


@op("DELETE", "/api/v1/budgets/<budget_id>", verb="manage_budgets", status=204, errors=(404,))
def delete_budget(budget_id: UUID) -> None:
    """Delete a budget; work that it held goes on. The ledger stays."""
    spending.remove(str(budget_id))
    noted("budget.deleted", str(budget_id), {})


@op("GET", "/api/v1/usage", verb="view_budgets", out=UsageOut)
def get_usage(query: UsageQuery) -> dict[str, Any]:
    """Sum what was used, by agent, model, provider, team or day."""
    until = query.until or clock.now()
    since = query.since or until - timedelta(days=USUAL_DAYS)
    if not timedelta(0) < until - since <= timedelta(days=MOST_DAYS):
        why = f"must lie before until, and at most {MOST_DAYS} days"
        raise Unreadable("The query cannot be read.", [("/since", why)])
    return {
        "group_by": query.group_by,
        "since": since,
        "until": until,
        "groups": ledger.report(query.group_by, since, until),
        "total": ledger.total(since, until),
    }


@op("GET", "/api/v1/jobs/<job_id>/usage", verb="view_task_content", out=JobUsageOut, errors=(404,))
def get_job_usage(job_id: UUID, query: UsageAfterQuery) -> dict[str, Any]:
    """Read a job's rows of the ledger from a cursor on; they are there while it runs."""
    name = demand_job(job_id, "view_task_content")
    events = ledger.events(name, after=query.after, limit=query.limit)
    return {
        "job_id": name,
        "task_id": name,
        "usage": ledger.of_job(name),
        "events": events,
        "cursor": events[-1]["id"] if events else query.after,
        "more": len(events) == query.limit,
    }


def _wish(told: Row) -> Row:
    """The room's names for what came in."""
    return {"limit_amount" if name == "limit" else name: value for name, value in told.items()}
