"""What the server answers, with names and types; fields that a newer server adds are kept, and may be read too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

JSON = dict[str, Any]

FINAL = ("completed", "failed", "cancelled")


class Shape(BaseModel):
    """A piece of an answer."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    def json_text(self) -> str:
        """The answer as the server gave it, as JSON for people and programs."""
        return self.model_dump_json(indent=2, exclude_unset=True)

    def plain(self) -> JSON:
        """The answer as the server gave it, as plain JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


Thing = TypeVar("Thing", bound=Shape)


class Page(Shape, Generic[Thing]):
    """A part of a list; iterating it gives its entries."""

    items: list[Thing]
    total: int | None = None
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[Thing]:  # type: ignore[override]
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Poll(Shape):
    """When to ask again, as the server sees it."""

    next_after_ms: int | None = None
    terminal: bool = False


class Accepted(Shape):
    """A job that was accepted: durable from now on."""

    job_id: str
    status: str
    priority: str | None = None
    submitted_at: datetime | None = None
    scheduled_for: datetime | None = None
    queue_position: int | None = None
    estimated_wait_time_seconds: int | None = None
    retry_of_job_id: str | None = None
    replay_of_job_id: str | None = None
    links: dict[str, str] = {}


class BulkItem(Shape):
    """What became of one of several submissions: `job_id`, or `error` with code, message and errors."""

    index: int
    job_id: str | None = None
    status: str | None = None
    error: JSON | None = None


class Job(Shape):
    """A job as lists show it."""

    job_id: str
    status: str
    agent_id: str = ""
    task_name: str | None = None
    status_reason: str | None = None
    priority: str = "normal"
    pool: str = ""
    progress: int = 0
    stage: str | None = None
    current_step: str | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    duration_seconds: float | None = None
    attempt: int = 0
    retry_count: int = 0
    max_retries: int = 0
    scheduled_for: datetime | None = None
    cancel_requested: bool = False
    tags: list[str] = []
    version: int = 0
    verdict: str | None = None
    quality_score: float | None = None
    approval_id: str | None = None
    error: JSON | None = None
    headline: JSON | None = None
    actions: list[str] = []
    poll: Poll = Poll()
    links: dict[str, str] = {}

    @property
    def terminal(self) -> bool:
        """Nothing will ever change again."""
        return self.status in FINAL


class LogLine(Shape):
    """One thing a job said."""

    seq: int
    message: str
    at: datetime | None = None
    attempt: int = 0
    kind: str = "log"
    level: str = "info"
    source: str = ""
    data: JSON | None = None


class Event(LogLine):
    """One thing that happened to a job: also progress, stages and completion."""


class StatusDocument(Job):
    """Everything of a job; `result` and `parameters` are there for its owner and admins."""

    result: JSON | None = None
    parameters: JSON | None = None
    usage: JSON = {}
    queue_position: int | None = None
    estimated_wait_time_seconds: int | None = None
    estimated_completion: datetime | None = None
    worker_id: str | None = None
    log_cursor: int = 0
    logs: list[LogLine] | None = None


class Cancelled(Shape):
    """A job that is cancelled, or will be as soon as its worker hears of it."""

    job_id: str
    status: str
    cancel_requested: bool = False


class Blocker(Shape):
    """One thing that keeps a job from running."""

    code: str
    message: str
    short: str = ""
    until: datetime | None = None
    subject: str | None = None


class Explanation(Shape):
    """Why a job is not running; the first blocker is what to do something about."""

    job_id: str
    status: str
    runnable: bool = False
    blockers: list[Blocker] = []
    queue_position: int | None = None
    estimated_wait_time_seconds: int | None = None


class Artifact(Shape):
    """A file that a job made."""

    artifact_id: str
    name: str


class Agent(Shape):
    """What can be run; `input_schema` is the JSON Schema of its parameters."""

    agent_id: str
    agent_name: str = ""
    team: str = ""
    pool: str = ""
    runner: str = ""
    description: str = ""
    example: JSON | None = None
    enabled: bool = True
    health: JSON = {}

    @property
    def input_schema(self) -> JSON:
        """JSON Schema of its parameters."""
        found: JSON = (self.model_extra or {}).get("schema") or {}
        return found


class Approval(Shape):
    """A question to a person, and its answer."""

    approval_id: str
    status: str
    question: str
    kind: str = ""
    job_id: str | None = None
    options: list[str] = []
    deadline_at: datetime | None = None
    actions: list[str] = []


class DeadLetter(Shape):
    """A job that ended failed."""

    dlq_id: str
    job_id: str
    agent_id: str
    error_type: str = ""
    error_message: str = ""
    failed_at: datetime | None = None
    reason: str = ""
    resubmitted: bool = False
    new_job_id: str | None = None


class WorkflowRun(Shape):
    """A run of a workflow; with `steps` where one is shown."""

    workflow_id: str
    status: str
    name: str = ""
    total_steps: int = 0
    completed_steps: int = 0
    version: int = 0
    steps: list[JSON] = []
    poll: Poll = Poll()


class Session(Shape):
    """A shared workspace of people and agents."""

    session_id: str
    status: str = "active"
    title: str = ""
    participants: list[str] | None = None
    metadata: JSON | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
