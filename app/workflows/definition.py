"""What a workflow is, as people write it: the shape, checked by pydantic, with both spellings the documents use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
)

from app.errors import Invalid
from app.workflows.complaints import complaints, unstorable

JSON = dict[str, Any]
StepId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Shape(BaseModel):
    """Unknown keys are mistakes, and say so."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class StepBase(Shape):
    """What every step has."""

    step_id: StepId = Field(validation_alias=AliasChoices("step_id", "id"))
    title: str | None = Field(None, max_length=200)
    depends_on: list[StepId] | None = Field(
        None, description="None: the step before it in its list (in `tasks`: nothing). []: nothing."
    )
    when: Expression | None = Field(None, description="Unless this holds, the step is skipped.")
    continue_on_failure: bool = Field(False, description="If it fails, the run goes on.")


class Limits(Shape):
    """What one step may use: {usd?, tokens?, minutes?}."""

    usd: float | None = Field(None, gt=0, le=1_000_000)
    tokens: int | None = Field(None, gt=0, le=10**12)
    minutes: float | None = Field(None, gt=0, le=1440)


class AgentStep(StepBase):
    """One job."""

    type: Literal["agent"] = "agent"
    agent_id: str = Field(min_length=1, max_length=100)
    parameters: JSON = Field(default_factory=dict, validation_alias=AliasChoices("parameters", "params"))
    retry: int | None = Field(None, ge=0, le=10, description="Retries of the job. None: the agent's own.")
    timeout: int | None = Field(None, ge=1, le=86_400, description="Seconds. None: the agent's own.")
    budget: Limits | None = None
    priority: Literal["critical", "high", "normal", "low"] | None = Field(
        None, description="None: the run's."
    )
    tags: list[Label] = Field(default_factory=list, max_length=20)


class ParallelStep(StepBase):
    """All its tasks at once; its output is an object with the output of each."""

    type: Literal["parallel"]
    tasks: list[Step] = Field(min_length=1, max_length=100)


class SequenceStep(StepBase):
    """Its steps one after the other, as one; its output is that of the last."""

    type: Literal["sequence"]
    steps: list[Step] = Field(min_length=1, max_length=100)


class MapStep(StepBase):
    """One step for each item of a list; its output is the list of their outputs, null for those that failed."""

    type: Literal["map"]
    over: Any = Field(description="A list, or a placeholder that is one.")
    step: Step = Field(description="`{{item}}`, `{{item.name}}` and `{{index}}` stand for the item.")
    max_parallel: int | None = Field(None, ge=1, le=1000, description="At most so many at once. None: all.")
    min_success: int | None = Field(
        None, ge=0, description="Enough if so many of the items succeed. None: all must."
    )


class Case(Shape):
    """One way a branch may go."""

    when: Expression
    steps: list[Step] = Field(min_length=1, max_length=100)


class BranchStep(StepBase):
    """The steps of the first case that holds; the others are skipped. Its output is that of the last step run."""

    type: Literal["branch"]
    cases: list[Case] = Field(min_length=1, max_length=20)
    default: list[Step] = Field(default_factory=list, max_length=100)


class WorkflowStep(StepBase):
    """A workflow inside; its output is that run's output."""

    type: Literal["workflow"]
    template: str | None = Field(None, description="A template by name, or `definition`.")
    version: int | None = Field(None, ge=1, description="Of the template. None: the current one.")
    definition: Definition | None = None
    inputs: JSON = Field(default_factory=dict)


class ApprovalStep(StepBase):
    """A question to a person; holds no worker. Its output: {approved, by, at, comment, answer}."""

    type: Literal["approval"]
    question: str = Field(min_length=1, max_length=2000)
    shown: Any = Field(None, description="What the person looks at; placeholders are resolved.")
    form: JSON | None = Field(None, description="JSON Schema of what they fill in.")
    approvers: list[str] = Field(
        default_factory=list, max_length=20, description="E-mail addresses and roles. []: owner and admins."
    )
    deadline_minutes: float | None = Field(None, gt=0, le=525_600)
    on_timeout: Literal["approve", "reject"] = "reject"
    on_reject: Literal["fail", "continue"] = Field(
        "fail", description="continue: the step completes with `approved: false`."
    )


def _kind(raw: Any) -> str:
    return str((raw.get("type") or "agent") if isinstance(raw, dict) else getattr(raw, "type", "agent"))


Step = Annotated[
    Annotated[AgentStep, Tag("agent")]
    | Annotated[ParallelStep, Tag("parallel")]
    | Annotated[SequenceStep, Tag("sequence")]
    | Annotated[MapStep, Tag("map")]
    | Annotated[BranchStep, Tag("branch")]
    | Annotated[WorkflowStep, Tag("workflow")]
    | Annotated[ApprovalStep, Tag("approval")],
    Discriminator(_kind),
]
AnyStep = AgentStep | ParallelStep | SequenceStep | MapStep | BranchStep | WorkflowStep | ApprovalStep


class OnFailure(Shape):
    """What happens when a run fails."""

    notify: list[str] = Field(default_factory=list, max_length=20, description="E-mail addresses.")
    retry_workflow: bool = Field(False, description="Once: failed steps run again before the run fails.")
    siblings: Literal["finish", "cancel"] = Field(
        "finish", description="What becomes of steps that still run."
    )


class OnSuccess(Shape):
    """What happens when a run completes."""

    notify: list[str] = Field(default_factory=list, max_length=20, description="E-mail addresses.")


class Definition(Shape):
    """A whole workflow."""

    name: str = Field(min_length=1, max_length=255)
    description: str | None = Field(None, max_length=4000)
    workflow_id: str | None = Field(None, max_length=255, description="The caller's own name of it.")
    inputs: JSON | None = Field(None, description="JSON Schema of `{{inputs.…}}`.")
    steps: list[Step] = Field(min_length=1, max_length=200)
    output: Any = Field(None, description="What the run answers. None: the output of the last step.")
    on_failure: OnFailure = OnFailure()
    on_success: OnSuccess = OnSuccess()


for _shape in (ParallelStep, SequenceStep, MapStep, Case, BranchStep, WorkflowStep, Definition):
    _shape.model_rebuild()


SHAPES: dict[str, type[StepBase]] = {
    "agent": AgentStep,
    "parallel": ParallelStep,
    "sequence": SequenceStep,
    "map": MapStep,
    "branch": BranchStep,
    "workflow": WorkflowStep,
    "approval": ApprovalStep,
}
"""The seven types of steps."""


def read(raw: Any) -> Definition:
    """A definition from JSON; Invalid names each wrong place by its JSON pointer, in plain words."""
    wrong = unstorable(raw)
    if not wrong:
        try:
            return Definition.model_validate(raw)
        except ValidationError as error:
            wrong = complaints(raw, error)
    raise Invalid(f"{wrong[0][0] or 'the workflow'}: {wrong[0][1]}", wrong)


def as_json(definition: Definition) -> JSON:
    """The snapshot that a run keeps: only what was said."""
    return definition.model_dump(mode="json", exclude_defaults=True)
