"""The scheduler: `python -m actors.clockwork`. APScheduler only ticks; what is due stands in Postgres.

Any number of these may run: each tick is idempotent and one process does it at a time. A tick that fails is logged
and tried again at the next; the process goes on while Postgres is away.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from apscheduler.schedulers.blocking import BlockingScheduler

from actors import sweeps
from actors.broker import make_ringer
from actors.runners.privacy import hide_process
from app import settings as configuration
from app.db import AWAY, db, make_engine
from app.jobs import dispatch
from app.observe import logs

log = logs.get("clockwork")


def guarded(name: str, do: Callable[[], None]) -> Callable[[], None]:
    """`do`, with every failure logged: an exception must never end the ticking."""

    def tick() -> None:
        try:
            do()
        except AWAY as away:
            log.warning("tick.missed", tick=name, error=type(away).__name__)
        except Exception:
            log.exception("tick.broken", tick=name)

    return tick


def make_scheduler(settings: configuration.Settings) -> BlockingScheduler:
    """The ticks of this process; a late tick runs once, however many were missed."""
    scheduler = BlockingScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    for name, do, seconds in (
        ("call_due", sweeps.call_due, 1.0),
        ("sweep", sweeps.sweep, settings.sweep_interval_seconds),
        ("purge", sweeps.purge, 3600.0),
    ):
        scheduler.add_job(guarded(name, lambda do=do: do(settings)), "interval", seconds=seconds, id=name)  # type: ignore[misc]
    return scheduler


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = configuration.load()
    logs.configure(settings.log_level, settings.log_format)
    hide_process()
    db.open(make_engine(settings.database_url, pool_size=2, max_overflow=4, name="callboard-scheduler"))
    dispatch.use(make_ringer(settings.redis_url).ring)
    scheduler = make_scheduler(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.shutdown(wait=False))
    log.info("clockwork.started")
    scheduler.start()


if __name__ == "__main__":
    main()
