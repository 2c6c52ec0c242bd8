"""gunicorn, as far as it does not depend on the environment: the Procfile says the rest."""

from __future__ import annotations

worker_class = "gthread"
# A worker that does not answer for so long is replaced; requests have their own, shorter limits.
timeout = 60
graceful_timeout = 20  # platforms kill 30 s after SIGTERM
keepalive = 75  # longer than any poll interval: pollers keep their connection
control_socket_disable = True  # it would write to the account's home
# One request is one line of our own log.
accesslog = None
loglevel = "warning"
