"""What follows when a job or a workflow is finished: the list is here, and every entry may be done again.

The worker that settled a job attends to it at once; what it leaves undone, because it died or because somebody else
finished the job, the sweep finds within a second. Nothing here can fail a job.
"""

from __future__ import annotations

from collections.abc import Callable

from actors import news
from app.db import AWAY, db
from app.jobs import delegation, followups
from app.jobs.claims import Claim
from app.observe import logs
from app.sessions import news as sessions
from app.workflows import progress

log = logs.get("followups")

Wake = Callable[[str], object]


def _job_settled(job_id: str) -> None:
    """Its run takes the next step; the job that delegated it goes on; those it delegated may end with it."""
    progress.job_settled(job_id)
    delegation.settled(job_id)


# First what goes on because of it, which may happen twice; then, once only, who is told.
GOES_ON: dict[str, Wake] = {"job": _job_settled, "workflow": progress.child_settled}
IS_TOLD: dict[str, tuple[Wake, ...]] = {
    "job": (sessions.job_settled, news.of_job),
    "workflow": (sessions.workflow_settled, news.of_workflow),
}


def of(claim: Claim) -> None:
    """What follows the job of a claim that was just settled; nothing if it goes on, or if nobody waits for it."""
    if claim.awaited:
        _attend("job", claim.job_id)


def attend(limit: int = 500) -> int:
    """Deal with what is due, oldest first; answers how many there were."""
    with db.quick():
        rows = followups.due(limit)
    for row in rows:
        _attend(row["subject_type"], row["subject_id"])
    return len(rows)


def _attend(subject_type: str, subject_id: str) -> None:
    try:
        with db.transaction():
            GOES_ON[subject_type](subject_id)
        with db.transaction():
            if followups.take(subject_type, subject_id):
                for tell in IS_TOLD[subject_type]:
                    tell(subject_id)
                followups.done(subject_type, subject_id)
    except AWAY as away:  # or a deadlock, or a time limit of Postgres: soon again, but not before all others
        log.warning("followup.waits", subject=subject_id, error=type(away).__name__)
        _put_off(subject_type, subject_id)
    except Exception:
        log.exception("followup.broken", kind=subject_type, subject=subject_id)
        _put_off(subject_type, subject_id)


def _put_off(subject_type: str, subject_id: str) -> None:
    try:
        with db.quick():
            followups.later(subject_type, subject_id)
    except AWAY as away:
        log.warning("followup.waits", subject=subject_id, error=type(away).__name__)
