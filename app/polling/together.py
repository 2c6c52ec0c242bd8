"""Reading for many at once: of a thousand who watch a thousand rows, one asks the database, a few times a second.

Who watches asks again and again for the same few columns of the same row, nearly always to hear that they are as they
were. A statement for each of them is most of what such a poll costs. Here the first who finds what is known too old
asks what changed, of all rows that somebody asked for lately, by one statement.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from app.db import Row

INTEREST_SECONDS = 12.0
"""Who did not ask for so long has left: a page asks every ten seconds at least."""
MOST_AT_ONCE = 2_000
MOST_KEPT = 20_000
PATIENCE_SECONDS = 0.05
"""So long one waits for another's statement; then one asks alone, for that statement may be in trouble."""
UNKNOWN = -1
"""The version of a row that was not read yet."""

Changes = dict[str, Row | None]
"""The rows that have another version than one has, by id; None: there is no such row."""


@dataclass(slots=True)
class _Known:
    row: Row
    read_at: float
    asked_at: float


class Together:
    """What one process knows of rows that are being watched, by id; each has a `version`."""

    def __init__(
        self, changes: Callable[[dict[str, int]], Changes], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`changes` says by one statement which of the rows with these versions have another one by now."""
        self._changes, self._now = changes, now
        self._known: dict[str, _Known] = {}
        self._lock = Lock()
        self._reading = Lock()

    def look(self, key: str, seconds: float) -> Row | None:
        """The row as it was within the last `seconds`; None if there is none."""
        if young := self._young(key, seconds):
            return young
        is_ours = self._reading.acquire(timeout=PATIENCE_SECONDS)
        try:
            if young := self._young(key, seconds):  # another thread has just read it
                return young
            return self._fetch(key, self._old(key, seconds) if is_ours else self._versions([key]))
        finally:
            if is_ours:
                self._reading.release()

    def forget(self) -> None:
        """Read everything anew."""
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        """How many rows are watched."""
        return len(self._known)

    def _young(self, key: str, seconds: float) -> Row | None:
        now = self._now()
        with self._lock:
            known = self._known.get(key)
            if known is None:
                return None
            known.asked_at = now
            return known.row if now - known.read_at <= seconds else None

    def _versions(self, keys: list[str]) -> dict[str, int]:
        with self._lock:
            return {key: self._known[key].row["version"] if key in self._known else UNKNOWN for key in keys}

    def _old(self, key: str, seconds: float) -> dict[str, int]:
        """`key`, and what else somebody may ask for soon, with their versions; who left is forgotten."""
        now, wanted = self._now(), {key: UNKNOWN}
        with self._lock:
            for each, known in list(self._known.items()):
                if now - known.asked_at > INTEREST_SECONDS:
                    del self._known[each]
                elif each == key or (now - known.read_at > seconds / 2 and len(wanted) < MOST_AT_ONCE):
                    wanted[each] = known.row["version"]
        return wanted

    def _fetch(self, key: str, wanted: dict[str, int]) -> Row | None:
        read_at = self._now()  # their age counts from before they were read
        changes = self._changes(wanted)
        with self._lock:
            for each in wanted:
                known = self._known.get(each)
                row = changes.get(each, known.row if known else None)
                if row is None:
                    self._known.pop(each, None)
                elif known is not None:
                    known.row, known.read_at = row, read_at
                elif len(self._known) < MOST_KEPT:
                    self._known[each] = _Known(row, read_at, read_at)
            found = self._known.get(key)
        return found.row if found else changes.get(key)
