"""The sweeps: what one process leaves undone another finds; one at a time; and a tick never ends the ticking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from actors import clockwork, sweeps
from actors.post import Post
from app.approvals import queries as questions
from app.db import AWAY, Row, db
from app.jobs import lifecycle
from app.settings import Settings
from tests import acting


def test_a_sweep_finds_lost_workers(settings: Settings, quick: Engine) -> None:
    quick_lease = settings.model_copy(update={"lease_seconds": 0.001, "heartbeat_seconds": 0.0001})
    with db.quick():
        claim = acting.claimed()
        acting.expire(claim)
    sweeps.sweep(quick_lease)
    with db.quick():
        assert acting.status(claim.job_id) == "queued"


def test_a_sweep_rings_for_jobs_whose_bell_was_lost(settings: Settings, bells: list[tuple[str, int]]) -> None:
    with db.quick():
        for _ in range(3):
            job_id = acting.submitted()
            db.run("UPDATE jobs SET run_at = now() - interval '10 s' WHERE job_id = %(id)s", id=job_id)
    bells.clear()
    sweeps.sweep(settings)
    assert bells == [("general", 3)]


def test_a_sweep_does_not_ring_for_what_was_rung_just_now(
    settings: Settings, bells: list[tuple[str, int]]
) -> None:
    with db.quick():
        acting.submitted()
    bells.clear()
    sweeps.sweep(settings)
    assert bells == []


def test_only_one_process_sweeps_at_a_time(settings: Settings, quick: Engine) -> None:
    with db.quick():
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")
    with quick.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": sweeps.SWEEP_LOCK})
        sweeps.sweep(settings)
        with db.quick():
            assert db.value("SELECT last_tick_at < now() - interval '50 minutes' FROM upkeep")
    sweeps.sweep(settings)
    with db.quick():
        assert db.value("SELECT last_tick_at > now() - interval '1 minute' FROM upkeep")


def test_due_jobs_are_called(settings: Settings, bells: list[tuple[str, int]]) -> None:
    with db.quick():
        job_id = acting.submitted(due_in=60)
        acting.make_due(job_id)
    sweeps.call_due(settings)
    with db.quick():
        assert acting.status(job_id) == "queued"
    assert bells == [("general", 1)]


def test_a_purge_takes_a_jobs_files_with_it(settings: Settings, post: Post) -> None:
    here = settings.model_copy(update={"artifacts_url": post.store.url})
    with db.quick(), acting.long_ago(days=401):
        claim = acting.claimed()
        kept = post.store.keep(claim.job_id, 1, "x.txt", b"x", None)
        lifecycle.complete(claim, {})
    with db.transaction():
        db.run("ALTER TABLE jobs DISABLE TRIGGER jobs_final")
        db.run("UPDATE jobs SET finished_at = now() - interval '400 days'")
        db.run("ALTER TABLE jobs ENABLE TRIGGER jobs_final")
    sweeps.purge(here)
    with db.quick():
        assert db.value("SELECT count(*) FROM jobs") == 0
    with pytest.raises(Exception, match="gone"):
        post.store.open(kept["location"])


@pytest.mark.parametrize("error", [AWAY[0]("", {}, Exception("away")), ZeroDivisionError()])
def test_no_failure_ends_the_ticking(error: Exception) -> None:
    ticks: list[int] = []

    def fail() -> None:
        ticks.append(1)
        raise error

    tick = clockwork.guarded("a tick", fail)
    tick()
    tick()
    assert len(ticks) == 2


def test_the_scheduler_ticks_what_there_is_to_sweep(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("call_due", "sweep", "watch", "purge"):
        monkeypatch.setattr(sweeps, name, _noting(done, name))
    scheduler = clockwork.make_scheduler(settings)
    jobs = {job.id: job for job in scheduler.get_jobs()}
    assert jobs["sweep"].trigger.interval.total_seconds() == settings.sweep_interval_seconds
    for name in ("call_due", "sweep", "watch", "purge"):
        jobs[name].func()
    assert done == ["call_due", "sweep", "watch", "purge"]


def _noting(done: list[str], name: str) -> Callable[[Any], None]:
    return lambda _settings: done.append(name)


def test_questions_that_nobody_answered_are_settled_and_passed_on_each_by_itself(
    settings: Settings, bells: list[tuple[str, int]]
) -> None:
    with db.transaction():
        late, late_question = acting.asked(deadline_seconds=60)
        acting.too_late(late_question)
        _, overdue = acting.asked(escalate_seconds=60, escalate_to=("admin",))
        _, patient = acting.asked(deadline_seconds=600, escalate_seconds=300, escalate_to=("admin",))
        db.run(
            "UPDATE approvals SET escalate_at = now() - interval '1 s' WHERE approval_id = %(id)s", id=overdue
        )
    bells.clear()
    sweeps.call_due(settings)
    sweeps.call_due(settings)

    with db.quick():
        assert acting.status(late) == "queued"
        assert questions.get(late_question)["status"] == "expired"
        assert questions.get(overdue)["escalated_at"] is not None
        assert questions.get(patient)["escalated_at"] is None
        told = db.rows("SELECT event FROM notifications WHERE event <> 'approval.requested' ORDER BY event")
    assert [row["event"] for row in told] == ["approval.escalated", "approval.expired"]
    assert bells == [("general", 1)]


def test_a_question_that_cannot_be_settled_holds_up_no_other(
    settings: Settings, quick: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.transaction():
        asked = [acting.asked(deadline_seconds=60) for _ in range(3)]
        for _, approval_id in asked:
            acting.too_late(approval_id)
    expire = sweeps.asking.expire

    def broken_for_one(late: Row) -> bool:
        done = expire(late)
        if late["job_id"] == asked[1][0]:
            raise RuntimeError
        return done

    with monkeypatch.context() as patch:
        patch.setattr(sweeps.asking, "expire", broken_for_one)
        sweeps.mind_questions()
    with db.quick():
        assert [acting.status(job_id) for job_id, _ in asked] == ["queued", "awaiting_input", "queued"]
    sweeps.mind_questions()
    with db.quick():
        assert acting.status(asked[1][0]) == "queued"


def test_who_stands_in_looks_at_what_alerts_watch_no_oftener_than_a_scheduler(
    settings: Settings, quick: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    clock = [1000.0]
    monkeypatch.setattr(sweeps.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sweeps, "_watched_at", float("-inf"))
    monkeypatch.setattr(sweeps.watching, "look", looked.append)

    def stand_in() -> int:
        with db.quick():
            db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")
        sweeps.stand_in(settings)
        return len(looked)

    assert [stand_in(), stand_in()] == [1, 1]
    clock[0] += settings.alert_interval_seconds + 1
    assert stand_in() == 2
