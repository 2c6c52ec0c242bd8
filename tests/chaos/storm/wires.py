"""A wire between a process and its server that can be cut, stopped up, slowed down, or lose answers."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Literal, Self

Mood = Literal["well", "cut", "hole", "reply", "slow"]
LOOK_SECONDS = 0.2
CHUNK = 65536


class Wire:
    """Listens on a port of 127.0.0.1 and passes on to a Unix socket, as its mood allows.

    well    pass on
    cut     refuse and hang up
    hole    take everything, pass on nothing
    reply   pass on what is asked, and hang up instead of answering
    slow    answer `delay` seconds later
    """

    def __init__(self, target: str, delay: float = 0.1) -> None:
        """`target` is the path of the server's socket."""
        self.target, self.delay = target, delay
        self.mood: Mood = "well"
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._door.settimeout(LOOK_SECONDS)
        self.port: int = self._door.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, name="wire", daemon=True).start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        self._door.close()
        self._hang_up()

    def feel(self, mood: Mood) -> None:
        """Behave so from now on. What was in a hole when it closes is gone, as are its connections."""
        self.mood, before = mood, self.mood
        if mood == "cut" or (before == "hole" and mood != "hole"):
            self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _close(end)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._door.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.mood == "cut":
                _close(near)
                continue
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            _close(near)
            return
        with self._lock:
            self._open |= {near, far}
        asking = threading.Thread(target=self._pass_on, args=(near, far, False), daemon=True)
        asking.start()
        self._pass_on(far, near, True)
        asking.join()
        with self._lock:
            self._open -= {near, far}

    def _pass_on(self, source: socket.socket, sink: socket.socket, answering: bool) -> None:
        """Until one end hangs up; then hang up at both."""
        with suppress(OSError):
            while data := source.recv(CHUNK):
                while self.mood == "hole" and not self._over.is_set():
                    time.sleep(LOOK_SECONDS)
                if self.mood == "reply" and answering:
                    break
                if self.mood == "slow" and answering:
                    time.sleep(self.delay)
                sink.sendall(data)
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
