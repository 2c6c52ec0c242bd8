"""The watchdog of one attempt: alive is not the same as getting somewhere.

Whatever an agent says, and every token it is metered, moves the clock. A tool call in flight suspends it, because a
silent test run is not a stalled agent; one that never ends is ended by the job's time limit, which nothing suspends.
The same call again and again means going in circles. What follows is the definition's wish: off, warn, or enforce.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.agents.definition import Definition, Watch
from app.budgets.usage import Usage

REMEMBERED_CALLS = 10
LONGEST_LAST = 200


@dataclass(frozen=True)
class News:
    """The state of an attempt changed."""

    state: str
    """`ok`, `stalled` or `looping`."""
    since: datetime
    """Since when it is so; for `stalled` that is when it last moved."""
    last: str
    """What it said last."""
    message: str

    @property
    def level(self) -> str:
        """How loud to say it."""
        return "info" if self.state == "ok" else "warning"

    def as_json(self) -> dict[str, str]:
        """As the job row keeps it."""
        return {"state": self.state, "since": clock.iso(self.since) or "", "last": self.last}


class Watchdog:
    """Fed by the agent's threads, asked by the heartbeat."""

    def __init__(self, wish: Watch, monotonic: Callable[[], float] = time.monotonic) -> None:
        """The clock starts now; `monotonic` is another one in tests."""
        self.wish = wish
        self.stop: str | None = None
        """Why the attempt must end; None: it need not. Once said it is not taken back."""
        self._now = monotonic
        self._lock = threading.Lock()
        self._moved_at = monotonic()
        self._last = "started"
        self._flying: set[str] = set()
        self._metered: dict[str, Usage] = {}
        # More repeats than are usually remembered need a longer memory.
        self._calls: deque[str] = deque(maxlen=max(REMEMBERED_CALLS, wish.repeats))
        self._circle: tuple[str, str] | None = None
        self._state = "ok"

    def moved(self, what: str | None = None) -> None:
        """Something was said or made."""
        with self._lock:
            self._moved_at = self._now()
            if what:
                self._last = what[:LONGEST_LAST]

    def metered(self, usage: Usage) -> None:
        """A model call used something; saying the same again moves nothing."""
        with self._lock:
            if self._metered.get(usage.call_id) != usage:
                self._metered[usage.call_id] = usage
                self._moved_at = self._now()

    def tool_started(
        self, call_id: str, name: str, arguments: dict[str, Any] | str, summary: str = ""
    ) -> None:
        """A tool call begins: until it ends the clock stands still."""
        told = arguments if isinstance(arguments, str) else json.dumps(arguments, sort_keys=True, default=str)
        mark = hashlib.sha256(f"{name}\0{told}".encode(errors="replace")).hexdigest()
        with self._lock:
            self._moved_at = self._now()
            self._last = f"{name} {summary or told}"[:LONGEST_LAST]
            self._flying.add(call_id)
            self._calls.append(mark)
            if self._calls.count(mark) >= self.wish.repeats:
                self._circle = (mark, name)
            elif self._circle and self._calls.count(self._circle[0]) < self.wish.repeats:
                self._circle = None

    def tool_ended(self, call_id: str) -> None:
        """A tool call is over; when it was the last one in flight the clock goes on."""
        with self._lock:
            self._flying.discard(call_id)
            self._moved_at = self._now()

    def look(self) -> News | None:
        """What changed since the last look; None: nothing."""
        with self._lock:
            if self.stop:
                return None
            quiet = 0.0 if self._flying else self._now() - self._moved_at
            state = self._judge(quiet)
            if state == self._state:
                return None
            self._state = state
            message = self._words(state, quiet)
            if state != "ok" and self.wish.mode == "enforce":
                self.stop = message
            since = clock.now() - timedelta(seconds=quiet if state == "stalled" else 0)
            return News(state, since, self._last, message)

    def _judge(self, quiet: float) -> str:
        if self._circle:
            return "looping"
        return "stalled" if quiet >= self.wish.stall_seconds else "ok"

    def _words(self, state: str, quiet: float) -> str:
        if state == "looping" and self._circle:
            times, among = self._calls.count(self._circle[0]), len(self._calls)
            return f"going in circles: {times} of the last {among} tool calls were the same call of {self._circle[1]}"
        if state == "stalled":
            return f"no progress for {quiet:.0f} s (last: {self._last})"
        return "moving again"


def watchdog_for(definition: Definition) -> Watchdog | None:
    """The watchdog a definition asks for; None if it wants none."""
    wish = definition.ours.watchdog
    return None if wish.mode == "off" else Watchdog(wish)
