"""The sweeps in one list, for whoever does them: the scheduler by plan, a worker when no scheduler ticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from actors import auditor, bulk, followups, news
from app.accounts import links as account_links
from app.accounts import lockout, logins, refresh
from app.agents import registry
from app.alerts import measures, watching
from app.alerts import queries as alerts
from app.approvals import answering, links
from app.approvals import queries as approvals
from app.audit import retention
from app.budgets import changes, limits
from app.budgets.changes import Kept
from app.db import AWAY, db
from app.errors import NotFound
from app.hooks import keeping
from app.jobs import pruning, rollups, spending, upkeep
from app.jobs.artifacts import Store
from app.jobs.lifecycle import promote
from app.notify import deliveries
from app.observe import logs
from app.ops.backups.plan import plan_of
from app.polling import minutes
from app.providers import pools
from app.schedules import due, queries
from app.sessions import changes as sessions
from app.settings import Settings
from app.workflows import asking, runs

log = logs.get("sweeps")

# One process sweeps at a time; the lock is the transaction's, so it also works behind a transaction pooler.
SWEEP_LOCK = 0x0CA11B0E
PURGE_LOCK = 0x0CA11B0F
PURGE_SECONDS = 120.0
"""What is past its retention is removed for so long in a row; the rest has to wait for the next hour."""
BUDGETS_LOCK = 0x0CA11B10
ROLLUPS_LOCK = 0x0CA11B11
ALERTS_LOCK = 0x0CA11B12

# How much of a long history one tick sums, in transactions of rollups.CHUNK lines.
MOST_ROLLUPS = 20

# What budgets say is spent is summed anew from the ledger so often; in between it is only added to.
RECOUNT_SECONDS = 60.0
_recounted_at = float("-inf")
# When this process last looked at what alerts watch, for those who only stand in.
_watched_at = float("-inf")


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
    """Every second: jobs whose time has come, what follows those that ended, and questions nobody answered in time."""
    with db.quick():
        promote()
    followups.attend()
    mind_questions()


def mind_questions(limit: int = 100) -> None:
    """Questions whose time is over, and those that others are to hear of: each in a transaction of its own."""
    with db.quick():
        late, overdue = approvals.due(limit), approvals.to_escalate(limit)
    for each in late:
        _mind(each["approval_id"], partial(asking.expire, each))
    for approval_id in overdue:
        _mind(approval_id, partial(answering.escalate, approval_id))


def _mind(approval_id: str, do: Callable[[], bool]) -> None:
    """One that cannot be settled must not hold up the others."""
    try:
        with db.transaction():
            db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
            do()
    except AWAY:
        raise
    except Exception:
        log.exception("question.stuck", approval_id=approval_id)


def fire_schedules(_settings: Settings) -> None:
    """Twice a second: schedules whose time has come, in as many transactions as it takes; any process may."""
    with db.quick():
        if not due.is_due():
            return
    registry.forget()  # an agent that was switched on a moment ago is not to be missed
    for fire in (due.fire, due.fire_queued):
        while _fired(fire).schedules:
            pass


def _fired(fire: Callable[[], due.Fired]) -> due.Fired:
    with db.transaction():
        # Schedules that a frozen process has in hand must not wait until it wakes.
        db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        done = fire()
    if done.news:
        with db.transaction():  # of its own: what fired must not wait for words
            news.of_schedules(done.news)
    for told in done.news:
        about = {"schedule_id": told.schedule_id, "slot": str(told.slot_at), "reason": told.reason}
        log.warning("schedule.did_not_run", outcome=told.outcome, **about)
    return done


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
    mind_providers()
    mind_budgets(settings)


def mind_providers() -> None:
    """Places of dead workers come free; what waits for a provider that takes calls again goes on."""
    with db.quick():
        pools.forget_expired()
    with db.transaction():
        if lifted := upkeep.lift_recovered():
            log.info("providers.lifted", jobs=lifted)


def mind_budgets(settings: Settings, *, recount: bool | None = None) -> None:
    """New periods, drift, what ended attempts had reserved, and what is held or may go on; one budget at a time.

    `recount`: sum anew from the ledger; None does so every RECOUNT_SECONDS.
    """
    global _recounted_at  # noqa: PLW0603 - a process' own clock; sweeping twice does no harm
    if recount is None:
        recount = time.monotonic() - _recounted_at > RECOUNT_SECONDS
    if recount:
        _recounted_at = time.monotonic()
    kept = Kept(ledger_days=settings.history_retention_days, attempt_days=settings.job_retention_days)
    _alone(BUDGETS_LOCK, _tidy)
    with db.quick():
        budget_ids = changes.ids()
    for budget_id in budget_ids:
        with suppress(NotFound), db.transaction():
            limits.be_brief()
            if lifted := spending.look_at(budget_id, recount=recount, kept=kept):
                log.info("budget.lifted", budget_id=budget_id, jobs=lifted)


def _tidy() -> None:
    changes.cover()
    if gone := changes.tidy():
        log.info("budgets.tidied", reservations_and_holds=gone)


def roll_up(settings: Settings) -> None:
    """Every 20 s: what charts are drawn from; a long history is summed in transactions of a moment each."""
    with db.quick():
        rollups.sample_pools(settings.lease_seconds)
    for _ in range(MOST_ROLLUPS):
        if not _rolled():
            return


def _rolled() -> bool:
    """One transaction's worth of it; answers whether there is more to do, and nobody else who does it."""
    more = False

    def do() -> None:
        nonlocal more
        more = rollups.roll_up()

    _alone(ROLLUPS_LOCK, do)
    return more


def watch(settings: Settings) -> None:
    """Every ALERT_INTERVAL_SECONDS: everything that alerts watch; one process looks, the others find it done."""
    global _watched_at  # noqa: PLW0603 - a process' own clock; looking twice does no harm
    _watched_at = time.monotonic()
    limits = measures.Limits(
        soft_limit_seconds=settings.job_soft_limit_seconds,
        hard_limit_seconds=settings.job_time_limit_seconds,
        command_limit_seconds=settings.cli_timeout_seconds,
        backups=plan_of(settings).on,
    )

    def do() -> None:
        watching.look(limits)

    _alone(ALERTS_LOCK, do)


def purge(settings: Settings) -> None:
    """Every hour: what is past its retention, part by part, for PURGE_SECONDS at most."""
    end = time.monotonic() + PURGE_SECONDS
    while _purge_part(settings) and time.monotonic() < end:
        pass


def _purge_part(settings: Settings) -> bool:
    """A part that no other transaction waits long for; answers whether there may be more."""
    store = Store(settings.artifact_store)
    more = False

    def do() -> None:
        nonlocal more
        gone = pruning.purge(settings.job_retention_days, forget_files=store.remove_job)
        unfinished = [
            gone >= pruning.MOST_AT_ONCE,
            pruning.trim(settings.history_retention_days),
            runs.purge(settings.job_retention_days) >= runs.MOST_AT_ONCE,
            queries.prune(settings.history_retention_days) >= queries.MOST_AT_ONCE,
            deliveries.purge(settings.job_retention_days) >= deliveries.MOST_AT_ONCE,
            keeping.purge(settings.webhook_retention_days) >= keeping.MOST_AT_ONCE,
            sessions.purge(settings.deleted_session_days) >= sessions.MOST_AT_ONCE,
            retention.trim(settings.history_retention_days) >= retention.MOST_AT_ONCE,
        ]
        more = any(unfinished)
        refresh.prune()
        logins.prune()
        lockout.prune()
        account_links.prune()
        links.forget(settings.job_retention_days)
        rollups.purge(settings.history_retention_days)
        minutes.forget()
        alerts.purge(settings.history_retention_days)
        if gone:
            log.info("purge.done", jobs=gone)

    _alone(PURGE_LOCK, do)
    return more


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
        fire_schedules(settings)
        sweep(settings)
        bulk.attend()
        roll_up(settings)
        auditor.seal(settings)
        if time.monotonic() - _watched_at > settings.alert_interval_seconds:
            watch(settings)
