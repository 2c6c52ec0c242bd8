"""The sweeps in one list, for whoever does them: the scheduler by plan, a worker when no scheduler ticks."""

from __future__ import annotations

from collections.abc import Callable

from app.accounts import refresh
from app.db import db
from app.jobs import upkeep
from app.jobs.artifacts import Store
from app.jobs.lifecycle import promote
from app.observe import logs
from app.settings import Settings

log = logs.get("sweeps")

# One process sweeps at a time; the lock is the transaction's, so it also works behind a transaction pooler.
SWEEP_LOCK = 0x0CA11B0E
PURGE_LOCK = 0x0CA11B0F


def _alone(key: int, do: Callable[[], None]) -> bool:
    """Do it in one transaction, unless another process is at it; answers whether it was done."""
    with db.transaction():
        # Whoever is frozen in the middle must not hold the lock, and with it everybody's rescue, until it wakes.
        db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        if not db.value("SELECT pg_try_advisory_xact_lock(%(key)s)", key=key):
            return False
        do()
    return True


def call_due(_settings: Settings) -> None:
    """Every second: jobs whose time has come."""
    with db.quick():
        promote()


def sweep(settings: Settings) -> None:
    """Every few seconds: the tick, lost workers, lost bells, leaked slots."""

    def do() -> None:
        upkeep.tick(gap_seconds=3 * settings.sweep_interval_seconds)
        lost = upkeep.rescue_silent(
            lease_seconds=settings.lease_seconds,
            max_lost=settings.max_lost,
            backoff_seconds=settings.lost_backoff_seconds,
        )
        late = upkeep.ring_overdue(min(2.0, settings.sweep_interval_seconds))
        upkeep.trim_slots()
        if lost or late:
            log.info("sweep.found", lost_workers=lost, late_pools=late)

    _alone(SWEEP_LOCK, do)


def purge(settings: Settings) -> None:
    """Every hour: what is past its retention."""
    store = Store(settings.artifact_store)

    def do() -> None:
        gone = upkeep.purge(
            job_days=settings.job_retention_days,
            history_days=settings.history_retention_days,
            forget_files=store.remove_job,
        )
        refresh.prune()
        if gone:
            log.info("purge.done", jobs=gone)

    _alone(PURGE_LOCK, do)


def stand_in(settings: Settings) -> None:
    """Do the sweeps if nobody did for three intervals."""
    with db.quick():
        silent = db.value(
            "SELECT last_tick_at < clock_timestamp() - %(gap)s * interval '1 s' FROM upkeep",
            gap=3 * settings.sweep_interval_seconds,
        )
    if silent:
        log.info("sweep.stood_in")
        call_due(settings)
        sweep(settings)
