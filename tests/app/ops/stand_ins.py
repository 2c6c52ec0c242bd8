"""Small processes that behave like web, worker, scheduler and release, for tests of the supervisor.

Run as `python -m tests.app.ops.stand_ins NAME`; the worker, like dramatiq's, has a second process
that outlives its master and stops on SIGTERM.
"""

from __future__ import annotations

import http.server
import os
import signal
import sys
import threading
from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    """Answers every GET with 200."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def web() -> None:
    """Listen on PORT."""
    address = (os.environ["CALLBOARD_HOST"], int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Health).serve_forever()


def worker() -> None:
    """Two processes in one group."""
    second = os.fork()
    if second == 0:
        wait_for_end()
    unfinished = Path(os.environ["CALLBOARD_HOME"]) / "second_worker.new"
    unfinished.write_text(str(second))
    unfinished.rename(unfinished.with_suffix(".pid"))
    signal.signal(
        signal.SIGTERM, lambda *_: (os.kill(second, signal.SIGTERM), os.waitpid(second, 0), os._exit(0))
    )
    wait_for_end()


def scheduler() -> None:
    """Say something grave, and wait."""
    print("ERROR the clock is late", flush=True)
    wait_for_end()


def deaf() -> None:
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ERROR not listening any more", flush=True)
    wait_for_end()


def release() -> None:
    """Make a table. Imports only here: the others are to start at once."""
    import psycopg2

    with (
        psycopg2.connect(os.environ["DATABASE_URL"].replace("+psycopg2", "")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
    print("the password is sesame")


def broken() -> None:
    """Fail with a reason."""
    sys.exit("the schema is upside down")


def wait_for_end() -> None:
    """Wait for a signal that ends the process."""
    threading.Event().wait()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
