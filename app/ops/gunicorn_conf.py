"""gunicorn, as far as it does not depend on the environment: the Procfile says the rest."""

from __future__ import annotations

import gc
import resource
import socket
from contextlib import suppress
from importlib import import_module
from typing import Any

from gunicorn.glogging import Logger

from app import settings as configuration
from app.observe import logs
from app.ops import counting
from app.secrets import known

worker_class = "gthread"
preload_app = (
    True  # made once, and its pages are shared; it opens no connection before it is asked for something
)
# A worker that does not answer for so long is replaced; requests have their own, shorter limits.
timeout = 60
graceful_timeout = 20  # platforms kill 30 s after SIGTERM
keepalive = 75  # longer than any poll interval: pollers keep their connection
# An open page keeps a connection, a browser that begins up to six: as many as there may be open files.
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = 16_384 if _most_files == resource.RLIM_INFINITY else min(16_384, _most_files)
resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _most_files))
worker_connections = max(100, _files - 300)  # some are for Postgres, Redis, logs and artifacts
limit_request_line = 8190  # a look names the address of each region, with all its filters
control_socket_disable = True  # it would write to the account's home
SILENT_SECONDS = 30
# One request is one line of our own log (app/api/answered.py).
accesslog = None
loglevel = "warning"


class logger_class(Logger):  # noqa: N801 - gunicorn's name for it
    """What gunicorn says goes into our log."""

    def setup(self, cfg: Any) -> None:
        """Leave it to the root logger, which `on_starting` sets up."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def on_starting(_server: object) -> None:
    """Set the log up before anything is said."""
    settings = configuration.load_or_exit()
    logs.configure(
        settings.log_level, settings.log_format, service="web", version=import_module("app").__version__
    )
    logs.catch_the_rest()


def pre_fork(_server: object, _worker: object) -> None:
    """What is there now is not looked at again by any garbage collection, so its pages stay shared."""
    gc.freeze()


def post_fork(_server: object, _worker: object) -> None:
    """Give the process what it must not share: the app was made before it, without connections and threads."""
    import_module("app").begin_serving(configuration.load_or_exit())


def post_worker_init(_worker: object) -> None:
    """Say in the log if secrets in the database cannot be opened here."""
    known.tell()


def child_exit(_server: object, _worker: object) -> None:
    """Keep what a worker counted that ended, however it ended."""
    counting.ended(configuration.load_or_exit().home)


def when_ready(server: Any) -> None:
    """Have the kernel keep a new connection until it says something.

    gunicorn would have a thread wait for it, five seconds at most; browsers open connections in advance that may
    never be used, and a few of them would hold up everybody. Only Linux can do that.
    """
    for listener in server.LISTENERS:
        with suppress(AttributeError, OSError):  # another system; a listener that is no TCP
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENT_SECONDS)
