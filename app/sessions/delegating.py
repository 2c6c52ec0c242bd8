"""Jobs that a session hands out; what comes of them comes back as its events (app/sessions/news.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.accounts import permissions
from app.accounts.permissions import Principal
from app.db import Row, db
from app.errors import Forbidden, Invalid
from app.jobs import intake, lifecycle, queries
from app.jobs.intake import Wish
from app.jobs.states import Priority
from app.notify import addresses
from app.sessions import access, events

JSON = dict[str, Any]
CALLBACK = "session_callback_url"
"""The option of a job that names who else is told of its end, besides the session's own callback address."""


def delegate(
    session_id: str,
    *,
    agent_id: str,
    parameters: JSON,
    priority: str = "normal",
    who: Principal,
    callback_url: str | None = None,
    **options: Any,
) -> Row:
    """Hand out a job for an agent, as `who`; answers its row (app/jobs/queries.get).

    `options` are further fields of app.jobs.intake.Wish. `callback_url` is told of the job's end as well. A
    paused or completed session is a Conflict; AgentNotFound, InvalidParameters or Invalid say what is wrong.
    """
    demand_no_run(who)
    permissions.demand(who, "submit_task")
    access.of(session_id, who, "join_session")
    access.open_to_content(session_id)
    if callback_url and (complaint := addresses.check_url(callback_url)):
        raise Invalid(f"callback_url {complaint}", [("/callback_url", complaint)])
    wish = Wish(
        agent_id=agent_id,
        parameters=parameters,
        priority=priority,
        submitted_by=who.user_id,
        session_id=session_id,
        may_exceed_budget=permissions.may(who, "exceed_budget"),
        may_replace_gate=permissions.may(who, "manage_gates"),
    )
    wish = replace(wish, **options)
    if callback_url:
        wish = replace(wish, options=wish.options | {CALLBACK: callback_url})
    born = lifecycle.submit(intake.order(wish))
    told = {
        "job_id": born["job_id"],
        "agent_id": agent_id,
        "task_name": wish.task_name,
        "status": born["status"],
        "priority": Priority(born["priority_rank"]).word,
    }
    events.append(session_id, "job.delegated", told, who.user_id)
    return queries.get(born["job_id"])


def demand_no_run(who: Principal) -> None:
    """A running job hands out jobs as its own, within its budget and depth, and not past them through its session."""
    if who.job_id is not None:
        raise Forbidden(
            "A running job delegates by POST /api/v1/jobs; what comes of it is told in its session too."
        )


def jobs(
    session_id: str, *, limit: int = 50, before: str | None = None, unfinished: bool = False
) -> list[Row]:
    """The jobs that a session handed out, newest first, without parameters and results.

    `before` is the id of the last one of the page before; `unfinished`: only those that are not over.
    """
    return db.rows(
        f"""SELECT {queries.LIGHT} FROM jobs
            WHERE session_id = %(id)s AND (%(before)s::uuid IS NULL OR job_id < %(before)s::uuid)
              AND (NOT %(unfinished)s OR finished_at IS NULL)
            ORDER BY job_id DESC LIMIT %(limit)s""",
        id=session_id,
        before=before,
        unfinished=unfinished,
        limit=limit,
    )
