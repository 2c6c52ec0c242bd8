"""A failed attempt: ask whether it is tried again, and if so write when."""

from __future__ import annotations

import random
from typing import Any

import dramatiq

from actors.execute import AttemptFailed, quickly, settle
from app.errors import LostLease
from app.jobs import lifecycle, retries
from app.observe import logs

log = logs.get("retry")


class Retry(dramatiq.Middleware):
    """First to hear of a failure (last in the list)."""

    @property
    def actor_options(self) -> set[str]:
        """`throws`: what Dramatiq need not log with a traceback."""
        return {"throws"}

    def after_process_message(
        self, _broker: Any, _message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Write the next attempt's time, unless there will be none."""
        if isinstance(exception, AttemptFailed):
            decide(exception)


def decide(failed: AttemptFailed) -> None:
    """Call `lifecycle.retry_later` if the policy says so; leaves the rest to the dead letters."""
    claim, error = failed.claim, failed.error
    delay = retries.delay_seconds(policy(failed), claim.retry_count + 1, error, random.random())  # noqa: S311
    if delay is None:
        return
    failed.settled = True
    try:
        settle(failed.post, claim, quickly(lambda: lifecycle.retry_later(claim, error, delay, failed.trace)))
    except LostLease:
        log.warning("attempt.lost", job_id=claim.job_id, attempt=claim.fence)
    else:
        log.info(
            "attempt.retry",
            job_id=claim.job_id,
            attempt=claim.fence,
            error=error.code,
            seconds=round(delay, 1),
        )


def policy(failed: AttemptFailed) -> retries.Policy:
    """The agent's retry settings with the job's own on top."""
    ours = failed.definition.ours.retry if failed.definition else None
    return retries.Policy(
        strategy=failed.claim.options.get("retry_strategy") or (ours.strategy if ours else "exponential"),
        max_retries=failed.claim.max_retries,
        base_seconds=failed.claim.options.get("base_seconds") or (ours.base_seconds if ours else None),
    )
