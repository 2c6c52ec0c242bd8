"""From what somebody asks for to a run with its steps, all of them waiting. Who starts the first ones is progress.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.agents import params, secrecy
from app.db import as_json, db, storable
from app.errors import Invalid, InvalidParameters
from app.jobs.lifecycle import new_id
from app.jobs.states import PRIORITIES, Priority
from app.observe import correlation
from app.secrets import sealing
from app.workflows import plan, rows, templates
from app.workflows.definition import Definition
from app.workflows.definition import as_json as snapshot
from app.workflows.references import references

JSON = dict[str, Any]
DEEPEST = 5
"""Runs inside of runs."""


@dataclass(frozen=True, kw_only=True)
class RunWish:
    """A run as a person or program asks for it; nothing in it is trusted yet."""

    definition: Definition
    submitted_by: str
    inputs: JSON = field(default_factory=dict)
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    notify: JSON | None = None
    """{callback_url?, emails?}"""
    external_key: str | None = None
    """The caller's own name of it. None: the definition's."""
    template_name: str | None = None
    template_version: int | None = None
    schedule_id: str | None = None
    session_id: str | None = None
    """The session that hears of its end."""
    correlation_id: str | None = None
    traceparent: str | None = None
    """The span its steps belong to; None: the one at work."""
    secret: frozenset[str] = frozenset()
    """JSON pointers of what is secret in the inputs besides what the definition says."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The step that a run inside another one belongs to."""

    workflow_id: str
    step_id: str
    depth: int
    """Of the run inside; 1 is the first level."""


def checked(definition: Definition, inputs: JSON, submitted_by: str | None = None) -> JSON:
    """The inputs with the defaults of their schema; Invalid, with pointers, for what would not run."""
    templates.demand_sound(definition, submitted_by)
    try:
        return params.check(definition.inputs or {}, inputs)
    except InvalidParameters as wrong:
        fields = [(place.replace("/parameters", "/inputs", 1), said) for place, said in wrong.fields]
        raise Invalid(wrong.message.replace("parameters", "inputs", 1), fields) from wrong


def owner_of(workflow_id: str) -> str:
    """To whom the sealed values of a run's inputs belong (app/secrets/sealing.py)."""
    return f"workflows/{workflow_id}"


def secret(definition: Definition, inputs: JSON) -> frozenset[str]:
    """JSON pointers of what is secret in a run's inputs: what their schema marks, and what goes into secret parameters.

    A parameter is one of an agent of the definition; what its schema marks makes secret each input that is named there.
    """
    marked = set(secrecy.places(definition.inputs, inputs))
    return frozenset(
        marked
        | {f"/{sealing.escaped(name)}" for name in _into_secrets(snapshot(definition)) if name in inputs}
    )


def _into_secrets(said: Any) -> Iterator[str]:
    """The inputs that the steps in some JSON of a definition give to parameters that are secret."""
    if isinstance(said, list):
        for each in said:
            yield from _into_secrets(each)
    if not isinstance(said, dict):
        return
    if isinstance(said.get("agent_id"), str) and isinstance(said.get("parameters"), dict):
        schema, _ = secrecy.schemas(said["agent_id"], None)
        for pointer in secrecy.places(schema, said["parameters"]):
            found = references(_at(said["parameters"], pointer))
            yield from (str(p[1]) for r in found for p in r.alternatives if p[0] == "inputs" and len(p) > 1)
    for inner in said.values():
        yield from _into_secrets(inner)


def _at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = (
            value[int(step)] if isinstance(value, list) else value[step.replace("~1", "/").replace("~0", "~")]
        )
    return value


def insert(
    wish: RunWish, *, inside: Place | None = None, retry_of: str | None = None, with_steps: bool = True
) -> str:
    """Check a wish and write its run; answers the id. Nothing of it is started."""
    _demand_options(wish)
    inputs = checked(wish.definition, wish.inputs, wish.submitted_by)
    if inside and inside.depth > DEEPEST:
        raise Invalid(f"this run is inside of {DEEPEST} others already; {DEEPEST} are the most")
    workflow_id = new_id()
    definition, now = wish.definition, correlation.current()
    db.run(
        _INSERT,
        id=workflow_id,
        name=storable(definition.name),
        description=storable(definition.description) if definition.description else None,
        definition=as_json(snapshot(definition)),
        inputs=as_json(
            sealing.seal(inputs, secret(definition, inputs) | wish.secret, owner_of(workflow_id), "/inputs")
        ),
        external_key=storable(key) if (key := wish.external_key or definition.workflow_id) else None,
        template_name=wish.template_name,
        template_version=wish.template_version,
        submitted_by=wish.submitted_by,
        priority_rank=int(Priority.named(wish.priority)),
        tags=list(wish.tags),
        correlation_id=wish.correlation_id or now["correlation_id"],
        traceparent=wish.traceparent or now["traceparent"],
        notify=as_json(wish.notify) if wish.notify else None,
        schedule_id=wish.schedule_id,
        session_id=wish.session_id,
        parent_workflow_id=inside.workflow_id if inside else None,
        parent_step_id=inside.step_id if inside else None,
        depth=inside.depth if inside else 0,
        retry_of=retry_of,
        total_steps=plan.total(definition),
    )
    if with_steps:
        rows.insert_steps(workflow_id, plan.steps(definition))
    return workflow_id


_INSERT = """
    INSERT INTO workflows (workflow_id, name, description, definition, inputs, external_key, template_name,
                           template_version, submitted_by, priority_rank, tags, correlation_id, traceparent, notify,
                           schedule_id, session_id, parent_workflow_id, parent_step_id, depth, retry_of_workflow_id,
                           total_steps)
    VALUES (%(id)s, %(name)s, %(description)s, %(definition)s, %(inputs)s, %(external_key)s, %(template_name)s,
            %(template_version)s, %(submitted_by)s, %(priority_rank)s, %(tags)s, %(correlation_id)s, %(traceparent)s,
            %(notify)s, %(schedule_id)s, %(session_id)s, %(parent_workflow_id)s, %(parent_step_id)s, %(depth)s,
            %(retry_of)s, %(total_steps)s)"""


def _demand_options(wish: RunWish) -> None:
    wrong: list[tuple[str, str]] = []
    if wish.priority not in PRIORITIES:
        wrong.append(("/priority", f"must be one of {', '.join(PRIORITIES)}"))
    if len(wish.tags) > 20 or any(not 1 <= len(tag) <= 100 or "\x00" in tag for tag in wish.tags):
        wrong.append(("/tags", "at most 20 tags of 1 to 100 characters"))
    if wish.external_key is not None and not 1 <= len(wish.external_key) <= 255:
        wrong.append(("/workflow_id", "must be 1 to 255 characters"))
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)
