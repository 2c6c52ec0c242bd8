"""What the endpoints of workflows take and answer; the names are the documents' (E6, E7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.api.job_shapes import PollHint, Priority, Tag
from app.api.reading import Input
from app.api.shapes import JSON, MailAddress, Moment, Page, PageQuery, WebAddress, When

Status = Literal["running", "paused", "completed", "failed", "cancelled"]
StatusWord = Literal["running", "active", "paused", "completed", "failed", "cancelled"]
TemplateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
TemplateVersion = Annotated[int, Field(ge=1, le=2**31 - 1)]
Source = Annotated[str, StringConstraints(min_length=1, max_length=256 * 1024)]


class RunIn(Input):
    """How a run is to be done, whatever it does."""

    inputs: JSON = Field(default_factory=dict, description="What `{{inputs.…}}` stands for.")
    priority: Priority = Field("normal", description="Of its jobs, unless a step says otherwise.")
    tags: list[Tag] = Field(default_factory=list, max_length=20, description="Of the run and its jobs.")
    callback_url: WebAddress | None = Field(None, description="Told once, when the run is finished.")
    notify: list[MailAddress] = Field(
        default_factory=list, max_length=20, description="Told by mail once, when the run is finished."
    )

    def notification(self) -> JSON | None:
        """Whom to tell at the end, as the run keeps it."""
        told = {"callback_url": self.callback_url, "emails": self.notify}
        return {name: value for name, value in told.items() if value} or None


class WorkflowIn(RunIn):
    """A workflow to run: its keys themselves (`name`, `steps`, …), or a `definition`, or the text of one as `source`.

    Beside `steps`, `inputs` with `properties` is the schema that belongs to the definition, anything else is values.
    """

    name: str | None = None
    description: str | None = None
    workflow_id: str | None = Field(None, description="Your own name of it; kept as `external_key`.")
    steps: list[JSON] | None = None
    output: Any = Field(None, description="What the run answers; left out: the output of the last step.")
    on_failure: JSON | None = None
    on_success: JSON | None = None
    definition: JSON | None = Field(None, description="A whole definition, instead of the keys above.")
    source: Source | None = Field(None, description="A whole definition as YAML or JSON text.")


class ValidateIn(WorkflowIn):
    """The same as for a submission; `inputs` left out: they are not looked at."""


class ProblemOut(BaseModel):
    """One thing that is wrong with a definition."""

    pointer: str = Field(
        description="Into the definition; below /inputs also what is wrong with given inputs."
    )
    line: int | None = Field(description="In `source`.")
    message: str
    hint: str | None


class ValidateOut(BaseModel):
    """What a run would do, or what keeps it from being run."""

    valid: bool
    problems: list[ProblemOut]
    plan: JSON | None = Field(description="Waves of steps with what is known of them; null if not valid.")


class TemplateUsed(BaseModel):
    """Which version of which template."""

    name: str
    version: int | None


class Around(BaseModel):
    """The step of another run that a run belongs to."""

    workflow_id: str
    step_id: str


class WorkflowAccepted(BaseModel):
    """A run that was accepted: durable, its first steps are submitted."""

    workflow_id: str
    status: Status
    submitted_at: When
    total_steps: int = Field(description="Steps that do something; a map counts as one.")
    completed_steps: int
    external_key: str | None = Field(description="Your own name of it.")
    template: TemplateUsed | None
    retry_of: str | None = Field(description="The run that this one repeats.")
    links: dict[str, str]


class WorkflowBrief(BaseModel):
    """A run without its steps."""

    workflow_id: str
    name: str
    description: str | None
    external_key: str | None = Field(description="The caller's own name of it.")
    status: Status
    status_reason: str | None
    priority: Priority
    tags: list[str]
    template: TemplateUsed | None
    submitted_by: str
    schedule_id: str | None
    correlation_id: str | None
    parent: Around | None = Field(description="null: it is no part of another run.")
    retry_of: str | None = Field(description="The run that this one repeats.")
    round: int = Field(description="2 once failed steps ran again, by `retry_workflow`.")
    submitted_at: When
    completed_at: When | None
    cancelled_at: When | None
    finished_at: When | None = Field(description="When it ended, however it did.")
    paused_at: When | None
    cancel_requested: bool
    updated_at: When
    duration_seconds: float | None
    total_steps: int = Field(description="Steps that do something; a map counts as one.")
    completed_steps: int
    version: int = Field(description="Grows whenever the run changes.")
    error: JSON | None = Field(description="step_id, type, code; what it says only for the owner and admins.")
    actions: list[str] = Field(description="What you may do with it now: pause, resume, cancel, retry.")


class StepBrief(BaseModel):
    """One step, as far as everybody may see it."""

    step_id: str = Field(description="`resize[3]` is a step of a map's fourth item.")
    title: str | None
    kind: Literal["agent", "parallel", "map", "branch", "sequence", "workflow", "approval"]
    parent_step_id: str | None = Field(description="What it is inside of.")
    case_index: int | None = Field(description="Which case of a branch; -1 is the default.")
    item_index: int | None
    depends_on: list[str]
    task_id: str | None
    job_id: str | None = Field(description="The same as task_id.")
    agent_id: str | None
    template: str | None
    approval_id: str | None
    child_workflow_id: str | None
    status: str = Field(
        description="waiting, running, awaiting_input, completed, failed, skipped, cancelled; or its job's."
    )
    status_reason: str | None
    progress: int = Field(ge=0, le=100)
    current_step: str | None
    started_at: When | None
    completed_at: When | None
    duration_seconds: float | None
    waiting_for: str | None = Field(description="In words.")
    kept: bool = Field(description="Done in the run that this one repeats.")
    round: int
    error: JSON | None


class StepOut(StepBrief):
    """One step."""

    output: Any = Field(None, description="Only for the owner and admins, as are the following.")
    output_bytes: int | None = Field(
        None, description="How large an output is that was left out; its job has it."
    )
    question: str | None = None
    definition: JSON | None = Field(None, description="As it was written; only where one step is shown.")


class WorkflowOut(WorkflowBrief):
    """The document of a run."""

    steps: list[StepOut] = Field(description="In the order of the definition, depth first.")
    poll: PollHint
    links: dict[str, str]
    inputs: JSON | None = Field(None, description="Only for the owner and admins, as is the output.")
    output: Any = None


class WorkflowsOut(Page):
    """A page of runs, newest first, without those inside others."""

    workflows: list[WorkflowBrief]


class FiguresOut(BaseModel):
    """How the runs of one template went, or of one name."""

    template_name: str | None
    name: str
    runs: int
    completed: int
    failed: int
    cancelled: int
    success_rate: float | None = Field(description="0 to 1, of those not cancelled; null: there were none.")
    average_seconds: float | None = Field(description="Of completed runs, as are the 95 percent.")
    p95_seconds: float | None
    slowest_step: str | None
    slowest_seconds: float | None = Field(description="Its average.")


class AnalyticsOut(BaseModel):
    """Figures of the runs that ended in a time, the most run first."""

    since: When
    workflows: list[FiguresOut]


class WorkflowsQuery(PageQuery):
    """Which runs."""

    status: StatusWord | None = None
    template: TemplateName | None = None
    schedule_id: UUID | None = None
    since: Moment | None = Field(None, description="Submitted at or after.")
    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="In the name, the template, your own name of it, or the beginning of the id."
    )


class AnalyticsQuery(Input):
    """Of which time."""

    since: Moment | None = Field(None, description="Left out: 30 days before now.")
    template: TemplateName | None = None


class WorkflowRetryIn(Input):
    """From where on."""

    from_step: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Run this step and all that follow it again; left out: what did not complete."
    )
