"""The app on a port of its own, for clients that need a socket: to be stopped, started again, and cut off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

Answered = Iterable[bytes]


class Served:
    """A server that can be away for a while, and can lose answers."""

    def __init__(self, app: Flask) -> None:
        """It runs from now on, always on the same port."""
        self.app = app
        self.asked: list[tuple[str, str, int]] = []
        """(method, path, status) of each request, in order."""
        self.lost = 0
        """So many of the next answers to writes are lost, after the work was done."""
        self.port = 0
        self._server: BaseWSGIServer | None = None
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve again."""
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Be away."""
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Answered:
        said: list[str] = []

        def told(status: str, *rest: Any) -> Any:
            said.append(status)
            return start_response(status, *rest)

        answer = self.app.wsgi_app(environ, told)
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], int(said[0].split()[0])))
        if environ["REQUEST_METHOD"] == "POST" and self.lost:
            self.lost -= 1
            b"".join(answer)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError("the answer is lost")
        return answer


@contextmanager
def served(app: Flask) -> Iterator[Served]:
    """The app on a port, until the block ends."""
    server = Served(app)
    try:
        yield server
    finally:
        server.stop()
