"""What a rule makes of a delivery: a job, a run of a workflow's template, or a command to a session.

Placeholders in an action ({{body.pull_request.title}}, {{event}}, {{delivery}}, {{hook}}) are replaced once, by what
came. What came is data: braces in it are never read, and it cannot choose agent, template or command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from app.accounts.permissions import Principal, demand, may
from app.agents import registry, secrecy
from app.db import Row, db
from app.errors import CallboardError, Conflict, Forbidden, Invalid
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.sessions import access, commands, delegating
from app.sessions import changes as sessions
from app.workflows import intake as intake_of_runs
from app.workflows import runs, templates
from app.workflows.references import Named, resolve, scan
from app.workflows.runs import RunWish

ROOTS: Final = ("body", "event", "delivery", "hook")
LONGEST_CORRELATION = 200
WRITTEN_DOWN: Final = "is secret, and a rule is kept and shown as it is written; let it come with the webhook, like {{body.token}}"
CHOSEN_OUTSIDE: Final = "says what is done, and what comes in is only data for it; write it down here"
_CHOOSES: Final = re.compile(
    r"/action/payload/(agent_id|agent_name|steps(?!.*/parameters/).*"
    r"|commands(/\d+(/command|/payload(/agent_id|/agent_name)?)?)?)"
)
"""What of the payload of a session's command says who does what."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Priority = Literal["critical", "high", "normal", "low"]
Tags = Annotated[list[Name], Field(max_length=20)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JobAction(_Action):
    """Submit a job."""

    kind: Literal["job"]
    agent_id: Name
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="May hold placeholders, as may what follows."
    )
    priority: Priority = "normal"
    tags: Tags = Field(default_factory=list)
    task_name: Name | None = None
    session_id: Name | None = Field(None, description="Hand it out in this session.")


class WorkflowAction(_Action):
    """Start a run of a workflow's template."""

    kind: Literal["workflow"]
    template: Name
    version: int | None = Field(None, ge=1, description="Left out: the current one each time.")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="May hold placeholders, as may the tags."
    )
    priority: Priority = "normal"
    tags: Tags = Field(default_factory=list)


class SessionAction(_Action):
    """Give a session a command."""

    kind: Literal["session"]
    command: Name
    session_id: Name = Field(description="May hold placeholders, as may the payload.")
    payload: dict[str, Any] = Field(default_factory=dict)
    create: bool = Field(False, description="Begin the session if there is none yet.")


Action = Annotated[JobAction | WorkflowAction | SessionAction, Field(discriminator="kind")]
_ANY: Final[TypeAdapter[JobAction | WorkflowAction | SessionAction]] = TypeAdapter(Action)


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """The delivery for which something is done, and in whose name."""

    who: Principal
    hook: str
    delivery_id: str
    external_id: str
    event: str
    body: Any
    rule_id: str = ""

    def scope(self) -> Named:
        """What placeholders stand for."""
        return Named(
            {"body": self.body, "event": self.event, "delivery": self.external_id, "hook": self.hook}
        )

    def correlation(self) -> str:
        """The same for everything that one delivery leads to."""
        return f"hook:{self.hook}:{self.external_id}"[:LONGEST_CORRELATION]


def owner(user_id: str) -> Principal:
    """Whoever a hook belongs to, as they are now; raises Forbidden if their account may do nothing any more."""
    row = db.row(
        "SELECT user_id::text, email, role FROM users WHERE user_id::text = %(id)s AND enabled", id=user_id
    )
    if row is None:
        raise Forbidden("the owner of the hook has no account any more, or it is switched off")
    return Principal(user_id=row["user_id"], email=row["email"], role=row["role"])


def checked(action: Mapping[str, Any], who: Principal) -> dict[str, Any]:
    """An action as it is kept; raises Invalid for what would never run."""
    if not isinstance(action, Mapping):
        raise _invalid([("/action", "must be an object")])
    try:
        read = _ANY.validate_python(dict(action))
    except ValidationError as error:
        raise _invalid([_told(fault) for fault in error.errors(include_url=False)][:50]) from error
    kept = read.model_dump(exclude_none=True)
    found, wrong = scan(kept, "/action", ROOTS)
    wrong += [(each.pointer, CHOSEN_OUTSIDE) for each in found if _CHOOSES.fullmatch(each.pointer)]
    wrong += _unknown(read, who)
    if not wrong:
        filled_in = [each.pointer for each in found]
        wrong += [(at, WRITTEN_DOWN) for at in _secret(read, who) if not _any_within(at, filled_in)]
    if wrong:
        raise _invalid(wrong)
    return kept


def filled(action: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    """The action with its placeholders replaced; UnknownReference names the first that leads nowhere."""
    fixed = {name: action[name] for name in ("kind", "agent_id", "template", "command") if name in action}
    return {**resolve(dict(action), occasion.scope(), ROOTS), **fixed}


def try_out(action: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    """What would be done, checked as far as that is possible without doing it."""
    ready = _ready(filled(action, occasion))
    if isinstance(ready, JobAction):
        demand(occasion.who, "submit_task")
        intake.order(_wish(ready, occasion))
    elif isinstance(ready, WorkflowAction):
        wish = _run_wish(ready, occasion)
        runs.check_only(wish.definition, wish.inputs, wish.submitted_by)
    return ready.model_dump(exclude_none=True)


def carry_out(action: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    """Do it in the owner's name: {job_id} | {workflow_id} | {session_id, command, ids…}; raises CallboardError."""
    ready = _ready(filled(action, occasion))
    if isinstance(ready, JobAction):
        return _submit(ready, occasion)
    if isinstance(ready, WorkflowAction):
        return {"workflow_id": str(runs.start(_run_wish(ready, occasion))["workflow_id"])}
    return _command(ready, occasion)


def _submit(ready: JobAction, occasion: Occasion) -> dict[str, Any]:
    demand(occasion.who, "submit_task")
    if not registry.demand(ready.agent_id).enabled:
        raise Conflict(f"the agent {ready.agent_id} is switched off")
    if ready.session_id is None:
        return {"job_id": str(lifecycle.submit(intake.order(_wish(ready, occasion)))["job_id"])}
    job = delegating.delegate(
        ready.session_id,
        agent_id=ready.agent_id,
        parameters=ready.parameters,
        priority=ready.priority,
        who=occasion.who,
        tags=tuple(ready.tags),
        task_name=ready.task_name,
        correlation_id=occasion.correlation(),
    )
    return {"job_id": str(job["job_id"]), "session_id": ready.session_id}


def _command(ready: SessionAction, occasion: Occasion) -> dict[str, Any]:
    if ready.create and access.find(ready.session_id) is None:
        sessions.create(ready.session_id, who=occasion.who, title=f"{occasion.hook}: {occasion.event}"[:200])
    done = commands.carry_out(
        {
            "command": ready.command,
            "session_id": ready.session_id,
            "payload": ready.payload,
            "request_id": f"{occasion.delivery_id}:{occasion.rule_id}",
        },
        occasion.who,
    )
    if not done.body["ok"]:
        raise Conflict("not all commands of the batch could be done")
    return {"session_id": ready.session_id, "command": ready.command, "ids": done.body["ids"]}


def _wish(ready: JobAction, occasion: Occasion) -> Wish:
    return Wish(
        agent_id=ready.agent_id,
        parameters=ready.parameters,
        submitted_by=occasion.who.user_id,
        priority=ready.priority,
        tags=tuple(ready.tags),
        task_name=ready.task_name,
        may_exceed_budget=may(occasion.who, "exceed_budget"),
        correlation_id=occasion.correlation(),
    )


def _run_wish(ready: WorkflowAction, occasion: Occasion) -> RunWish:
    demand(occasion.who, "submit_workflow")
    known = templates.knowledge(occasion.who.user_id)
    definition, version = (
        known.template(ready.template, ready.version),
        known.version(ready.template, ready.version),
    )
    if definition is None or version is None:
        raise Invalid(_no_template(ready.template), [("/action/template", _no_template(ready.template))])
    return RunWish(
        definition=definition,
        submitted_by=occasion.who.user_id,
        inputs=ready.inputs,
        priority=ready.priority,
        tags=tuple(ready.tags),
        template_name=ready.template,
        template_version=version["version"],
        correlation_id=occasion.correlation(),
    )


def _ready(action: Mapping[str, Any]) -> JobAction | WorkflowAction | SessionAction:
    try:
        return _ANY.validate_python(dict(action))
    except ValidationError as error:
        raise _invalid([_told(fault) for fault in error.errors(include_url=False)][:10]) from error


def _unknown(read: JobAction | WorkflowAction | SessionAction, who: Principal) -> list[tuple[str, str]]:
    """What an action names that is not there, or not for its owner."""
    if isinstance(read, JobAction):
        try:
            registry.demand(read.agent_id)
        except CallboardError as unknown:
            return [("/action/agent_id", unknown.message)]
        return []
    if isinstance(read, WorkflowAction):
        found: Row | None = templates.knowledge(who.user_id).version(read.template, read.version)
        return [] if found else [("/action/template", _no_template(read.template))]
    try:
        commands.named(read.command, "/action/command")
    except Invalid as unknown:
        return unknown.fields
    return []


def _secret(read: JobAction | WorkflowAction | SessionAction, who: Principal) -> Iterator[str]:
    """JSON pointers of what is secret to whom the action gives it."""
    if isinstance(read, JobAction):
        schema = registry.demand(read.agent_id).schema
        yield from (f"/action/parameters{at}" for at in secrecy.places(schema, read.parameters))
    elif isinstance(read, WorkflowAction):
        if definition := templates.knowledge(who.user_id).template(read.template, read.version):
            yield from (f"/action/inputs{at}" for at in intake_of_runs.secret(definition, read.inputs))
    else:
        yield from commands.secret_places({"payload": read.payload}, "/action")


def _any_within(at: str, pointers: list[str]) -> bool:
    return any(f"{each}/".startswith(f"{at}/") for each in pointers)


def _no_template(name: str) -> str:
    return f"there is no template {name!r} that the hook's owner may run"


def _invalid(wrong: list[tuple[str, str]]) -> Invalid:
    return Invalid(f"{wrong[0][0]}: {wrong[0][1]}", wrong)


def _told(fault: Any) -> tuple[str, str]:
    """One complaint of pydantic's, below /action and without the name of the kind."""
    parts = [str(part) for part in fault["loc"] if part not in ("job", "workflow", "session")]
    return "".join(f"/{part}" for part in ("action", *parts)), str(fault["msg"])
