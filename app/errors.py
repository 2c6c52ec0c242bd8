"""Everything that may go wrong on purpose, as one tree; the doors translate it in one place each.

CallboardError
├── NotFound        404  there is no such thing (or it is not yours to know of)
├── Invalid         422  the input cannot be accepted; `fields` says where
├── Malformed       400  the request cannot even be read
├── Forbidden       403  you are known, and may not do this
├── Unauthenticated 401  nobody is signed in
├── Conflict        409  not in this state; `allowed` says what is possible instead
├── TooMany         429  slow down; Locked says after how many seconds an account lets somebody try again
├── LostLease       409  another worker owns the attempt now
└── Unavailable     503  something we need is away; try again after `retry_after` seconds
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar


class CallboardError(Exception):
    """Something went wrong that the caller can act on."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None) -> None:
        """Keep `message`; without one the class's own first docstring line is the message."""
        self.message = str(message or (self.__doc__ or self.code).strip().splitlines()[0])
        super().__init__(self.message)


class NotFound(CallboardError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class AgentNotFound(NotFound):
    """There is no agent with this id; `GET /api/v1/agents` lists them."""

    code = "agent_not_found"
    status = 422  # the agent is named in the body: the address itself exists


class Malformed(CallboardError):
    """The request cannot be read."""

    code = "malformed"
    status = 400


class Invalid(CallboardError):
    """The input cannot be accepted.

    `fields` is a list of `(json_pointer, message)`: ("/parameters/path", "is required").
    """

    code = "invalid"
    status = 422

    def __init__(self, message: str | None = None, fields: list[tuple[str, str]] | None = None) -> None:
        """Keep the sentence and, for forms, which field each complaint belongs to."""
        super().__init__(message)
        self.fields = fields or []


class InvalidParameters(Invalid):
    """The parameters do not fit the agent's schema."""

    code = "invalid_parameters"


class Unauthenticated(CallboardError):
    """Sign in, or send an API key as `Authorization: Bearer ...`."""

    code = "unauthenticated"
    status = 401


class Forbidden(CallboardError):
    """Your role does not allow this."""

    code = "forbidden"
    status = 403


class Conflict(CallboardError):
    """This is not possible in the present state."""

    code = "conflict"
    status = 409

    def __init__(self, message: str | None = None, allowed: list[str] | None = None) -> None:
        """Keep the sentence and the actions that are possible now."""
        super().__init__(message)
        self.allowed = allowed or []


class LostLease(Conflict):
    """Another worker owns this attempt now; nothing was written."""

    code = "lost_lease"


class TooMany(CallboardError):
    """Too many requests; slow down."""

    code = "rate_limited"
    status = 429


def waiting(seconds: int) -> str:
    """How long somebody has to wait, in words: `40 seconds`, `2 minutes`."""
    number, unit = (seconds, "second") if seconds < 60 else (-(-seconds // 60), "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


class Locked(TooMany):
    """Too many wrong passwords; wait a little, or choose a new one by "Forgot your password?"."""

    code = "locked"

    def __init__(self, until: datetime, *, seconds: int, counted: bool) -> None:
        """`counted`: the password was looked at, and it was the one too many; else nobody looked at it."""
        super().__init__(f"Too many wrong passwords. Try again in {waiting(seconds)}.")
        self.until, self.retry_after, self.counted = until, seconds, counted


class Unavailable(CallboardError):
    """Something Callboard needs is away; try again."""

    code = "unavailable"
    status = 503

    def __init__(self, message: str | None = None, retry_after: int = 5) -> None:
        """Keep the sentence and after how many seconds to try again."""
        super().__init__(message)
        self.retry_after = retry_after


# What a runner raises. The class decides whether Callboard tries again.


class JobError(CallboardError):
    """The attempt failed."""

    code = "job_error"
    error_class: ClassVar[str] = "temporary"
    retryable: ClassVar[bool] = True

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        user_error: bool = False,
        details: dict[str, object] | None = None,
    ) -> None:
        """Keep what is needed to decide and to explain.

        `retry_after` is in seconds and wins over a shorter backoff; `user_error` marks failures
        that the submitter caused (left out of the dead-letter rate); `details` must be JSON.
        """
        super().__init__(message)
        self.retry_after = retry_after
        self.user_error = user_error
        given: object = details or {}
        self.details = details if isinstance(details, dict) else {"details": given} if given else {}


class TemporaryError(JobError):
    """The attempt failed in a way that may pass by itself."""

    code = "temporary_error"


class RateLimitError(JobError):
    """A service asked us to slow down (HTTP 429)."""

    code = "rate_limit_error"
    error_class = "rate_limit"


class PermanentError(JobError):
    """The attempt failed in a way that will not pass by itself."""

    code = "permanent_error"
    error_class = "permanent"
    retryable = False


class AttemptTimeout(JobError):
    """The attempt ran out of its time."""

    code = "timeout"
    error_class = "timeout"


class StoppedByBudget(PermanentError):
    """The job used all it may; what it had done until then is kept."""

    code = "stopped_budget"


class NotPermitted(PermanentError):
    """Somebody was asked whether the job may go on, and it may not."""

    code = "not_permitted"
    so_far: dict[str, Any] | None = None
    """The result as far as it was when they were asked."""


class Stalled(TemporaryError):
    """The job was alive and got nowhere: its watchdog stopped it."""

    code = "stalled"


class Held(Exception):
    """The attempt cannot go on for now through no fault of its own: hand it back, burn nothing.

    `reason` is `provider_open`, `budget` or `delegated`; `until` None means until somebody does something about it. With
    `agent_wide` no other job of the agent is tried before that either.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        until: datetime | None = None,
        agent_wide: bool = False,
        subject: str = "",
    ) -> None:
        """`subject` names the budget or the provider that holds it."""
        super().__init__(message)
        self.reason, self.message, self.until = reason, message, until
        self.agent_wide, self.subject = agent_wide, subject


class WaitsForJobs(Held):
    """The attempt waits for jobs it delegated, none of which runs: hand its place back until one of them ends."""

    def __init__(self, message: str, job_ids: list[str]) -> None:
        """`job_ids` are those that still live."""
        super().__init__("delegated", message)
        self.job_ids = job_ids


class Asked(Exception):
    """The attempt asks a person and ends here; a later one goes on when there is an answer.

    `question` is what app.approvals.asking.Question takes besides the job's own facts.
    """

    def __init__(self, question: dict[str, Any]) -> None:
        """Nothing is asked yet: whoever settles the attempt puts the question in the same transaction."""
        super().__init__(str(question.get("question", "")))
        self.question = question


class Cancelled(Exception):
    """The runner stopped at a checkpoint because somebody asked for it; not an error."""


class Released(Exception):
    """The runner stopped because the worker is shutting down; the attempt is handed back uncounted."""
