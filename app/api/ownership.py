"""Whether the caller may do this to that very job or run."""

from __future__ import annotations

from uuid import UUID

from app.accounts.permissions import demand
from app.api.auth import current_principal
from app.db import Row
from app.errors import NotFound
from app.jobs import queries
from app.workflows import queries as workflows


def demand_job(job_id: UUID, verb: str) -> str:
    """The job's id as text, if it exists and the caller may `verb` it."""
    seen_job(job_id, verb)
    return str(job_id)


def seen_job(job_id: UUID, verb: str) -> Row:
    """What decides about a 304 (queries.version), if the caller may `verb` the job."""
    return _seen(queries.version(str(job_id)), verb, f"There is no job {job_id}.")


def seen_workflow(workflow_id: UUID, verb: str) -> Row:
    """What decides about a 304 (queries.version), if the caller may `verb` the run."""
    return _seen(workflows.version(str(workflow_id)), verb, f"There is no workflow {workflow_id}.")


def _seen(found: Row | None, verb: str, nothing: str) -> Row:
    """The same NotFound for what is not there and for what is somebody else's."""
    if found is None:
        raise NotFound(nothing)
    try:
        demand(current_principal(), verb, found["submitted_by"])
    except NotFound:
        raise NotFound(nothing) from None
    return found
