"""What the endpoints of schedules take and answer; the names are the documents' (requirements 25.1, E11 and E12)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Field, StringConstraints

from app.api.budgets import BudgetOut
from app.api.job_shapes import LONGEST_TIMEOUT_SECONDS, AgentId, AllowanceIn, Priority, Tag
from app.api.reading import Input
from app.api.shapes import JSON, MailAddress, Moment, Page, PageQuery, When

Cron = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
TemplateName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Status = Literal["scheduled", "disabled", "fired", "missed", "cancelled"]
Type = Literal["one_time", "recurring"]
Misfire = Literal["run_once", "skip", "all"]
Overlap = Literal["allow", "skip", "queue"]
Outcome = Literal["fired", "queued", "skipped", "missed", "failed"]

_CRON = "Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday; names are taken)."


class ScheduleFields(Input):
    """What a new schedule and a changed one have in common: what is submitted, and when."""

    name: Name | None = Field(None, description="Left out: as what it runs.")
    agent_id: AgentId | None = Field(None, description="Or `workflow_template`, or `workflow`.")
    parameters: JSON | None = Field(
        None,
        validation_alias=AliasChoices("parameters", "params", "input_data", "inputs"),
        description="What the agent's schema asks for, or the inputs of the workflow.",
    )
    workflow_template: TemplateName | None = None
    workflow_version: int | None = Field(
        None, ge=1, description="Of the template; null: the current one each time."
    )
    workflow: JSON | None = Field(None, description="A definition of its own.")
    cron_expression: Cron | None = Field(None, description=_CRON)
    execute_at: Moment | None = Field(None, description="Once, then.")
    timezone: Zone | None = Field(None, description="IANA name; left out: UTC.")
    jitter_seconds: int | None = Field(
        None,
        ge=0,
        le=86_400,
        description="Each job is due up to so much later, by the same chance every time.",
    )
    misfire: Misfire | None = Field(
        None,
        description="What becomes of times that nobody ran: one run for all, none, or each (at most 100).",
    )
    grace_seconds: int | None = Field(None, ge=0, le=86_400, description="So late still counts as in time.")
    overlap: Overlap | None = Field(None, description="While its last run has not ended.")
    enabled: bool | None = None
    priority: Priority | None = None
    task_name: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        None, description="Of each job, for people."
    )
    tags: list[Tag] | None = Field(None, max_length=20)
    timeout: int | None = Field(None, ge=1, le=LONGEST_TIMEOUT_SECONDS, description="Seconds, of each job.")
    max_retries: int | None = Field(None, ge=0, le=10)
    retry_strategy: Literal["exponential", "linear", "fixed"] | None = None
    budget: AllowanceIn | None = Field(
        None, description="Of each job; of the schedule as a whole: POST /api/v1/budgets."
    )
    notification_email: MailAddress | None = None
    notify_on_completion: bool | None = None


class ScheduleIn(ScheduleFields):
    """A schedule: once (`execute_at`) or again and again (`cron_expression`)."""

    schedule_type: Type | None = Field(None, description="Left out: by which of the two is given.")


class RecurringIn(ScheduleFields):
    """A schedule that comes again and again."""

    cron_expression: Cron = Field(description=_CRON)


class SchedulePatch(ScheduleFields):
    """What is to change; what is left out stays. Another target replaces the old one with its parameters."""

    version: int | None = Field(
        None, description="The `version` you have seen; 409 if it is another one by now."
    )


class ScheduleOut(BaseModel):
    """A schedule, and how it stands."""

    schedule_id: str
    name: str
    status: Status = Field(description="fired and missed: once, and over.")
    description: str = Field(description="When it runs, in words.")
    agent_id: str | None
    workflow_template: str | None
    workflow_version: int | None
    workflow: JSON | None = Field(description="Only for the owner and admins, as are parameters and options.")
    parameters: JSON | None
    options: JSON | None = Field(description="Of each job: timeout, tags, ….")
    priority: Priority
    schedule_type: Type
    cron_expression: str | None
    execute_at: When | None
    timezone: str
    jitter_seconds: int
    misfire: Misfire
    grace_seconds: int
    overlap: Overlap
    enabled: bool
    next_execution: When | None
    next_execution_local: str | None = Field(description="The same as clocks there show it.")
    last_execution: When | None = Field(description="When it last submitted something.")
    last_job_id: str | None
    last_workflow_id: str | None
    submitted_by: str
    created_at: When
    updated_at: When
    version: int = Field(description="Grows with each change by people.")


class ScheduleWhole(ScheduleOut):
    """A schedule with what may be spent on it."""

    budgets: list[BudgetOut] = Field(
        description="Its own ones; those of its agent and all others count as well."
    )


class SchedulesQuery(PageQuery):
    """Which schedules."""

    agent_id: AgentId | None = None
    workflow_template: TemplateName | None = None
    status: Status | None = None
    schedule_type: Type | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="In the name, the agent or template, or the beginning of the id."
    )


class SchedulesOut(Page):
    """A page of schedules; those that come next come first."""

    schedules: list[ScheduleOut]


class ScheduleGone(BaseModel):
    """A schedule that was removed."""

    schedule_id: str
    status: Literal["cancelled"]


class UpcomingQuery(Input):
    """How far ahead."""

    limit: int = Field(20, ge=1, le=200)
    until: Moment | None = Field(None, description="Nothing after this.")


class Coming(BaseModel):
    """One execution that is to come."""

    at: When
    local: str = Field(description="The same as clocks there show it.")
    schedule_id: str
    name: str
    agent_id: str | None
    workflow_template: str | None
    timezone: str


class UpcomingOut(BaseModel):
    """What comes next, over all schedules, in order."""

    upcoming: list[Coming]


class FiresQuery(Input):
    """Which times."""

    outcome: Outcome | None = None
    before: Moment | None = Field(None, description="`slot_at` of the last one you have: the page after it.")
    limit: int = Field(50, ge=1, le=200)


class FireOut(BaseModel):
    """What became of one time."""

    slot_at: When = Field(description="The time itself.")
    at: When = Field(description="When it was dealt with.")
    outcome: Outcome
    reason: str | None = Field(description="Why it did not run.")
    manual: bool = Field(description="Somebody asked for it; it is none of its times.")
    job_id: str | None
    workflow_id: str | None
    run_status: str | None = Field(description="Of the job or workflow now; null: none, or removed since.")


class FiresOut(BaseModel):
    """What became of a schedule's times, newest first."""

    schedule_id: str
    fires: list[FireOut]


class RanOut(BaseModel):
    """What became of a run that somebody asked for."""

    schedule_id: str
    slot_at: When
    outcome: Literal["fired", "queued", "skipped"] = Field(
        description="queued, skipped: its last run has not ended, and it may not overlap."
    )
    reason: str | None
    job_id: str | None
    workflow_id: str | None


class PreviewIn(Input):
    """A cron expression to try."""

    cron_expression: Cron = Field(description=_CRON)
    timezone: Zone = "UTC"


class PreviewTime(BaseModel):
    """One of the next times."""

    utc: When
    local: str


class PreviewOut(BaseModel):
    """What an expression means."""

    cron_expression: str = Field(description="As it would be kept.")
    timezone: str
    description: str
    next: list[PreviewTime] = Field(description="The next five.")
