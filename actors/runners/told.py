"""Exceptions on their way between the process of an agent and its worker."""

from __future__ import annotations

import json
import traceback

from actors.runners.base import JSON
from app.errors import AttemptTimeout, JobError, NotPermitted, PermanentError, RateLimitError, TemporaryError

TRACEBACK_CHARS = 8_000
KINDS: dict[str, type[JobError]] = {
    kind.__name__: kind
    for kind in (RateLimitError, NotPermitted, PermanentError, AttemptTimeout, TemporaryError, JobError)
}


def described(error: BaseException) -> JSON:
    """An exception as JSON: a JobError with all it carries, anything else with its traceback."""
    if isinstance(error, JobError):
        details = json.loads(json.dumps(error.details, default=str))
        known: JSON = {"message": error.message, "retry_after": error.retry_after}
        known |= {"user_error": error.user_error, "details": details}
        return known | {"classes": [kind.__name__ for kind in type(error).__mro__]}
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_CHARS:]
    kind = type(error).__name__
    classes = ["OutOfMemory"] if isinstance(error, MemoryError) else []
    said = f"{kind}: {error}" if str(error) else kind
    return {"classes": classes, "message": said[:2000], "details": {"type": kind, "traceback": trace}}


def rebuilt(told: JSON, also: tuple[type[JobError], ...] = ()) -> JobError:
    """The exception that `described` described; `also` are further classes that it may be of."""
    known = {kind.__name__: kind for kind in also} | KINDS
    kind = next((known[name] for name in told["classes"] if name in known), TemporaryError)
    return kind(
        told["message"],
        retry_after=told.get("retry_after"),
        user_error=told.get("user_error", False),
        details=told["details"],
    )
