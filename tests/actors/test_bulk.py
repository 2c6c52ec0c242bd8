"""The executor of bulk actions: it takes what is open, whoever died with it, and tells of the end."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from actors import bulk as executor
from actors import clockwork, sweeps
from app.accounts import users
from app.accounts.permissions import Principal
from app.db import Row, db
from app.jobs import bulk, bulk_do, lifecycle, queries
from app.jobs.bulk import Wish
from app.jobs.bulk_choice import Choice
from app.settings import Settings
from tests import acting


@pytest.fixture
def admin(quick: Engine) -> Principal:
    with db.transaction():
        row = users.create("admin@example.org", None, role="admin")
    return Principal(user_id=str(row["user_id"]), email=row["email"], role="admin")


def asked(who: Principal, jobs: int = 1, *missing: str) -> str:
    with db.quick():
        ids = tuple(acting.submitted(submitted_by=who.user_id) for _ in range(jobs))
    only = None if missing else queries.Filter()
    choice = Choice(subject="jobs", verb="cancel", ids=ids + missing if missing else (), only=only)
    with db.transaction():
        return str(bulk.create(Wish(choice=choice, words="all jobs"), who)["bulk_id"])


def now(bulk_id: str) -> Row:
    with db.quick():
        return bulk.get(bulk_id)


def told() -> list[Row]:
    with db.quick():
        return db.rows("SELECT * FROM notifications WHERE event = 'bulk.finished'")


def test_everything_that_is_open_is_worked_off(admin: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_do, "BATCH", dict.fromkeys(bulk_do.BATCH, 2))
    first, second = asked(admin, 3), asked(admin, 2)
    assert executor.attend() == 4
    assert (now(first)["status"], now(second)["status"]) == ("completed", "completed")
    assert executor.attend() == 0


def test_several_go_on_in_turn(admin: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_do, "BATCH", dict.fromkeys(bulk_do.BATCH, 1))
    worked: list[str] = []
    step = bulk.step
    monkeypatch.setattr(bulk, "step", lambda bulk_id: worked.append(bulk_id) or step(bulk_id))
    first = asked(admin, 2)
    second = asked(admin, 0, lifecycle.new_id(), lifecycle.new_id())
    executor.attend()
    assert worked[:4] == [first, second, first, second]


def test_a_tick_ends_after_its_time(admin: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_do, "BATCH", dict.fromkeys(bulk_do.BATCH, 1))
    bulk_id = asked(admin, 3)
    assert executor.attend(seconds=0) == 1
    assert now(bulk_id)["done"] == 1


def test_one_that_took_no_time_and_went_well_is_not_told_of(admin: Principal) -> None:
    asked(admin)
    executor.attend()
    assert told() == []


def test_one_with_refusals_is_told_of_to_whoever_asked(admin: Principal) -> None:
    bulk_id = asked(admin, 1, lifecycle.new_id())
    executor.attend()
    (news,) = told()
    assert (news["audience"], news["severity"]) == (admin.user_id, "warning")
    assert news["title"] == "1 of 2 jobs cancelled, 1 refused"
    assert news["link"] == f"/bulk-actions/{bulk_id}"


def test_one_that_took_long_is_told_of(admin: Principal) -> None:
    bulk_id = asked(admin)
    with db.transaction():
        db.run("UPDATE bulk_actions SET created_at = created_at - interval '11 s'")
    executor.attend()
    assert now(bulk_id)["status"] == "completed"
    assert [news["severity"] for news in told()] == ["success"]


def test_one_that_somebody_stopped_is_no_news(admin: Principal) -> None:
    bulk_id = asked(admin, 1, lifecycle.new_id())
    with db.transaction():
        bulk.abort(bulk_id, by=admin.user_id)
    executor.attend()
    assert told() == []


def test_while_postgres_is_away_it_waits_and_then_goes_on(
    admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk_id = asked(admin)
    cancel, away = bulk_do.cancel, [True]

    def gone(task: Any, ids: list[str]) -> bulk_do.Outcome:
        if away:
            raise psycopg2.OperationalError("the server went away")
        return cancel(task, ids)

    monkeypatch.setitem(bulk_do.DO, "cancel", gone)
    assert executor.attend() == 0
    assert now(bulk_id)["status"] == "pending"
    away.clear()
    assert executor.attend() == 1
    assert now(bulk_id)["done"] == 1


def test_one_that_breaks_ends_failed_and_the_others_go_on(
    admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = asked(admin), asked(admin, 1, lifecycle.new_id())
    cancel = bulk_do.cancel

    def odd(task: Any, ids: list[str]) -> bulk_do.Outcome:
        if task.row["bulk_id"] == broken:
            raise KeyError("oops")
        return cancel(task, ids)

    monkeypatch.setitem(bulk_do.DO, "cancel", odd)
    executor.attend()
    assert (now(broken)["status"], now(broken)["error"]) == ("failed", "Callboard failed: KeyError")
    assert now(sound)["status"] == "completed"
    assert "error" in {news["severity"] for news in told()}


def test_the_scheduler_looks_each_half_second(settings: Settings) -> None:
    (tick,) = (job for job in clockwork.make_scheduler(settings).get_jobs() if job.id == "bulk")
    assert tick.trigger.interval.total_seconds() == 0.5


def test_a_worker_does_it_where_no_scheduler_runs(admin: Principal, settings: Settings) -> None:
    bulk_id = asked(admin)
    with db.transaction():
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")
    sweeps.stand_in(settings)
    assert now(bulk_id)["status"] == "completed"
