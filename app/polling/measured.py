"""What this process measures of the polls it answers: counted here, and written down every few seconds.

Counting costs no query: a poll is cheap, and stays so. Whoever answers calls `note`, and `flush` when it is `due`,
after the answer has gone out. What cannot be written waits for the next time, for some minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from app.polling import minutes
from app.polling.minutes import Tally

FLUSH_SECONDS = 10.0
MOST_MINUTES = 10
UNCHANGED = 304


class Measured:
    """The counters of one process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Nothing is counted yet; `now` is in seconds since 1970."""
        self._now = now
        self._lock = Lock()
        self._tallies: dict[int, Tally] = {}
        self._flushed_at = now()

    def note(
        self, ms: float, status: int, *, queries: int = 0, query_ms: float = 0.0, query_most_ms: float = 0.0
    ) -> None:
        """Count one poll by its time and HTTP status; what the server could not answer (5xx) is a failure."""
        minute = int(self._now() // 60)
        with self._lock:
            tally = self._tallies.setdefault(minute, Tally())
            tally.poll(ms, unchanged=status == UNCHANGED, failed=status >= 500)
            tally.asked(queries, query_ms, query_most_ms)

    def due(self) -> bool:
        """Whether it is time to write down what was counted; says so to one caller only."""
        with self._lock:
            if not self._tallies or self._now() - self._flushed_at < FLUSH_SECONDS:
                return False
            self._flushed_at = self._now()
            return True

    def flush(self) -> None:
        """Write down what was counted, in one statement; if that fails it is kept for the next time, and raised."""
        with self._lock:
            taken, self._tallies = self._tallies, {}
        try:
            minutes.keep("server", taken)
        except Exception:
            self._put_back(taken)
            raise

    def _put_back(self, taken: dict[int, Tally]) -> None:
        oldest = int(self._now() // 60) - MOST_MINUTES
        with self._lock:
            for minute, tally in taken.items():
                if minute > oldest:
                    self._tallies.setdefault(minute, Tally()).add(tally)


_here = Measured()
note = _here.note
due = _here.due
flush = _here.flush
