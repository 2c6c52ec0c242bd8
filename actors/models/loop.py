"""One event loop in a thread of its own, for everything asynchronous of this process.

Clients of models belong to the loop on which they were made, and an exception thrown into a thread that waits on
the network arrives when the network does. So coroutines run here, and the threads that want them wait in short steps.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.1
FAREWELL_SECONDS = 10.0  # what a cancelled coroutine has to tidy up; an MCP server may take 4 s to be killed

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process; the first call starts its thread, also after a fork."""
    with _lock:
        if os.getpid() not in _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, daemon=True, name="models").start()
            _loops[os.getpid()] = loop
        return _loops[os.getpid()]


class Errand(Generic[T]):
    """A coroutine on its way on the loop."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        """Start it."""
        self._over = threading.Event()
        self._loop = running_loop()
        self._loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(lambda _: self._over.set())

    def _stop(self) -> None:
        self._task.cancel()

    @property
    def over(self) -> bool:
        """It has ended, however."""
        return self._over.is_set()

    def ended_within(self, seconds: float) -> bool:
        """Whether it ends by itself in that time."""
        return self._over.wait(seconds)

    def wait(self, patrol: Callable[[], object]) -> T:
        """What it answers or raises; `patrol` is called ten times a second, and if it raises the errand is cancelled."""
        try:
            while not self._over.wait(SLICE_SECONDS):
                patrol()
        except BaseException:
            self.cancel()
            raise
        return self._task.result()

    def cancel(self) -> None:
        """End it, and wait until it has tidied up."""
        self._loop.call_soon_threadsafe(self._stop)
        self._over.wait(FAREWELL_SECONDS)


def run(work: Coroutine[Any, Any, T], patrol: Callable[[], object]) -> T:
    """Run a coroutine from a thread; see `Errand.wait`."""
    return Errand(work).wait(patrol)
