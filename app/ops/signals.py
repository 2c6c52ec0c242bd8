"""SIGTERM, SIGINT and SIGHUP as one wish that is heard only at pauses, never in the middle of a step."""

from __future__ import annotations

import select
import signal
import socket
from contextlib import suppress


class StopAsked(Exception):
    """Somebody asked the process to end; not an error."""


class Signals:
    """Remembers the wish to stop, and wakes a pause early."""

    def __init__(self) -> None:
        """Handlers come with `install`."""
        self.asked = False
        self._wakes, self._woken = socket.socketpair()
        for end in (self._wakes, self._woken):
            end.setblocking(False)

    def install(self) -> None:
        """Take the signals over. A SIGHUP that `nohup` made ignored stays ignored."""
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake up
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._ask)

    def pause(self, seconds: float) -> None:
        """Sleep until a signal, at most `seconds`; raises StopAsked once somebody has asked."""
        if not self.asked:
            select.select([self._woken], [], [], seconds)
            with suppress(BlockingIOError):
                self._woken.recv(4096)
        if self.asked:
            raise StopAsked

    def _ask(self, *_: object) -> None:
        self.asked = True
