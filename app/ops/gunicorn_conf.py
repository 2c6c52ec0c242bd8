"""gunicorn, as far as it does not depend on the environment: the Procfile says the rest."""

from __future__ import annotations

import gc
from importlib import import_module

worker_class = "gthread"
# A worker that does not answer for so long is replaced; requests have their own, shorter limits.
timeout = 60
graceful_timeout = 20  # platforms kill 30 s after SIGTERM
keepalive = 75  # longer than any poll interval: pollers keep their connection
control_socket_disable = True  # it would write to the account's home
# One request is one line of our own log.
accesslog = None
loglevel = "warning"


def on_starting(_server: object) -> None:
    """Import in the master what every worker needs: they share its pages, and none imports it a second time.

    Only imports, not the app: connections, threads and random numbers must not be shared by a fork.
    """
    for name in ("app.api", "app.dashboard", "actors.broker", "flask_migrate"):
        import_module(name)
    gc.freeze()  # what is there now is not looked at again, so its pages stay shared
