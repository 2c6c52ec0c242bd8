"""Jobs of workers that went silent: taken back, cancelled, or buried as poison; never by mistake."""

from __future__ import annotations

import pytest

from app.db import db
from app.jobs import dead_letters, lifecycle, pruning, timeline, upkeep
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


def test_a_lost_attempt_goes_back_to_the_queue_after_a_growing_pause() -> None:
    job_id = acting.submitted()
    pauses = []
    for _ in range(3):
        acting.make_due(job_id)
        claim = acting.claim()
        assert claim is not None
        acting.expire(claim)
        (found,) = lifecycle.rescue(10, max_lost=9, backoff_seconds=5)
        assert found["status"] == "queued"
        pauses.append(round(db.value("SELECT extract(epoch FROM run_at - now()) FROM jobs")))
    assert pauses == [5, 20, 80]
    row = acting.job(job_id)
    assert (row["status_reason"], row["lost_count"], row["retry_count"]) == ("lost_worker", 3, 0)
    assert [a["outcome"] for a in timeline.attempts(job_id)] == ["lost"] * 3


def test_a_job_that_kills_its_workers_ends_as_poison_in_the_dead_letters() -> None:
    job_id = acting.submitted()
    for _ in range(3):
        claim = acting.claim()
        assert claim is not None
        acting.rescue(claim, max_lost=3)
    row = acting.job(job_id)
    assert (row["status"], row["status_reason"], row["error"]["type"]) == ("failed", "poison", "WorkerLost")
    letter = dead_letters.get(job_id)
    assert (letter["reason"], letter["error_class"], letter["retry_count"]) == ("poison", "lost", 0)
    assert acting.claim() is None


def test_only_expired_leases_are_touched() -> None:
    held, lost = acting.claimed(), acting.claimed()
    acting.expire(lost)
    assert [r["job_id"] for r in lifecycle.rescue(10, max_lost=3, backoff_seconds=0)] == [lost.job_id]
    assert acting.status(held.job_id) == "running"


def test_a_rescue_takes_no_more_than_its_limit() -> None:
    for _ in range(3):
        acting.expire(acting.claimed())
    assert len(lifecycle.rescue(2, max_lost=3, backoff_seconds=0)) == 2


class TestTheGraceAfterAnOutage:
    def _sweep(self) -> int:
        return upkeep.rescue_silent(lease_seconds=0.001, max_lost=3, backoff_seconds=0)

    def test_a_rescue_happens_when_the_sweeps_were_awake_for_a_whole_lease(self) -> None:
        acting.expire(acting.claimed())
        assert self._sweep() == 1

    def test_nobody_is_called_lost_right_after_the_sweeps_slept(self) -> None:
        claim = acting.claimed()
        acting.expire(claim)
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 hour'")
        upkeep.tick(gap_seconds=15)
        assert upkeep.rescue_silent(lease_seconds=60, max_lost=3, backoff_seconds=0) == 0
        assert acting.status(claim.job_id) == "running"

    def test_nobody_is_called_lost_right_after_postgres_started(self) -> None:
        acting.expire(acting.claimed())
        up = db.value("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float")
        db.run("UPDATE upkeep SET healthy_since = now() - interval '10 days'")
        assert upkeep.rescue_silent(lease_seconds=up + 60, max_lost=3, backoff_seconds=0) == 0

    def test_regular_ticks_keep_the_health(self) -> None:
        before = db.value("SELECT healthy_since FROM upkeep")
        upkeep.tick(gap_seconds=15)
        row = db.row("SELECT healthy_since, last_tick_at > now() - interval '5 s' AS fresh FROM upkeep")
        assert row == {"healthy_since": before, "fresh": True}


def test_what_is_past_its_retention_goes_and_its_figures_stay() -> None:
    with acting.long_ago(days=32):
        old = acting.claimed()
    new = acting.claimed()
    timeline.write(timeline.Report(job_id=old.job_id, fence=1, lease_id=old.lease_id, stage="x"))
    lifecycle.complete(old, {})
    lifecycle.complete(new, {})
    with db.transaction():
        db.run("ALTER TABLE jobs DISABLE TRIGGER jobs_final")  # finished jobs do not age by hand otherwise
        db.run(
            "UPDATE jobs SET finished_at = now() - interval '31 days' WHERE job_id = %(id)s", id=old.job_id
        )
        db.run("ALTER TABLE jobs ENABLE TRIGGER jobs_final")
    files: list[str] = []
    assert pruning.purge(30, forget_files=files.append) == 1
    assert not pruning.trim(365)
    assert files == [old.job_id]
    assert db.rows("SELECT job_id::text FROM jobs") == [{"job_id": new.job_id}]
    assert db.value("SELECT count(*) FROM task_history") == 2
    assert db.value("SELECT count(*) FROM job_events WHERE job_id = %(id)s", id=old.job_id) == 0
    assert db.value("SELECT count(*) FROM job_history WHERE job_id = %(id)s", id=old.job_id) == 3


def test_a_running_job_is_never_purged() -> None:
    with acting.long_ago(days=400):
        acting.claimed()
    assert pruning.purge(1, forget_files=lambda _: None) == 0
