"""The worker: `dramatiq actors.worker`. Importing this module makes the broker that Dramatiq's command runs."""

from __future__ import annotations

import dramatiq

from actors.broker import Bell
from actors.crew import make_worker
from actors.runners.privacy import hide_process
from app import settings as configuration
from app.observe import logs


def _main() -> Bell:
    settings = configuration.load()
    logs.configure(settings.log_level, settings.log_format)
    hide_process()
    broker, _post = make_worker(settings)
    dramatiq.set_broker(broker)
    return broker


broker = _main()
