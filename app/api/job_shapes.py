"""What the endpoints of jobs take and answer; the names are the documents' (requirements 25.1, 25.2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.api.reading import Input
from app.api.shapes import JSON, Commas, FieldError, MailAddress, Moment, Page, PageQuery, WebAddress, When
from app.jobs.states import STATUSES, SYNONYMS

Priority = Literal["critical", "high", "normal", "low"]
Status = Literal[
    "pending", "queued", "running", "awaiting_input", "retry", "completed", "failed", "cancelled"
]
Verdict = Literal["passed", "needs_review", "rejected"]
Level = Literal["debug", "info", "warning", "error"]
AgentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
GateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100)]
StatusWord = Annotated[str, StringConstraints(pattern=f"^({'|'.join((*STATUSES, *SYNONYMS))})$")]

MOST_AT_ONCE = 100
FARTHEST_SEQ = 2**53  # what JSON's readers count exactly; no log gets that long
LONGEST_TIMEOUT_SECONDS = 86_400
CONTENT_AGENT = "content-pipeline"
OF_A_POST = ("topic", "style", "tone", "target_length", "primary_keyword", "target_audience", "category")


class AllowanceIn(Input):
    """What the job may use; a unit that is left out is as its agent has it. More than the agent's is for admins."""

    usd: float | None = Field(None, gt=0, le=1_000_000)
    tokens: int | None = Field(None, gt=0, le=10**12)
    minutes: float | None = Field(None, gt=0, le=1440)


class JobIn(Input):
    """What is to be done. `params` and `input_data` are other names of `parameters`.

    Without an `agent_id`, `topic` and the other wishes for a blog post may stand in place of parameters.
    """

    topic: str | None = Field(None, description="Of a blog post, in place of agent_id and parameters.")
    style: str | None = Field(None, description="Of the post; so are the five that follow.")
    tone: str | None = None
    target_length: int | None = None
    primary_keyword: str | None = None
    target_audience: str | None = None
    category: str | None = None
    agent_id: AgentId = Field(
        default_factory=str,
        validate_default=True,
        description="Which agent; `GET /api/v1/agents` lists them.",
    )
    parameters: JSON = Field(
        default_factory=dict,
        validation_alias=AliasChoices("parameters", "params", "input_data"),
        description="What the agent's schema asks for.",
    )
    priority: Priority = "normal"
    task_name: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        None, description="A name for people."
    )
    tags: list[Tag] = Field(default_factory=list, max_length=20)
    run_at: Moment | None = Field(None, description="Not before; at most a year ahead. Left out: now.")
    timeout: int | None = Field(
        None, ge=1, le=LONGEST_TIMEOUT_SECONDS, description="Seconds; left out: the agent's."
    )
    max_retries: int | None = Field(
        None, ge=0, le=10, description="After the first attempt; left out: the agent's."
    )
    retry_strategy: Literal["exponential", "linear", "fixed"] | None = None
    budget: AllowanceIn | None = Field(None, description="Left out: the agent's.")
    gate: GateName | Literal[False] | None = Field(
        None,
        description="A quality gate by its name; false: none. Left out: the agent's, which only admins may replace.",
    )
    notify_on_completion: bool = False
    notification_email: MailAddress | None = Field(None, description="Left out: the owner's.")
    callback_url: WebAddress | None = Field(
        None, description="Gets the status document, signed, when the job is finished."
    )

    @field_validator("agent_id", mode="before")
    @classmethod
    def _agent(cls, given: Any, info: ValidationInfo) -> Any:
        """The content pipeline for those who ask for content alone (requirements E1)."""
        about = info.data.get("topic")
        if given == "" and about is None:
            raise PydanticCustomError("missing", "is required")
        if given != "" and about is not None:
            raise PydanticCustomError("either", "is left out where there is a topic")
        return given or CONTENT_AGENT

    @model_validator(mode="after")
    def _wishes_for_a_post(self) -> JobIn:
        wishes = self.model_dump(include=set(OF_A_POST), exclude_none=True)
        if wishes and (self.topic is None or self.parameters):
            raise PydanticCustomError(
                "either", f"{', '.join(wishes)}: stand beside a topic, in place of parameters"
            )
        if wishes:
            self.parameters = wishes | ({"tags": self.tags} if self.tags else {})
            self.task_name = self.task_name or wishes["topic"][:255]
        return self


class JobAccepted(BaseModel):
    """A job that was accepted: durable from now on."""

    job_id: str
    task_id: str
    status: Status
    priority: Priority
    submitted_at: When
    scheduled_for: When | None = Field(description="Set if it is not due yet.")
    queue_position: int | None
    estimated_wait_time_seconds: int | None = Field(description="null: unknown.")
    retry_of_job_id: str | None = None
    replay_of_job_id: str | None = None
    links: dict[str, str]


class PollHint(BaseModel):
    """When to ask again."""

    next_after_ms: int | None = Field(description="null: nothing will ever change again.")
    terminal: bool


class Headline(BaseModel):
    """A result in one line."""

    text: str
    url: str | None = None


class JobBrief(BaseModel):
    """A job in a list: the status document's names, fewer of them."""

    job_id: str
    task_id: str
    agent_id: str
    task_name: str | None
    status: Status
    status_reason: str | None
    priority: Priority
    pool: str
    progress: int = Field(ge=0, le=100)
    stage: str | None
    current_step: str | None
    submitted_at: When
    submitted_by: str
    started_at: When | None
    completed_at: When | None
    cancelled_at: When | None
    duration_seconds: float | None
    attempt: int
    retry_count: int
    max_retries: int
    next_retry_at: When | None
    scheduled_for: When | None
    cancel_requested: bool
    dead_lettered: bool
    tags: list[str]
    version: int = Field(description="Grows whenever the job changes.")
    verdict: Verdict | None = Field(description="What its quality gate said of the result; null without one.")
    quality_score: float | None = Field(ge=0, le=10, description="Of the draft that the result holds.")
    asked_since: When | None = Field(description="Since when it waits for a person's answer.")
    approval_id: str | None = Field(description="The question it waits with; see /api/v1/approvals.")
    error: JSON | None = None
    headline: Headline | None = Field(None, description="What to show of the result in one line.")
    actions: list[str] = Field(
        description="What you may do with it now: cancel, change_priority, answer, retry, replay, resume."
    )


class LogLine(BaseModel):
    """One thing the job said."""

    seq: int = Field(description="Without gaps, from 1.")
    at: When
    attempt: int
    kind: str
    level: Level
    source: str
    message: str
    data: JSON | None


class WatchdogOut(BaseModel):
    """What the watchdog noticed of a running job."""

    state: Literal["ok", "stalled", "looping"]
    since: When = Field(description="For `stalled`: when it last moved.")
    last: str | None = Field(description="What it said last; only for the owner and admins.")


class HeldOut(BaseModel):
    """What a job waits for though it is due."""

    reason: Literal["budget", "provider_open", "delegated"]
    message: str
    until: When | None = Field(description="null: until somebody lifts it.")


class JobOut(JobBrief):
    """The status document: the same from every endpoint that speaks of one job."""

    agent_version: str | None
    agent_version_number: int | None = Field(description="The same for people: 1 is the agent's first.")
    pinned: bool = Field(description="It runs this version, whatever is newer.")
    message: str | None = Field(description="The same as current_step.")
    queued_at: When | None
    updated_at: When
    lost_count: int = Field(description="Attempts whose worker died; they cost no retry.")
    released_count: int = Field(
        description="Attempts handed back at a worker's shutdown; they cost no retry."
    )
    worker_id: str | None
    process_id: int | None
    watchdog: WatchdogOut | None = Field(description="While it runs; null: nothing was noticed.")
    held: HeldOut | None = Field(description="What this job was handed back for; it cost no retry.")
    agent_hold: HeldOut | None = Field(description="What holds all jobs of its agent back.")
    usage: JSON
    retry_of_job_id: str | None
    replay_of_job_id: str | None
    workflow_id: str | None
    step_id: str | None
    schedule_id: str | None
    session_id: str | None = Field(description="The session it works for.")
    parent_job_id: str | None = Field(description="The job that delegated it.")
    depth: int = Field(description="How many jobs are above it.")
    children: int = Field(description="How many jobs it delegated itself.")
    correlation_id: str | None
    trace_id: str | None = Field(None, description="Of its OpenTelemetry trace, if it was submitted in one.")
    log_cursor: int
    queue_position: int | None
    estimated_wait_time_seconds: int | None
    estimated_completion: When | None
    timestamp: When
    poll: PollHint
    links: dict[str, str]
    parameters: JSON | None = Field(None, description="Only for the owner and admins, as are the following.")
    result: JSON | None = None
    stack_trace: str | None = None
    options: JSON | None = None
    notify: JSON | None = None
    logs: list[LogLine] | None = None


class JobsQuery(PageQuery):
    """Which jobs."""

    agent_id: AgentId | None = None
    status: Annotated[list[StatusWord], Commas] = Field(default_factory=list, description="One or several.")
    priority: Priority | None = None
    since: Moment | None = Field(None, description="Submitted at or after.")
    until: Moment | None = Field(None, description="Submitted before.")
    tag: Tag | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="In the name, the agent, the error, or the beginning of the id."
    )
    filter: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None,
        description="As in the dashboard: free words and `agent: status: priority: pool: tag: since: until: error: "
        "quality: workflow: schedule: by: cost: id:`, as in `status:failed agent:a,b since:24h -tag:test timeout`. "
        "All conditions must hold, these and the other parameters.",
    )
    pool: Literal["marketing", "testing", "engineering", "general"] | None = None
    workflow_id: UUID | None = Field(None, description="The steps of one run.")
    schedule_id: UUID | None = Field(None, description="What one schedule submitted.")
    verdict: Verdict | None = Field(None, description="What the quality gate said of the result.")
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="`next_cursor` of the page before; costs the same at any depth."
    )


class JobsOut(Page):
    """A page of jobs, newest first; `tasks` is the same list under the documents' name."""

    jobs: list[JobBrief]
    tasks: list[JobBrief]
    next_cursor: str | None


class CancelledOut(BaseModel):
    """A job that is cancelled, or will be as soon as its worker hears of it."""

    job_id: str
    task_id: str
    status: Status
    cancel_requested: bool
    cancelled_at: When | None


class PriorityIn(Input):
    """How urgent the job is from now on."""

    priority: Priority


class PriorityOut(BaseModel):
    """A job with its new priority."""

    job_id: str
    task_id: str
    status: Status
    priority: Priority


class RetryIn(Input):
    """What is to be different the next time."""

    priority: Priority | None = None
    parameters: JSON | None = Field(None, description="Replace the old ones as a whole.")


class ResumeIn(Input):
    """By how much the budget is raised: the new job may use the old budget and this, in full."""

    usd: float | None = Field(None, gt=0, le=1_000_000)
    tokens: int | None = Field(None, gt=0, le=10**12)
    minutes: float | None = Field(None, gt=0, le=1440)


class ReplayIn(Input):
    """How a job is to be run again."""

    parameters: JSON | None = Field(None, description="Replace the old ones as a whole; left out: the same.")
    version: Literal["pinned", "current"] = Field(
        "pinned", description="The definition it ran with, or the agent's present one."
    )


class ItemError(BaseModel):
    """Why one of several was refused."""

    code: str
    message: str
    errors: list[FieldError] = Field(default_factory=list)


class BulkItem(BaseModel):
    """What became of one of several submissions."""

    index: int
    job_id: str | None = None
    task_id: str | None = None
    status: Status | None = None
    error: ItemError | None = None


class BulkOut(BaseModel):
    """What became of each, in the order they were sent."""

    results: list[BulkItem]
    accepted: int
    rejected: int
