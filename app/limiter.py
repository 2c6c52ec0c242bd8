"""Flask-Limiter for processes with threads: what several requests find out at once is no error."""

from __future__ import annotations

import flask_limiter
from flask import Response, request
from flask_limiter import RateLimitExceeded
from redis import RedisError

FORGOT_ADDRESS, FORGOT_NAME = "10 per minute;30 per hour", "5 per hour"
"""Links to choose a password, asked for from one address, and for one name: by page and by API together."""


class Limiter(flask_limiter.Limiter):
    """Counts in memory while Redis is away, also for requests that were under way when it went.

    The library lets only the first one of them fall back, and fails the others with what Redis said; and it fails
    each of which it counts the answer (a refused sign-in) if Redis went between question and answer.
    """

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RateLimitExceeded:
            raise
        except Exception:
            if not self._storage_dead:
                raise
            self.context.seen_limits.clear()
            super()._check_request_limit(callable_name, in_middleware)

    def _Limiter__check_conditional_deductions(self, response: Response) -> None:  # noqa: N802
        # Private to the library's class, which has the same name as this one: it counts by the answer.
        try:
            super()._Limiter__check_conditional_deductions(response)  # type: ignore[misc]
        except RedisError:
            self._storage_dead = True
            super()._Limiter__check_conditional_deductions(response)  # type: ignore[misc]


def storage_uri(redis_url: str) -> str:
    """Where limits are counted, as the library says it: in `redis_url`; in memory where that is empty."""
    if not redis_url:
        return "memory://"
    return "redis+" + redis_url if redis_url.startswith("unix://") else redis_url


def _address() -> str:
    return request.remote_addr or "nowhere"


limiter = Limiter(
    key_func=_address, key_prefix="callboard", in_memory_fallback_enabled=True, strategy="fixed-window"
)
"""The one of both doors: it looks at every answer, and two would look twice."""
