"""The scheduler: `python -m actors.clockwork`. APScheduler only ticks; what is due stands in Postgres.

Any number of these may run: each tick is idempotent and one process does it at a time. A tick that fails is logged
and tried again at the next; the process goes on while Postgres is away.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from datetime import timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

import app
from actors import auditor, bulk, scaler, sweeps
from actors.broker import make_ringer
from actors.delivery import Courier
from actors.runners.privacy import hide_process
from app import clock
from app import settings as configuration
from app.db import AWAY, db, make_engine
from app.jobs import dispatch
from app.observe import logs, tracing
from app.ops import counting
from app.ops.backups import upkeep as backing_up
from app.ops.backups.plan import plan_of
from app.ops.doctor import at_start
from app.secrets import known

log = logs.get("clockwork")

A_MOMENT = timedelta(milliseconds=15)
ROLL_UP_SECONDS = 20.0
BACKUP_SECONDS = 10.0


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
    """The ticks of this process; a late tick runs once, however many were missed.

    Schedules have a thread to themselves, so that no sweep delays them, and tick just after each whole and half
    second: times of cron are whole minutes.
    """
    # That a tick is left out while the one before it is at work is as it should be, and no news.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    scheduler = BlockingScheduler(
        timezone="UTC",
        executors={
            "default": ThreadPoolExecutor(10),
            "schedules": ThreadPoolExecutor(1),
            "backups": ThreadPoolExecutor(1),
        },
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    scheduler.add_job(
        guarded("schedules", lambda: sweeps.fire_schedules(settings)),
        "interval",
        seconds=0.5,
        start_date=clock.now().replace(microsecond=0) + A_MOMENT,
        id="schedules",
        executor="schedules",
    )
    backups = plan_of(settings)
    scheduler.add_job(  # alone on its thread: it may take an hour
        guarded("backups", lambda: backing_up.tick(backups)),
        "interval",
        seconds=BACKUP_SECONDS,
        id="backups",
        executor="backups",
    )
    scheduler.add_job(guarded("bulk", bulk.tick), "interval", seconds=0.5, id="bulk")
    for name, do, seconds in (
        ("call_due", sweeps.call_due, 1.0),
        ("sweep", sweeps.sweep, settings.sweep_interval_seconds),
        ("roll_up", sweeps.roll_up, ROLL_UP_SECONDS),
        ("scale", scaler.scale, settings.sweep_interval_seconds),
        ("watch", sweeps.watch, settings.alert_interval_seconds),
        ("purge", sweeps.purge, 3600.0),
        ("seal_audit", auditor.seal, auditor.SEAL_SECONDS),
        ("look_at_audit", auditor.look, auditor.LOOK_SECONDS),
    ):
        scheduler.add_job(guarded(name, lambda do=do: do(settings)), "interval", seconds=seconds, id=name)  # type: ignore[misc]
    return scheduler


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = configuration.load_or_exit()
    logs.configure(settings.log_level, settings.log_format, service="scheduler", version=app.__version__)
    logs.catch_the_rest()
    counting.begin(settings.home, "scheduler")
    hide_process()
    db.open(make_engine(settings.database_url, pool_size=4, max_overflow=6, name="callboard-scheduler"))
    dispatch.use(make_ringer(settings.redis_url).ring)
    app.seal_by(settings)
    app.tell_by(settings)
    tracing.start(settings.traces, role="scheduler", release=app.__version__)
    at_start.tell(settings)
    known.tell()
    scheduler = make_scheduler(settings)
    courier = Courier(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.shutdown(wait=False))
    log.info("clockwork.started")
    courier.start()
    scheduler.start()
    courier.stop()
    tracing.stop()


if __name__ == "__main__":
    main()
