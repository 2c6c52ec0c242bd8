"""What pages do to jobs: the steps that several pages share. They do not commit; views do."""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any

from flask import g

from app import audit
from app.accounts.permissions import may
from app.dashboard.htmx import has_asked, once, others_will_do
from app.dashboard.session import asking
from app.db import Row
from app.errors import NotFound
from app.jobs import intake, lifecycle, queries
from app.polling.together import Together


@lru_cache(maxsize=10_000)
def checked_id(text: str) -> str:
    """An id in its canonical form; NotFound if it is none, because then there is nothing under it."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise NotFound from None


def found(job_id: str, *, full: bool = False) -> Row:
    """The job's row, read once for all that a page or a look shows of it; NotFound if there is none."""
    wanted = checked_id(job_id)
    whole = once(("job", wanted), dict[str, Row])
    if full and "full" not in whole:
        whole["full"] = queries.get(wanted, full=True)
    if "full" not in whole and "light" not in whole:
        whole["light"] = queries.get(wanted)
    return whole.get("full") or whole["light"]


_watched = Together(queries.changed)
forget = _watched.forget


def glimpsed(job_id: str) -> Row:
    """Of the job's row what decides whether something is new (queries.version), unless more was read already.

    As others read it a moment ago, where that will do (htmx.others_will_do).
    """
    wanted = checked_id(job_id)
    if age := others_will_do():
        shared = once(("watched", wanted), lambda: _watched.look(wanted, age))
        if shared is None:
            raise NotFound(f"there is no job {wanted}")
        return shared
    whole = once(("job", wanted), dict[str, Row])
    if not whole:
        if has_asked(("watched", wanted)):  # and that would not do: something is to be drawn, of the row
            return found(wanted)
        seen = queries.version(wanted)
        if seen is None:
            raise NotFound(f"there is no job {wanted}")
        whole["glimpse"] = seen
    return next(iter(whole.values()))


def noted(action: str, subject: str, **details: Any) -> None:
    """Write down who did what."""
    audit.record(
        action, actor=asking().user_id, subject=subject, correlation_id=g.get("request_id"), details=details
    )


def submit(agent_id: str, parameters: dict[str, Any], **how: Any) -> str:
    """Accept a job for the person who asks and answer its id; Invalid points at fields.

    `how`: priority, task_name, tags as intake.Wish has them.
    """
    who = asking()
    wish = intake.Wish(
        agent_id=agent_id,
        parameters=parameters,
        submitted_by=who.user_id,
        correlation_id=g.get("request_id"),
        **how,
    )
    return str(lifecycle.submit(intake.order(wish))["job_id"])


def again(job_id: str) -> str:
    """Send a finished job in again as it was; answers the new job's id."""
    who = asking()
    row = intake.again(job_id, by=who.user_id, may_exceed_budget=may(who, "exceed_budget"))
    new_id = str(row["job_id"])
    noted("job.retried", job_id, new_job_id=new_id)
    return new_id


def resume(job_id: str, more: dict[str, float | None]) -> str:
    """Go on with a job that its budget stopped, with so much `more` by unit; answers the new job's id."""
    new_id = str(
        intake.resume(
            job_id,
            by=asking().user_id,
            may_exceed_budget=may(asking(), "exceed_budget"),
            **{f"raise_{unit}": amount for unit, amount in more.items()},  # type: ignore[arg-type]
        )["job_id"]
    )
    noted("job.resumed", job_id, new_job_id=new_id, raised={u: n for u, n in more.items() if n})
    return new_id


def resubmit(dlq_id: str, *, priority: str | None, changes: dict[str, Any]) -> str:
    """Send a dead letter in again and mark it; the second time is a Conflict. Answers the new job's id."""
    new_id = str(
        intake.resubmit(dlq_id, by=asking().user_id, priority=priority, override_parameters=changes)[
            "new_job_id"
        ]
    )
    noted("dead_letter.resubmitted", dlq_id, new_job_id=new_id)
    return new_id
