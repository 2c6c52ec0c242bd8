"""Several transactions at once: none fires what another one fires, and what is rolled back was never fired."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from app.db import db
from app.schedules import changes, due
from tests.app.schedules.planning import end_jobs, jobs, late, minute_ago, outcomes

pytestmark = pytest.mark.usefixtures("quick")
THREADS = 6


def test_what_is_rolled_back_was_never_fired() -> None:
    with db.transaction():
        schedule_id = late(minute_ago(0))
    with pytest.raises(ZeroDivisionError), db.transaction():
        assert due.fire().jobs == 1
        raise ZeroDivisionError
    with db.transaction():
        assert (outcomes(schedule_id), jobs(schedule_id)) == ([], [])
        assert due.fire().jobs == 1


def _everybody_fires(limit: int) -> None:
    together = threading.Barrier(THREADS)

    def fire() -> None:
        together.wait()
        while True:
            with db.transaction():
                done = due.fire(limit)
                queued = due.fire_queued(limit)
            if not done.schedules and not queued.schedules:
                return

    with ThreadPoolExecutor(THREADS) as threads:
        for each in [threads.submit(fire) for _ in range(THREADS)]:
            each.result()


def test_each_time_has_one_job_however_many_fire(quick: Engine) -> None:
    with db.transaction():
        ids = [late(minute_ago(6), misfire="all") for _ in range(40)]
        slots = {schedule_id: {minute_ago(n) for n in range(7)} for schedule_id in ids}
    _everybody_fires(3)
    with db.transaction():
        for schedule_id in ids:
            found = jobs(schedule_id)
            assert slots[schedule_id] <= {job["slot_at"] for job in found}
            assert max(Counter(job["slot_at"] for job in found).values()) == 1
            assert set(outcomes(schedule_id)) == {"fired"}
        assert db.value("SELECT count(*) FROM jobs") == db.value("SELECT count(*) FROM schedule_fires")


def test_a_queued_time_is_run_once_however_many_look(quick: Engine) -> None:
    with db.transaction():
        ids = [late(minute_ago(2), misfire="all", overlap="queue") for _ in range(30)]
        due.fire()
        for schedule_id in ids:
            end_jobs(schedule_id)
    _everybody_fires(3)
    with db.transaction():
        for schedule_id in ids:
            assert outcomes(schedule_id)[:3] == ["fired", "fired", "queued"]
            assert len(jobs(schedule_id)) == 2


def test_a_schedule_that_is_being_edited_is_left_to_the_next_look(quick: Engine) -> None:
    with db.transaction():
        edited, other = late(minute_ago(0)), late(minute_ago(0))
    began, done = threading.Event(), threading.Event()

    def edit() -> None:
        with db.transaction():
            changes.change(edited, name="Another name")
            began.set()
            assert done.wait(10)

    with ThreadPoolExecutor(1) as threads:
        editing = threads.submit(edit)
        assert began.wait(10)
        with db.transaction():
            assert due.fire().schedules == 1
        done.set()
        editing.result()
    with db.transaction():
        assert (len(jobs(other)), len(jobs(edited))) == (1, 0)
        assert due.fire().schedules == 1
        assert len(jobs(edited)) == 1
