"""Whether and when a failed attempt is tried again: arithmetic only, no clock, no database."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import JobError

# RETRY-01 and C8: 1, 4, 16 s; the documents' 60 s is the delay of `fixed`.
BASE_SECONDS = {"exponential": 1.0, "linear": 1.0, "fixed": 60.0}
FACTOR = 4
LONGEST_SECONDS = 3600.0
LONGEST_WISH = 31 * 86_400.0
JITTER = 0.1


@dataclass(frozen=True)
class Policy:
    """How an agent's or a job's failures are retried."""

    strategy: str = "exponential"
    max_retries: int = 3
    base_seconds: float | None = None
    """None: the strategy's own."""


def delay_seconds(policy: Policy, retry_number: int, error: JobError, chance: float = 0.5) -> float | None:
    """Seconds to wait before retry `retry_number` (1 = the first), or None for "do not try again".

    `chance` in 0..1 spreads retries by ±10 % so that a crowd does not come back as one. A longer
    `retry_after` of the error wins over the backoff; a shorter one does not.
    """
    if not error.retryable or retry_number > policy.max_retries:
        return None
    base = policy.base_seconds if policy.base_seconds is not None else BASE_SECONDS[policy.strategy]
    steps: dict[str, float] = {
        "exponential": FACTOR ** (retry_number - 1),
        "linear": retry_number,
        "fixed": 1,
    }
    waited = min(LONGEST_SECONDS, base * steps[policy.strategy])
    spread = waited * (1 + JITTER * (2 * chance - 1))
    return max(spread, _wished(error.retry_after))


def _wished(seconds: object) -> float:
    """How long an error asks to wait: a month at most, and nothing for what makes no sense (agents write it)."""
    try:
        return max(0.0, min(float(seconds), LONGEST_WISH))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
