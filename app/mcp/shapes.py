"""What tools answer. Fewer fields than the API has: a model pays for every word it reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

JSON = dict[str, Any]
Value = str | bool | int | float | JSON | list[Any]


class Accepted(BaseModel):
    """A task that was accepted: durable from now on."""

    task_id: str
    status: str = Field(description="pending or queued.")
    priority: str
    queue_position: int | None = Field(None, description="1 is next; null: not in the queue yet.")
    estimated_wait_time_seconds: int | None = Field(None, description="null: unknown.")
    scheduled_for: str | None = Field(None, description="Set if it is not due yet.")
    url: str = Field(description="Its page, for people.")


class Task(BaseModel):
    """A task in a list."""

    task_id: str
    agent_id: str
    task_name: str | None = None
    status: str = Field(
        description="pending, queued, running, retry, awaiting_input, completed, failed or cancelled."
    )
    status_reason: str | None = Field(None, description="Why it is where it is.")
    priority: str
    progress: int = Field(description="Percent.")
    submitted_at: str
    quality_score: float | None = Field(None, description="0 to 10, of the draft that the result holds.")
    verdict: str | None = Field(None, description="Of its quality gate: passed, needs_review or rejected.")
    approval_id: str | None = Field(None, description="The question it waits with: answer_input answers it.")
    error: JSON | None = None
    url: str = Field(description="Its page, for people.")


class LogLine(BaseModel):
    """One thing the task said."""

    seq: int
    at: str
    kind: str
    level: str
    source: str
    message: str
    data: JSON | None = None


class TaskStatus(Task):
    """Where a task is."""

    stage: str | None = None
    current_step: str | None = None
    attempt: int
    queue_position: int | None = None
    estimated_wait_time_seconds: int | None = None
    actions: list[str] = Field(description="What you may do with it now.")
    logs: list[LogLine] = Field(
        default_factory=list, description="Its newest lines; none for those who may not read its content."
    )
    log_cursor: int = Field(description="Send it to get_task_logs as `after`.")
    done: bool = Field(description="It will never change again.")
    poll_after_ms: int | None = Field(None, description="When to ask again; null: never.")


class Tasks(BaseModel):
    """A page of tasks, newest first."""

    tasks: list[Task]
    total: int
    next_cursor: str | None = Field(None, description="Send it as `cursor` for the next page.")


class Logs(BaseModel):
    """Lines of a task's log, oldest first."""

    task_id: str
    logs: list[LogLine]
    cursor: int = Field(description="Send it as `after` the next time; nothing is lost or sent twice.")
    more: bool = Field(description="There are further lines right now.")
    done: bool = Field(description="The task is over and all was read: no more lines will come.")


class File(BaseModel):
    """A file that a task left."""

    artifact_id: str
    name: str
    media_type: str
    size_bytes: int
    uri: str = Field(description="Resource to read it with.")


class Outcome(BaseModel):
    """What came out of a task."""

    task_id: str
    status: str
    done: bool
    result: JSON | None = Field(None, description="null: not done yet, failed, or longer than asked for.")
    text: str | None = Field(
        None, description="The beginning of the result as JSON text, where it is too long."
    )
    error: JSON | None = None
    verdict: str | None = None
    quality_score: float | None = None
    usage: JSON = Field(default_factory=dict)
    files: list[File] = Field(default_factory=list)
    url: str


class Cancelled(BaseModel):
    """A task that is cancelled, or will be within seconds."""

    task_id: str
    status: str
    cancel_requested: bool


class Blocker(BaseModel):
    """One thing that keeps a task from running."""

    code: str
    message: str
    until: str | None = Field(None, description="When it ends by itself; null: not by itself, or unknown.")


class Explanation(BaseModel):
    """Why a task is not running; the first blocker is what to do something about."""

    task_id: str
    status: str
    runnable: bool
    blockers: list[Blocker]
    queue_position: int | None = None
    estimated_wait_time_seconds: int | None = None


class AgentLine(BaseModel):
    """An agent in a list."""

    agent_id: str
    team: str
    description: str
    required: list[str] = Field(description="Parameters that must be given.")
    optional: list[str] = Field(description="Parameters that may be given.")
    enabled: bool
    health: str


class Agents(BaseModel):
    """Agents that can be given work."""

    agents: list[AgentLine]
    total: int


class Agent(BaseModel):
    """Everything that is needed to give an agent work."""

    agent_id: str
    agent_name: str
    team: str
    description: str
    parameters: JSON = Field(description="JSON Schema of its parameters.")
    output: JSON | None = Field(None, description="JSON Schema of its result.")
    example: JSON | None = Field(None, description="Parameters that work.")
    enabled: bool
    health: JSON
    max_concurrent_tasks: int | None = None
    rate_limit: str | None = None
    timeout_seconds: int | None = None
    budget: JSON | None = None
    version: str


class Approval(BaseModel):
    """A question to people."""

    approval_id: str
    kind: str
    task_id: str | None = None
    question: str
    shown: Value | None = Field(None, description="What to look at before answering.")
    form: JSON | None = Field(None, description="JSON Schema of `answer`.")
    options: list[str] = Field(description="What may be decided.")
    editable: JSON | None = None
    status: str
    deadline_at: str | None = None
    on_timeout: str | None = None
    answer: JSON | None = None
    comment: str | None = None
    answered_by: str | None = None
    may_answer: bool = Field(description="Whether you may answer it now.")


class Approvals(BaseModel):
    """Questions, the nearest deadline first."""

    approvals: list[Approval]
    total: int


class QueueStats(BaseModel):
    """Depth, speed and waiting time by priority; at most ten seconds old."""

    queues: dict[str, JSON]
    paused: list[str] = Field(description="Pools from which nothing is taken.")
    workers: JSON
    timestamp: str


class Found(BaseModel):
    """What was found, by kind; `note` says why not by its meaning, though that was asked for."""

    q: str
    results: dict[str, list[JSON]]
    semantic: bool = False
    note: str = ""
