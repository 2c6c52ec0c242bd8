"""What was answered a moment ago: who polls faster than it makes sense gets it again, and nobody is refused (POLL-09)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

LONGEST_SECONDS = 1.0


class Recent:
    """A small cache of answers for one process: bounded in entries, bytes and age."""

    def __init__(
        self, *, most: int = 256, largest: int = 65_536, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep at most `most` answers of at most `largest` bytes each."""
        self.most, self.largest, self.now = most, largest, now
        self._kept: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._lock = Lock()

    def answer(self, key: Hashable, make: Callable[[], bytes], *, seconds: float = LONGEST_SECONDS) -> bytes:
        """What is kept under `key` if it is younger than `seconds` (at most one), else what `make` makes."""
        asked_at = self.now()
        with self._lock:
            made_at, kept = self._kept.get(key, (float("-inf"), b""))
        if asked_at - made_at < min(seconds, LONGEST_SECONDS):
            return kept
        made = make()
        self._keep(key, asked_at, made)  # its age counts from before it was read
        return made

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def _keep(self, key: Hashable, made_at: float, made: bytes) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if len(made) <= self.largest:
                self._kept[key] = (made_at, made)
            while self._kept and (len(self._kept) > self.most or self._oldest() <= made_at - LONGEST_SECONDS):
                self._kept.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._kept.values()))[0]
