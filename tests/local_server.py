"""What local HTTP servers of tests share: a server that never holds up the end of a test, its thread, and silence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """One whose forgotten connections do not hold up the end of a test."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def at_work(server: Server) -> Iterator[None]:
    """The server answers in a thread of its own until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hold(connection: socket.socket, over: threading.Event) -> None:
    """Say nothing more until the test is over or the client has hung up."""
    connection.settimeout(0.1)
    while not over.is_set():
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
        except OSError:
            return
