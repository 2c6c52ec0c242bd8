"""What every part of a job's page begins with: the job's row, whether it may be seen, and what of it is hidden."""

from __future__ import annotations

from typing import Any

from flask import current_app, url_for

from app.accounts.permissions import demand, may
from app.dashboard import actions
from app.dashboard.htmx import STOP, every, once
from app.dashboard.session import asking
from app.db import Row
from app.jobs import document as job_document
from app.jobs.document import document, etag, etag_at_rest, poll_hint
from app.jobs.states import Status
from app.polling.hints import Pace

SLOW_MS = 5000
"""Between two looks at what changes with the end of an attempt only."""


def visible(job_id: str, *, full: bool = False) -> Row:
    """The job's row, if it exists and may be seen."""
    row = actions.found(job_id, full=full)
    demand(asking(), "view_task", row["submitted_by"])
    return row


def readable(job_id: str, *, full: bool = False) -> Row:
    """The job's row, if its content may be seen too."""
    row = visible(job_id, full=full)
    demand(asking(), "view_task_content", row["submitted_by"])
    return row


def glimpsed(job_id: str) -> Row:
    """The few columns that say whether something is new (queries.version), if the job's content may be seen."""
    row = actions.glimpsed(job_id)
    demand(asking(), "view_task", row["submitted_by"])
    demand(asking(), "view_task_content", row["submitted_by"])
    return row


def sees_content(row: Row) -> bool:
    """Whether whoever asks may see parameters, result, log and errors."""
    return may(asking(), "view_task_content", row["submitted_by"])


def pace() -> Pace:
    """How often jobs are to be looked at."""
    return current_app.config["PACE"]  # type: ignore[no-any-return]


def shown(row: Row) -> Row:
    """The status document as whoever asks may see it."""
    key = ("shown", row["job_id"], "parameters" in row)
    return once(key, lambda: document(row, asking(), pace()))


def without_secrets(told: Row) -> Row:
    """A whole row with masks in the place of what the agent's schemas call secret."""
    return told | job_document.without_secrets(told)


def soon(row: Row) -> str:
    """When to look again at what changes with every word the job says."""
    after = poll_hint(row, pace())["next_after_ms"]
    return every(after) if after else STOP


def slowly(row: Row) -> str:
    """When to look again at what changes seldom."""
    return STOP if row["finished_at"] is not None else every(SLOW_MS)


def glance(job_id: str) -> tuple[str, str]:
    """The tag of a panel that changes with the job's row, and when to look again."""
    row = actions.glimpsed(job_id)
    demand(asking(), "view_task", row["submitted_by"])
    return _tag(row), soon(row)


def glance_inside(job_id: str) -> tuple[str, str]:
    """The same for a panel that shows content and changes seldom."""
    row = glimpsed(job_id)
    return _tag(row), slowly(row)


def _tag(row: Row) -> str:
    """Of what the head and the parts show; what a waiting job waits for stands beside them (job_rail)."""
    of = etag if row["status"] == Status.AWAITING_INPUT else etag_at_rest
    return of(row, asking())


def glance_around(job_id: str) -> tuple[str, str]:
    """The same for a panel that shows what others do too, which no row tells: it says itself how long it lasts."""
    row = actions.glimpsed(job_id)
    demand(asking(), "view_task", row["submitted_by"])
    if row["finished_at"] is not None:
        return "", ""
    return etag_at_rest(row, asking()), slowly(row)


def part(job_id: str, tab: str, **query: Any) -> str:
    """The address of a part of a job's page."""
    return url_for("dashboard.job", job_id=job_id, tab=tab, **query)


def worker_page(worker_id: str | None) -> str:
    """The address of a worker's page; empty while there is no such page."""
    if not worker_id or "dashboard.worker" not in current_app.view_functions:
        return ""
    return url_for("dashboard.worker", worker_id=worker_id)
