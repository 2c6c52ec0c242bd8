"""What a schedule submits: the row of a schedule as an order for a job, or as a wish for a workflow's run.

Both are made anew for each time, from what agent, template and owner are then; whatever is wrong with them is
raised as it would be for somebody who submits it by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from app import clock
from app.accounts.permissions import Principal, may
from app.agents import registry, secrecy
from app.db import Row, db
from app.errors import AgentNotFound, CallboardError, Conflict, Forbidden, Invalid
from app.jobs import intake
from app.jobs.intake import Wish
from app.jobs.lifecycle import Order
from app.jobs.states import Priority
from app.observe import correlation
from app.secrets import sealing
from app.workflows import definition as definitions
from app.workflows import intake as intake_of_runs
from app.workflows import runs, templates
from app.workflows.definition import Definition
from app.workflows.runs import RunWish

# What a schedule keeps for each job beside parameters and priority; a workflow takes the last two.
OPTIONS: Final = ("task_name", "timeout", "max_retries", "retry_strategy", "budget", "tags", "notify")
OPTIONS_OF_WORKFLOWS: Final = ("tags", "notify")


@dataclass(frozen=True)
class Owner:
    """Whoever a schedule belongs to, as far as it bears on what may be submitted in their name."""

    may_submit: bool = True
    may_exceed_budget: bool = False


def owners(user_ids: Iterable[str]) -> dict[str, Owner]:
    """How those stand that have an account; machines and tests need none."""
    rows = db.rows(
        "SELECT user_id::text, email, role, enabled FROM users WHERE user_id::text = ANY(%(ids)s)",
        ids=sorted(set(user_ids)),
    )
    return {row["user_id"]: _owner(row) for row in rows}


def _owner(row: Row) -> Owner:
    who = Principal(user_id=row["user_id"], email=row["email"], role=row["role"])
    return Owner(row["enabled"] and may(who, "create_schedule"), may(who, "exceed_budget"))


def parameters_of(row: Row) -> dict[str, Any]:
    """What a schedule submits, opened; KeyMissing if the key of a secret in it is gone."""
    given: dict[str, Any] = sealing.opened(
        row["parameters"], f"schedules/{row['schedule_id']}", "/parameters"
    )
    return given


def sealed(row: Row) -> dict[str, Any]:
    """The parameters of a schedule as they are written down: what its agent or workflow calls secret is sealed."""
    given: dict[str, Any] = row["parameters"]
    kept: dict[str, Any] = sealing.seal(given, _secret(row), f"schedules/{row['schedule_id']}", "/parameters")
    return kept


def _secret(row: Row) -> Iterator[str]:
    """JSON pointers of what is secret in its parameters; nothing new where what it runs is gone."""
    if row["agent_id"]:
        yield from secrecy.places(secrecy.schemas(row["agent_id"], None)[0], row["parameters"])
    elif is_workflow(row):
        with suppress(CallboardError):
            yield from intake_of_runs.secret(_definition(row), row["parameters"])


def is_workflow(row: Row) -> bool:
    """Whether it starts a workflow, and not an agent's job."""
    return bool(row["template_name"] or row["definition"])


def checked(row: Row, owner: Owner) -> dict[str, Any]:
    """Agent and definition as they are kept; raises what would be raised if this were submitted now."""
    if not is_workflow(row):
        return {"agent_id": order(row, slot=clock.now(), owner=owner, checking=True).agent_id}
    with _below("/workflow_template" if row["template_name"] else "/workflow"):
        wish = run_wish(row, slot=clock.now(), owner=owner)
        templates.demand_sound(wish.definition, row["submitted_by"])
    runs.check_only(wish.definition, wish.inputs, row["submitted_by"])
    return {"definition": definitions.as_json(wish.definition) if row["definition"] else None}


@contextmanager
def _below(pointer: str) -> Iterator[None]:
    """What is wrong inside of a definition is told by its place in the whole body."""
    try:
        yield
    except Invalid as wrong:
        inside = [(place if place == pointer else pointer + place, said) for place, said in wrong.fields]
        raise Invalid(wrong.message, inside) from wrong


def order(row: Row, *, slot: datetime, owner: Owner, checking: bool = False) -> Order:
    """The job of one time of a schedule; raises CallboardError if it cannot be submitted."""
    _demand_owner(owner)
    if row["agent_id"] is None:
        raise AgentNotFound("its agent is no longer there; give the schedule another one")
    agent = registry.demand(row["agent_id"])
    if not agent.enabled and not checking:
        raise Conflict(f"the agent {agent.agent_id} is switched off")
    options: dict[str, Any] = dict(row["options"])
    return intake.order(
        Wish(
            agent_id=agent.agent_id,
            parameters=parameters_of(row),
            submitted_by=row["submitted_by"],
            priority=Priority(row["priority_rank"]).word,
            tags=tuple(options.pop("tags", ())),
            run_at=run_at(row, slot),
            schedule_id=row["schedule_id"],
            may_exceed_budget=owner.may_exceed_budget,
            correlation_id=_correlation(row, slot),
            traceparent=correlation.current()["traceparent"],
            **options,
        )
    )


def run_wish(row: Row, *, slot: datetime, owner: Owner) -> RunWish:
    """The workflow's run of one time of a schedule; raises CallboardError if there is no such workflow for it."""
    _demand_owner(owner)
    return RunWish(
        definition=_definition(row),
        submitted_by=row["submitted_by"],
        inputs=parameters_of(row),
        priority=Priority(row["priority_rank"]).word,
        tags=tuple(row["options"].get("tags", ())),
        notify=row["options"].get("notify"),
        template_name=row["template_name"],
        template_version=_version(row),
        schedule_id=row["schedule_id"],
        correlation_id=_correlation(row, slot),
        traceparent=correlation.current()["traceparent"],
    )


def _definition(row: Row) -> Definition:
    if not row["template_name"]:
        return definitions.read(row["definition"])
    found = templates.knowledge(row["submitted_by"]).template(row["template_name"], row["template_version"])
    if found is None:
        version = f" in version {row['template_version']}" if row["template_version"] else ""
        said = f"there is no template {row['template_name']!r}{version} that its owner may run"
        raise Invalid(said, [("/workflow_template", said)])
    return found


def _version(row: Row) -> int | None:
    if not row["template_name"]:
        return None
    return int(templates.get(row["template_name"], row["template_version"])["version"])


def _demand_owner(owner: Owner) -> None:
    if not owner.may_submit:
        raise Forbidden("its owner may submit nothing any more: the account is switched off or may only look")


def _correlation(row: Row, slot: datetime) -> str:
    return f"schedule:{row['schedule_id']}:{clock.iso(slot)}"


def run_at(row: Row, slot: datetime) -> datetime | None:
    """When the job of a time is due: later by the jitter, which is the same whoever asks; None is at once."""
    if not row["jitter_seconds"]:
        return None
    seed = f"{row['schedule_id']}|{slot.timestamp():.3f}".encode()
    share = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") / 2**64
    due = slot + timedelta(seconds=share * row["jitter_seconds"])
    return due if due > (row.get("now") or clock.now()) else None
