"""The polled endpoints: the status document of one job, or of many at once."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from uuid import UUID

from orjson import Fragment
from pydantic import BaseModel, Field

from app.accounts.permissions import Principal, may
from app.api import conditional
from app.api.answers import Answer, dumps
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import FARTHEST_SEQ, MOST_AT_ONCE, JobBrief, JobOut, PollHint
from app.api.ownership import seen_job
from app.api.pace import come_back, pace
from app.api.reading import Input
from app.api.shapes import Commas
from app.db import Row
from app.jobs import document, queries
from app.polling.recent import Recent


class StatusQuery(Input):
    """How much of the log to send along."""

    logs: int = Field(
        0, ge=0, le=500, description="Newest log lines to send along, or the most after log_cursor."
    )
    log_cursor: int | None = Field(None, ge=0, le=FARTHEST_SEQ, description="Send lines after this one.")


class StatusesQuery(Input):
    """Which jobs."""

    ids: Annotated[list[UUID], Commas] = Field(
        min_length=1, max_length=MOST_AT_ONCE, description="Up to 100 ids."
    )


class StatusOut(JobBrief):
    """One of many jobs, with its own poll hint."""

    poll: PollHint
    links: dict[str, str]


class StatusesOut(BaseModel):
    """Many jobs at once; those that do not exist, or are not yours, are named in `not_found`."""

    jobs: list[StatusOut]
    tasks: list[StatusOut]
    not_found: list[str]
    poll: PollHint = Field(description="The soonest of all.")


# What a caller who asks too often gets again; a look at the job's version still comes before it.
_recent = Recent()


@op("GET", "/api/v1/jobs/<job_id>/status", verb="view_task", out=JobOut, errors=(404,), conditional=True)
def get_job_status(job_id: UUID, query: StatusQuery) -> Answer:
    """Poll a job: 304 while nothing changed; `poll.next_after_ms` says when to come back."""
    who, seen = current_principal(), seen_job(job_id, "view_task")
    lines = f".{query.logs}.{query.log_cursor}" if query.logs or query.log_cursor else ""
    tag = document.etag(seen, who, lines)
    key = (str(job_id), who.user_id, who.role, who.scopes, tag)
    return conditional.answer(
        tag,
        lambda: Fragment(
            _recent.answer(key, lambda: _document(job_id, who, query), seconds=pace().shortest / 1000)
        ),
        come_back(document.poll_hint(seen, pace())),
    )


@op("GET", "/api/v1/jobs/status", verb="view_task", out=StatusesOut, conditional=True)
def get_job_statuses(query: StatusesQuery) -> Answer:
    """Poll up to 100 jobs in one request, with one ETag for all of them."""
    who = current_principal()
    wanted = list(dict.fromkeys(str(each) for each in query.ids))
    rows = queries.some(wanted)
    seen = [
        rows[each] for each in wanted if each in rows and may(who, "view_task", rows[each]["submitted_by"])
    ]
    known = {row["job_id"] for row in seen}
    missing = [each for each in wanted if each not in known]
    tags = " ".join(f"{row['job_id']}{document.etag(row, who)}" for row in seen)
    tag = f'"{hashlib.sha256((tags + "|" + " ".join(missing)).encode()).hexdigest()[:24]}"'
    poll = _soonest(seen)
    return conditional.answer(tag, lambda: _statuses(seen, missing, who) | {"poll": poll}, come_back(poll))


def _document(job_id: UUID, who: Principal, query: StatusQuery) -> bytes:
    row = queries.get(str(job_id), full=True)
    return dumps(document.document(row, who, pace(), log_lines=query.logs, log_after=query.log_cursor))


def _statuses(rows: list[Row], missing: list[str], who: Principal) -> dict[str, Any]:
    shown = [
        document.brief(row, who)
        | {"poll": document.poll_hint(row, pace()), "links": document.links(row["job_id"])}
        for row in rows
    ]
    return {"jobs": shown, "tasks": shown, "not_found": missing}


def _soonest(rows: list[Row]) -> Row:
    """The hint of the job that is to be asked for first."""
    hints = [document.poll_hint(row, pace()) for row in rows]
    soonest = min((hint["next_after_ms"] for hint in hints if not hint["terminal"]), default=None)
    return {"next_after_ms": soonest, "terminal": soonest is None}
