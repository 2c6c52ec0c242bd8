"""To which jobs and sessions the token of a running job reaches: its own tree, and the session it works for."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.accounts import permissions
from app.accounts.permissions import Principal
from app.errors import Forbidden, NotFound
from app.jobs import delegation

CANCELS = frozenset({"cancel_job", "cancel_job_by_post"})


def demand(principal: Principal, operation: str, path: Mapping[str, str]) -> None:
    """Raise unless a running job may do this there; whoever asks in another way is let by at once.

    Forbidden for what its token is not good for, NotFound for what is not its own.
    """
    if principal.job_id is None:
        return
    permissions.demand_operation(principal, operation)
    job_id, session_id = path.get("job_id"), path.get("session_id")
    if job_id is not None:
        _demand_job(principal.job_id, job_id, operation)
    if session_id is not None and session_id != delegation.session_of(principal.job_id):
        raise NotFound(f"there is no session {session_id[:100]}")


def _demand_job(own: str, job_id: str, operation: str) -> None:
    if job_id.lower() == own and operation in CANCELS:
        raise Forbidden(
            "A job does not cancel itself by its token: let its agent end, with an error if it failed."
        )
    if not _is_uuid(job_id) or not delegation.is_within(job_id, own):
        raise NotFound(f"There is no job {job_id[:100]}.")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
