"""A failed attempt that is not tried again: the job ends failed, with its dead letter."""

from __future__ import annotations

from typing import Any

import dramatiq

from actors import followups
from actors.execute import AttemptFailed, quickly, settle
from app.errors import LostLease, NotPermitted, Stalled, StoppedByBudget
from app.jobs import lifecycle
from app.jobs.states import Reason
from app.observe import logs

log = logs.get("dead_letter")


class DeadLetters(dramatiq.Middleware):
    """Hears of a failure after Retry."""

    def after_process_message(
        self, _broker: Any, _message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Bury what Retry did not take."""
        if isinstance(exception, AttemptFailed) and not exception.settled:
            bury(exception)


def bury(failed: AttemptFailed) -> None:
    """Call `lifecycle.fail`: status and dead letter in one transaction."""
    claim, error = failed.claim, failed.error
    failed.settled = True
    try:
        settle(failed.post, claim, quickly(lambda: _fail(failed)))
    except LostLease:
        log.warning("attempt.lost", job_id=claim.job_id, attempt=claim.fence)
    else:
        log.warning(
            "job.failed",
            job_id=claim.job_id,
            agent_id=claim.agent_id,
            error=error.code,
            reason=_reason(failed).value,
        )
        followups.of(claim)


def _fail(failed: AttemptFailed) -> None:
    lifecycle.fail(failed.claim, failed.error, _reason(failed), failed.trace, partial=failed.partial)


def _reason(failed: AttemptFailed) -> Reason:
    if isinstance(failed.error, StoppedByBudget):
        return Reason.STOPPED_BUDGET
    if isinstance(failed.error, NotPermitted):
        return Reason.NOT_PERMITTED
    if isinstance(failed.error, Stalled):
        return Reason.STALLED
    return Reason.EXHAUSTED if failed.error.retryable else Reason.PERMANENT
