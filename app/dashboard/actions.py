"""What pages do to jobs: the steps that several pages share. They do not commit; views do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import g

from app import audit
from app.accounts.permissions import may
from app.agents import params, registry
from app.dashboard.session import asking
from app.db import Row
from app.errors import Conflict, NotFound
from app.jobs import dead_letters, lifecycle, queries
from app.jobs.states import FINAL, Priority


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is different when something is sent in again; None keeps what it was."""

    parameters: dict[str, Any] | None = None
    """Merged over the old parameters."""
    replaces: bool = False
    """Take `parameters` instead of merging them."""
    priority: Priority | None = None
    options: dict[str, Any] = field(default_factory=dict)


def checked_id(text: str) -> str:
    """An id in its canonical form; NotFound if it is none, because then there is nothing under it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise NotFound from None


def noted(action: str, subject: str, **details: Any) -> None:
    """Write down who did what."""
    audit.record(action, actor=asking().user_id, subject=subject, correlation_id=g.get("request_id"), details=details)


def submit(
    agent_id: str,
    parameters: dict[str, Any],
    *,
    priority: Priority = Priority.NORMAL,
    task_name: str | None = None,
    tags: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
    retry_of_job_id: str | None = None,
) -> str:
    """Accept a job for the person who asks and answer its id; InvalidParameters points at fields."""
    agent = registry.demand(agent_id)
    order = lifecycle.Order(
        agent_id=agent.agent_id,
        agent_version=agent.version,
        pool=agent.pool,
        gated=agent.gated,
        parameters=params.check(agent.schema, parameters),
        submitted_by=asking().user_id,
        priority=priority,
        max_retries=agent.max_retries,
        task_name=task_name,
        tags=tags,
        options=options or {},
        correlation_id=g.get("request_id"),
        retry_of_job_id=retry_of_job_id,
    )
    job_id = str(lifecycle.submit(order)["job_id"])
    noted("job.submitted", job_id, agent_id=agent.agent_id)
    return job_id


def again(row: Row, changes: Changes | None = None) -> str:
    """Send a finished job in again, by its full row or its dead letter; answers the new job's id."""
    changes = changes or Changes()
    changed = changes.parameters or {}
    return submit(
        row["agent_id"],
        changed if changes.replaces else {**row["parameters"], **changed},
        priority=Priority(row["priority_rank"]) if changes.priority is None else changes.priority,
        task_name=row["task_name"],
        tags=tuple(row.get("tags") or ()),
        options={**(row.get("options") or {}), **changes.options},
        retry_of_job_id=row["job_id"],
    )


def resubmit(dlq_id: str, changes: Changes) -> str:
    """Send a dead letter in again and mark it; the second time is a Conflict. Answers the new job's id."""
    letter = dead_letters.get(dlq_id)
    if letter["resubmitted"]:
        raise Conflict("This dead letter was sent in again already.")
    new_id = again(letter, changes)
    dead_letters.mark_resubmitted(letter["dlq_id"], new_job_id=new_id, by=asking().user_id)
    noted("dead_letter.resubmitted", letter["dlq_id"], new_job_id=new_id)
    return new_id


def cancel_each(job_ids: list[str]) -> tuple[int, int]:
    """Cancel those that can be; answers how many were and how many were not."""
    return _each(job_ids, "cancel_task", lambda row: row["status"] not in FINAL, lambda row: lifecycle.cancel(row["job_id"]))


def retry_each(job_ids: list[str]) -> tuple[int, int]:
    """Send in again those that are over; answers how many were and how many were not."""
    return _each(
        job_ids,
        "retry_task",
        lambda row: row["status"] in FINAL,
        lambda row: again(queries.get(row["job_id"], full=True)),
    )


def _each(
    job_ids: list[str], verb: str, possible: Callable[[Row], bool], act: Callable[[Row], object]
) -> tuple[int, int]:
    rows = queries.some([checked_id(job_id) for job_id in job_ids])
    mine = [row for row in rows.values() if possible(row) and may(asking(), verb, row["submitted_by"])]
    done = 0
    for row in mine:
        try:
            act(row)
        except Conflict:  # ended between looking and acting
            continue
        done += 1
    if done:
        noted(f"jobs.{verb}", f"{done} jobs")
    return done, len(set(job_ids)) - done


BULK: dict[str, Callable[[list[str]], tuple[int, int]]] = {"cancel": cancel_each, "retry": retry_each}
