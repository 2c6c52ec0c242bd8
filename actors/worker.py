"""The worker: `dramatiq actors.worker`. Importing this module makes the broker that Dramatiq's command runs."""

from __future__ import annotations

import dramatiq

import app
from actors.broker import Bell
from actors.crew import make_worker
from actors.runners.privacy import hide_process
from app import settings as configuration
from app.observe import logs
from app.ops import counting


def _main() -> Bell:
    settings = configuration.load_or_exit()
    logs.configure(settings.log_level, settings.log_format, service="worker", version=app.__version__)
    logs.catch_the_rest()
    counting.begin(settings.home, "worker")
    hide_process()
    broker, _post = make_worker(settings)
    dramatiq.set_broker(broker)
    return broker


broker = _main()
