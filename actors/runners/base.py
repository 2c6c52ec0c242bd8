"""What every runner is and gets: `Runner.run(work, context)` returns a result or raises a JobError.

A runner knows nothing of Postgres or Dramatiq. What it reports goes into the Context, whose one
real implementation batches it (actors/attempt.py); tests use `RecordingContext` from tests/doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from app.budgets.usage import Usage

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done: everything a runner may know of the job."""

    job_id: str
    attempt: int
    """Starts at 1; grows with every claim of the job, whatever ended the one before."""
    agent_id: str
    parameters: JSON
    config: JSON
    """The agent's runner configuration: for `command` {argv, env, stdin, parse, ...}, for `python`
    {call: "module:function", isolation: "process" | "thread"}, for `http` {url, method, headers}. Besides it the
    definition's instructions, model, tools, output_schema, and what the worker's settings allow."""
    timeout_seconds: float
    soft_seconds: float
    memory_mb: int
    feedback: JSON | None = None
    """What was wrong with the draft before, for whoever can do better with it: {attempt, next, score, threshold,
    issues, suggestions, feedback, text, draft, comment?, by?} (feedback.py); None for the first."""
    idempotency_key: str
    """`job_id:attempt`, from the second draft on with its number; handed to whatever has effects outside."""
    root_job_id: str | None = None
    """The first job of the chain of which this one is a retry or replay by hand; only the pipeline is told."""
    access: dict[str, str] = field(default_factory=dict)
    """How its agent reaches Callboard in the job's name: variables for its environment, none if it may not."""


@dataclass(frozen=True, kw_only=True)
class ProviderSpec:
    """One provider as a runner needs it."""

    provider_id: str
    title: str
    kind: str
    """`openai` (whatever speaks its chat completions) or `anthropic`."""
    base_url: str
    api_key: str | None
    model: str
    billing: str
    demo: bool
    missing: str | None
    """What to configure before it can be used at all; None: nothing."""


class Refused(Exception):
    """A provider takes no call now."""

    def __init__(self, reason: str, message: str, until: datetime | None = None) -> None:
        """`reason`: open, probing, requests, tokens, places or disabled."""
        super().__init__(message)
        self.reason, self.message, self.until = reason, message, until


class Pass(Protocol):
    """Leave to make one call; left by one of these, or by the end of its `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def succeeded(self, *, input_tokens: int, output_tokens: int) -> None:
        """The provider answered."""

    def failed(self, kind: str, message: str, retry_after: float | None = None) -> None:
        """It did not: throttle, quota, auth, overload, transport; or `request`, which is our own fault."""


class ProviderDesk(Protocol):
    """Where a runner asks for providers; the state behind it is shared by all workers."""

    def chain(self, wanted: list[str] | None) -> list[ProviderSpec]:
        """The providers to try, in order; None means the common order."""

    def enter(self, provider_id: str, *, tokens: int) -> Pass:
        """Take a place and room for about `tokens`; raises Refused."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person said."""

    decision: str
    """`approve`, `reject` or `ask_back` (look again: the comment says at what)."""
    answer: JSON | None = None
    """What was filled into the form."""
    edited: Any = None
    """What the person made of what they were shown, where they could and did."""
    comment: str | None = None
    by: str | None = None
    """Their e-mail address; None: nobody answered in time, and the decision is the question's `on_timeout`."""
    approval_id: str | None = None

    @property
    def approved(self) -> bool:
        """They said yes."""
        return self.decision == "approve"


class Context(Protocol):
    """What an agent may say and ask while it runs. All calls are cheap and never block on I/O."""

    @property
    def workspace(self) -> Path:
        """An empty private folder of this attempt, removed afterwards.

        Files that an agent in a process of its own leaves in `workspace/artifacts/` are kept as artifacts.
        """

    def log(self, message: str, *, level: str = "info", source: str = "agent", **data: Any) -> None:
        """Add a line to the job's log. `level`: debug, info, warning, error."""

    def progress(self, percent: float, step: str | None = None) -> None:
        """Say how far the work is (0-100) and, in words, what is being done."""

    def stage(self, name: str, step: str | None = None) -> None:
        """Enter a named stage (machine name) with a text for people."""

    def usage(self, **amounts: float) -> None:
        """Add to what this attempt used: input_tokens=…, output_tokens=…, cost_usd=…."""

    def artifact(self, name: str, content: bytes | Path, media_type: str | None = None) -> str:
        """Keep a file with the job; answers its artifact id. Raises PermanentError over the size limit."""

    def fetch(self, reference: str) -> Path | None:
        """A copy, in the workspace, of a file that another job left; None if there is none for this job.

        `reference` is the id of an artifact of the same owner, or the name of one that an earlier step of the same
        workflow left (of several, the latest).
        """

    def checkpoint(self, state: JSON | None = None) -> JSON:
        """Keep `state` for a later attempt of the job; without an argument answers what was kept ({})."""

    def ask(
        self,
        question: str,
        *,
        key: str = "",
        shown: Any = None,
        form: JSON | None = None,
        options: tuple[str, ...] = ("approve", "reject"),
        editable: JSON | None = None,
        approvers: tuple[str, ...] = (),
        deadline_seconds: float | None = None,
        on_timeout: str = "reject",
        escalate_seconds: float | None = None,
        escalate_to: tuple[str, ...] = (),
        kind: str = "agent",
        draft_number: int | None = None,
    ) -> Answer:
        """Ask a person: ends the attempt here (it raises Asked), and answers when a later one comes to the same place.

        The answer holds for exactly this question, `key`, `shown`, `form` and `editable`: when one of them is another
        the next time, it is asked anew. What was done before must be in the checkpoint, or is done again.
        `shown` is looked at, `form` (JSON Schema) is filled in, `editable` ({text} or {value}) may be changed where
        `options` has `edit`; `ask_back` lets them send it back with a comment. `approvers` are e-mail addresses and
        roles (none: whoever submitted the job, and admins); after `escalate_seconds` those of `escalate_to` may
        answer as well.
        """

    def permit(self, effect: str, question: str, *, shown: Any = None) -> None:
        """Ask a person before something with an effect outside, if a policy demands it for `effect`.

        Returns when it may go on; raises PermanentError `not_permitted` when they said no, Asked like `ask`.
        """

    def delegate(
        self,
        agent_id: str,
        parameters: JSON,
        *,
        key: str = "",
        task_name: str | None = None,
        priority: str = ...,
        budget: JSON | None = None,
        timeout: int | None = None,
        tags: tuple[str, ...] = (),
    ) -> str:
        """Hand out a job to another agent that the definition names under `delegation`; answers its id.

        Under one `key` there is one such job, whichever attempt asks; without one it is told by what is asked for, so
        an attempt that does the same again gets the same jobs. `budget` ({usd?, tokens?, minutes?}) is taken from the
        job's own. Raises PermanentError for what may not be handed out.
        """

    def look_at_children(self, job_ids: list[str] | None = None) -> list[JSON]:
        """How the jobs it handed out stand now: {job_id, agent_id, status, result, error, key, …}; all, or these."""

    def await_children(self, job_ids: list[str] | None = None, *, seconds: float | None = None) -> list[JSON]:
        """The same when they are over, or after `seconds`.

        While one of them runs, it is waited for here. When none has run for a few seconds the attempt ends and hands
        its place back (it raises WaitsForJobs, which is not to be caught); the job goes on, from its beginning, when
        one of them is over. What was done before must be in the checkpoint, or is done again; what was delegated is not.
        """

    def drafts(self) -> list[JSON]:
        """The drafts of the job that are kept, oldest first, without their content: {number, source, report, …}."""

    def draft(self, number: int) -> JSON:
        """The content of one of them."""

    def keep_draft(
        self,
        number: int,
        content: JSON,
        *,
        source: Literal["agent", "person"] = "agent",
        model: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Keep a draft at once; raises Cancelled if the job belongs to another worker now."""

    def judged_draft(self, number: int, report: JSON) -> None:
        """Keep what the gate said of a draft, as `keep_draft` does."""

    def judged(self, verdict: str, score: float | None) -> None:
        """What the gate said of the result that is to come: passed or rejected."""

    def checkpoint_due(self) -> None:
        """Raise Cancelled, Released, AttemptTimeout, StoppedByBudget or Stalled if the attempt must stop here.

        Also Asked, if a policy wants a person to agree to what the job has spent.
        """

    def stop_due(self) -> None:
        """Like checkpoint_due, but never asks anybody: for the middle of what would be paid twice, like a model's turn."""

    def process_started(self, pid: int) -> None:
        """Record the process id of a child in the job row."""

    def event(self, kind: str, message: str, *, level: str = "info", **data: Any) -> None:
        """Add an entry to the job's story: `turn`, `tool`, `tool_result`, `provider`, `quality`, `budget`, `watchdog` or `asked`."""

    def tool_started(self, call_id: str, name: str, arguments: JSON | str, summary: str = "") -> None:
        """A tool call is in flight: the stall clock stands still; the same call again and again is noticed."""

    def tool_ended(self, call_id: str, *, ok: bool = True, summary: str = "") -> None:
        """A tool call is over."""

    def meter(self, usage: Usage) -> None:
        """Say what one model call used until now (cumulative per `call_id`), while it streams and at its end."""

    def pin(self, **ran_with: str) -> None:
        """Keep with the attempt what it runs with: provider, model, cli_version, session_id."""

    def partial(self, result: JSON) -> None:
        """The result so far; it is kept if the job is stopped before its end."""

    @property
    def providers(self) -> ProviderDesk:
        """Where models are asked for; raises PermanentError for runners that have no business there."""

    @property
    def cancelled(self) -> bool:
        """Somebody asked for the job to stop, or its lease is gone."""

    @property
    def releasing(self) -> bool:
        """The worker is shutting down and its grace period is over: stop, uncounted."""

    @property
    def draining(self) -> bool:
        """The worker was told to shut down; the grace period has begun."""

    @property
    def remaining_seconds(self) -> float:
        """Seconds to the hard time limit."""


class Runner(Protocol):
    """One way to run an agent."""

    name: str

    def run(self, work: Work, context: Context) -> JSON:
        """Do the work and answer its result (a JSON object).

        Raises a JobError (its class decides about a retry), Cancelled, or Released.
        """

    def health(self, config: JSON) -> Health:
        """Say whether this agent could run here now, and if not why."""


@dataclass(frozen=True)
class Health:
    """Whether an agent can run: `ready`, `degraded` or `unavailable`, with the reason in words."""

    status: str = "ready"
    reason: str | None = None
