"""Schedules with real attempts: the ticks fire them, and a schedule's budget holds its jobs and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Engine

from actors import clockwork, news, sweeps
from actors.execute import run_next
from actors.post import Post
from actors.runners.base import Context, Work
from app import clock
from app.agents import registry
from app.budgets.usage import Usage
from app.db import db
from app.jobs import spending
from app.schedules import due, queries
from app.settings import Settings
from tests import acting
from tests.app.schedules.planning import jobs, late, minute_ago, outcomes

RunWith = Callable[[Callable[[Work, Context], Any]], None]


def _made(**wish: Any) -> str:
    with db.transaction():
        return late(minute_ago(0), **wish)


def _again(schedule_id: str) -> None:
    """Let one more of its times come."""
    with db.transaction():
        db.run("DELETE FROM schedule_fires WHERE schedule_id = %(id)s", id=schedule_id)
        db.run(
            "UPDATE schedules SET next_fire_at = %(at)s WHERE schedule_id = %(id)s",
            id=schedule_id,
            at=minute_ago(0),
        )


def _status(job_id: str) -> tuple[str, str | None]:
    with db.quick():
        row = acting.job(job_id)
    return row["status"], row["status_reason"]


def _last_job(schedule_id: str) -> str:
    with db.quick():
        return str(queries.get(schedule_id)["last_job_id"])


def test_a_tick_fires_what_is_due_in_as_many_transactions_as_it_takes(
    settings: Settings, bells: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "MOST_FIRES", 5)
    ids = [_made() for _ in range(12)]
    bells.clear()
    sweeps.fire_schedules(settings)
    with db.transaction():
        assert [len(jobs(schedule_id)) for schedule_id in ids] == [1] * 12
    assert sum(times for _, times in bells) == 12
    assert len(bells) == 3


def test_an_agent_that_was_switched_on_a_moment_ago_is_not_missed(settings: Settings, quick: Engine) -> None:
    with db.transaction():
        acting.agent("sleeper")
        schedule_id = late(minute_ago(0), agent_id="sleeper")
        registry.enable("sleeper", enabled=False)
        assert not registry.get("sleeper").enabled
        db.run("UPDATE agents SET enabled = true WHERE agent_id = 'sleeper'")  # by another process
    sweeps.fire_schedules(settings)
    with db.transaction():
        assert outcomes(schedule_id) == ["fired"]


def test_a_tick_runs_what_waited_for_the_run_before_it(
    settings: Settings, post: Post, run_with: RunWith
) -> None:
    with db.transaction():
        schedule_id = late(minute_ago(2), misfire="all", overlap="queue")
    run_with(lambda _work, _context: {})
    for done in (1, 2, 3):
        sweeps.fire_schedules(settings)
        with db.transaction():
            assert outcomes(schedule_id)[:3] == ["fired"] * done + ["queued"] * (3 - done)
        run_next(post)


def test_without_a_scheduler_workers_fire_them(settings: Settings, quick: Engine) -> None:
    schedule_id = _made()
    with db.quick():
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")
    sweeps.stand_in(settings)
    with db.transaction():
        assert len(jobs(schedule_id)) == 1


def test_old_times_are_forgotten_and_those_that_wait_are_not(settings: Settings, quick: Engine) -> None:
    schedule_id = _made()
    with db.transaction():
        db.run(
            """INSERT INTO schedule_fires (schedule_id, slot_at, outcome, at)
               SELECT %(id)s, now() - n * interval '1 day', outcome, now() - n * interval '1 day'
               FROM (VALUES (366, 'fired'), (367, 'queued'), (364, 'fired')) AS old(n, outcome)""",
            id=schedule_id,
        )
    sweeps.purge(settings)
    with db.transaction():
        assert outcomes(schedule_id) == ["queued", "fired"]


def test_the_tick_has_a_thread_of_its_own_and_comes_just_after_each_half_second(settings: Settings) -> None:
    scheduler = clockwork.make_scheduler(settings)
    (tick,) = (job for job in scheduler.get_jobs() if job.id == "schedules")
    assert [job.id for job in scheduler.get_jobs() if job.executor == tick.executor] == ["schedules"]
    assert isinstance(tick.trigger, IntervalTrigger)
    moment = tick.trigger.get_next_fire_time(None, clock.now())
    for _ in range(10):
        assert moment.microsecond % 500_000 == clockwork.A_MOMENT.microseconds
        moment = tick.trigger.get_next_fire_time(moment, moment)


def test_a_spent_budget_of_a_schedule_holds_its_next_job_and_nobody_elses(
    settings: Settings, post: Post, run_with: RunWith
) -> None:
    schedule_id = _made()
    with db.transaction():
        told = {
            "name": "nights",
            "scope": "schedule",
            "subject": schedule_id,
            "unit": "usd",
            "period": "month",
        }
        budget = spending.create(by="ada", limit_amount=1, **told)

    def spend(_work: Work, context: Context) -> dict[str, Any]:
        context.meter(
            Usage(
                call_id="c",
                provider="openai",
                model="m",
                output_tokens=1,
                cost_usd=Decimal(1),
                cost_status="reported",
            )
        )
        return {}

    run_with(spend)
    sweeps.fire_schedules(settings)
    first = _last_job(schedule_id)
    run_next(post)
    assert _status(first)[0] == "completed"
    with db.quick():
        (shown,) = queries.spending(schedule_id)
    assert (shown["spent"], shown["stopped_at"] is not None) == (1, True)

    _again(schedule_id)
    other = _made()
    sweeps.fire_schedules(settings)
    second, free = _last_job(schedule_id), _last_job(other)
    assert second != first
    for _ in range(2):
        run_next(post)
    assert _status(second) == ("retry", "budget")
    assert _status(free)[0] == "completed"

    with db.transaction():
        spending.change(budget["budget_id"], limit_amount=5)
    run_next(post)
    assert _status(second)[0] == "completed"


def test_one_that_fails_every_minute_is_told_of_once_a_day_for_each_reason(quick: Engine) -> None:
    def fail(reason: str) -> None:
        told = due.News(
            schedule_id="s-1",
            name="Nightly",
            submitted_by="ada",
            agent_id=None,
            slot_at=clock.now(),
            outcome="failed",
            reason=reason,
        )
        with db.transaction():
            news.of_schedules([told] * 3)
            db.run("UPDATE notifications SET created_at = created_at - interval '1 hour'")

    for reason in ("the agent is switched off", "the agent is switched off", "the account is switched off"):
        fail(reason)

    with db.quick():
        rows = db.rows(
            "SELECT body, count FROM notifications WHERE event = 'schedule.failed' ORDER BY notification_id"
        )
    assert [(row["body"], row["count"]) for row in rows] == [
        ("the agent is switched off", 6),
        ("the account is switched off", 3),
    ]
