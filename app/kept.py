"""Answers that all callers of a process share for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any


class Kept:
    """Answers by key, each as old as `seconds` at most; beyond `most` of them all are forgotten."""

    def __init__(self, seconds: float, most: int) -> None:
        """Nothing is kept yet."""
        self._seconds, self._most = seconds, most
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._lock = Lock()

    def answer(self, key: Hashable, make: Callable[[], Any], *, fresh: bool = False) -> Any:
        """What is kept under `key`, or what `make` says now; always that if `fresh`, for the next who ask too."""
        young, answer = self._look(key)
        if young and not fresh:
            return answer
        answer = make()
        with self._lock:
            if len(self._answers) >= self._most:
                self._answers.clear()
            self._answers[key] = (time.monotonic(), answer)
        return answer

    def known(self, key: Hashable) -> Any:
        """What is kept under `key` and young enough; None if there is nothing."""
        young, answer = self._look(key)
        return answer if young else None

    def _look(self, key: Hashable) -> tuple[bool, Any]:
        """Whether something young enough is kept under `key`, and what."""
        with self._lock:
            made_at, answer = self._answers.get(key, (float("-inf"), None))
        return time.monotonic() - made_at <= self._seconds, answer

    def forget(self) -> None:
        """Make every answer anew."""
        with self._lock:
            self._answers.clear()
