"""When to ask again: the server's hints while all is well, and the browser's patience while it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.client.calls import Away, CallFailed, backoff
from app.client.shapes import Job

FAILURES_THAT_OPEN = 5
OPEN_SECONDS = 15.0
USUAL_SECONDS = 2.0

Troubled = Callable[[CallFailed, float], None]


class StillRunning(TimeoutError):
    """The time to wait is over and the job is not; it goes on."""

    def __init__(self, jobs: list[Job]) -> None:
        """`jobs` are those that are not finished, as they were seen last."""
        super().__init__(
            f"still not finished: {', '.join(job.job_id for job in jobs) or 'nothing was seen yet'}"
        )
        self.jobs = jobs


@dataclass
class Trouble:
    """Failures in a row: they wait 1, 2, 4, 8 s; five open a breaker of 15 s, after which one call probes."""

    failures: int = 0

    @property
    def broken(self) -> bool:
        """The breaker is open: the next call only looks whether the server is back."""
        return self.failures >= FAILURES_THAT_OPEN

    def failed(self, failure: CallFailed) -> float:
        """Count `failure`; answers the seconds to wait. Raises it when waiting cannot mend it."""
        if not (isinstance(failure, Away) or failure.status in (408, 425, 429, 500)):
            raise failure
        self.failures += 1
        return OPEN_SECONDS if self.broken else max(failure.retry_after or 0.0, backoff(self.failures))

    def succeeded(self) -> None:
        """A good answer came."""
        self.failures = 0


class Deadline:
    """Until when to wait; None is for ever."""

    def __init__(self, seconds: float | None) -> None:
        """It begins now."""
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """The time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def cut(self, seconds: float) -> float:
        """`seconds`, or what is left."""
        return seconds if self._end is None else max(0.0, min(seconds, self._end - time.monotonic()))


def soon(milliseconds: int | None) -> float:
    """The server's hint in seconds."""
    return USUAL_SECONDS if milliseconds is None else milliseconds / 1000
