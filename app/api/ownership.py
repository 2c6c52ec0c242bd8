"""Whether the caller may do this to that very job."""

from __future__ import annotations

from uuid import UUID

from app.accounts.permissions import demand
from app.api.auth import current_principal
from app.db import Row
from app.errors import NotFound
from app.jobs import queries


def demand_job(job_id: UUID, verb: str) -> str:
    """The job's id as text, if it exists and the caller may `verb` it."""
    seen_job(job_id, verb)
    return str(job_id)


def seen_job(job_id: UUID, verb: str) -> Row:
    """What decides about a 304 (queries.version), if the caller may `verb` the job.

    The same NotFound for what is not there and for what is somebody else's.
    """
    nothing = NotFound(f"There is no job {job_id}.")
    seen = queries.version(str(job_id))
    if seen is None:
        raise nothing
    try:
        demand(current_principal(), verb, seen["submitted_by"])
    except NotFound:
        raise nothing from None
    return seen
