"""The heartbeat, stepped by hand: leases, cancellations, news, draining, fencing itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from actors import checkup
from actors.attempt import Attempt
from actors.execute import run_next
from actors.heartbeat import FIRST_LOOK_SECONDS, LAST_WORD_SECONDS, MOST_MISSES, Heartbeat
from actors.jobs import work_until_empty
from actors.post import Post
from app.db import AWAY, db
from app.errors import Cancelled, Released
from app.jobs import lifecycle, timeline
from app.workers import fleet
from tests import acting
from tests.waiting import until

Hold = Callable[..., Attempt]


@pytest.fixture
def attempt(post: Post, hold: Hold) -> Attempt:
    with db.quick():
        claim = acting.claimed()
    return hold(claim)


def _lease(attempt: Attempt) -> float:
    with db.quick():
        return float(
            db.value(
                "SELECT extract(epoch FROM lease_expires_at - now()) FROM jobs WHERE job_id = %(id)s",
                id=attempt.claim.job_id,
            )
        )


def test_a_beat_extends_every_lease_in_hand_and_says_the_worker_is_there(
    post: Post, attempt: Attempt
) -> None:
    with db.quick():
        acting.expire(attempt.claim)
    Heartbeat(post).beat()
    assert 55 < _lease(attempt) <= 60
    with db.quick():
        (worker,) = fleet.listing()
    assert worker["worker_id"] == post.worker_id


def test_leases_are_extended_only_every_so_often_but_cancellations_heard_each_time(
    post: Post, attempt: Attempt
) -> None:
    heart = Heartbeat(post)
    heart.beat()
    with db.quick():
        db.run("UPDATE jobs SET lease_expires_at = now() + interval '7 s'")
        lifecycle.cancel(attempt.claim.job_id)
    heart.beat()
    assert _lease(attempt) < 8
    assert attempt.cancelled
    with pytest.raises(Cancelled):
        attempt.checkpoint_due()


def test_an_attempt_that_was_taken_over_is_told_to_stop_and_is_not_heard_any_more(
    post: Post, attempt: Attempt
) -> None:
    with db.quick():
        acting.rescue(attempt.claim)
    attempt.log("too late")
    Heartbeat(post).beat()
    assert attempt.lost
    with pytest.raises(Cancelled):
        attempt.checkpoint_due()
    with db.quick():
        assert timeline.log(attempt.claim.job_id) == []


def test_what_was_said_between_two_beats_is_one_write(post: Post, attempt: Attempt) -> None:
    heart = Heartbeat(post)
    for n in range(200):
        attempt.progress(n / 2, f"step {n}")
        attempt.log(f"line {n}")
    with db.quick():
        before = acting.job(attempt.claim.job_id)["version"]
    heart.beat()
    heart.beat()
    with db.quick():
        row = acting.job(attempt.claim.job_id)
        lines = timeline.log(attempt.claim.job_id, limit=500)
    assert row["version"] == before + 1
    assert (row["progress"], row["current_step"]) == (99, "step 199")
    assert [line["message"] for line in lines] == [f"line {n}" for n in range(200)]


def test_news_that_could_not_be_written_is_written_later(
    post: Post, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_report: timeline.Report) -> bool:
        raise AWAY[0]("", {}, Exception("away"))

    attempt.log("first")
    attempt.progress(10, "early")
    heart = Heartbeat(post)
    with monkeypatch.context() as broken:
        broken.setattr(timeline, "write", away)
        with pytest.raises(AWAY):
            heart.beat()
    attempt.log("second")
    attempt.progress(20)
    heart.beat()
    with db.quick():
        row = acting.job(attempt.claim.job_id)
        assert [line["message"] for line in timeline.log(attempt.claim.job_id)] == ["first", "second"]
    assert (row["progress"], row["current_step"]) == (20, "early")


def test_the_soft_limit_is_told_once(post: Post, attempt: Attempt) -> None:
    attempt.soft_deadline = 0.0
    heart = Heartbeat(post)
    for _ in range(3):
        heart.beat()
    with db.quick():
        assert [line["level"] for line in timeline.log(attempt.claim.job_id)] == ["warning"]


class TestDraining:
    def test_running_jobs_may_go_on_for_the_grace_period(self, post: Post, attempt: Attempt) -> None:
        heart = Heartbeat(post)
        heart.beat()
        post.start_draining()
        heart._extended_at = 0.0
        heart.beat()
        assert not attempt.releasing
        with db.quick():
            assert [w["state"] for w in fleet.listing()] == ["stopping"]

    def test_then_runners_are_asked_to_stop(self, post: Post, attempt: Attempt) -> None:
        post.start_draining()
        post.drain_began = time.monotonic() - post.settings.shutdown_grace_seconds
        Heartbeat(post).beat()
        with pytest.raises(Released):
            attempt.checkpoint_due()
        with db.quick():
            assert acting.status(attempt.claim.job_id) == "running"

    def test_then_the_job_is_handed_back_over_a_deaf_runners_head(self, post: Post, attempt: Attempt) -> None:
        post.start_draining()
        post.drain_began = time.monotonic() - post.settings.shutdown_grace_seconds - LAST_WORD_SECONDS
        Heartbeat(post).beat()
        with db.quick():
            row = acting.job(attempt.claim.job_id)
            assert (row["status"], row["released_count"], row["retry_count"]) == ("queued", 1, 0)
            again = acting.claim("w2")
        assert again is not None
        assert attempt.lost
        Heartbeat(post).beat()  # and a second time is no harm

    def test_saying_it_twice_does_not_restart_the_grace_period(self, post: Post) -> None:
        post.start_draining()
        began = post.drain_began
        post.start_draining()
        assert post.drain_began == began


class TestWhatIsWanted:
    def test_a_drained_worker_takes_nothing_and_what_runs_goes_on(self, post: Post, attempt: Attempt) -> None:
        heart = Heartbeat(post)
        heart.beat()
        with db.quick():
            fleet.drain(post.worker_id, by="ada")
            waiting = acting.submitted()
        heart.beat()

        assert run_next(post) is False
        work_until_empty(post)
        with db.quick():
            assert acting.status(waiting) == "queued"
            (told,) = fleet.listing()
        assert (told["draining"], told["state"]) == (True, "draining")
        assert not post.draining.is_set()
        attempt.checkpoint_due()

    def test_it_says_so_at_once_and_not_with_the_next_lease(self, post: Post) -> None:
        heart = Heartbeat(post)
        heart.beat()
        with db.quick():
            fleet.drain(post.worker_id, by="ada")
            db.run("UPDATE workers SET seen_at = now() - interval '9 s'")
        heart.beat()
        with db.quick():
            (told,) = fleet.listing()
            age = db.value("SELECT extract(epoch FROM now() - seen_at) FROM workers")
        assert told["draining"]
        assert age < 5

    def test_the_bells_it_does_not_answer_are_for_others(self, post: Post) -> None:
        heart = Heartbeat(post)
        heart.beat()
        with db.quick():
            fleet.drain(post.worker_id, by="ada")
        heart.beat()
        heart.beat()
        rung = post.ringer.rung  # type: ignore[attr-defined]
        assert rung == [(pool, post.settings.worker_threads) for pool in post.settings.pools]

    def test_after_a_resume_it_works_again(self, post: Post) -> None:
        heart = Heartbeat(post)
        heart.beat()
        with db.quick():
            fleet.drain(post.worker_id, by="ada")
            job_id = acting.submitted()
        heart.beat()
        with db.quick():
            fleet.resume(post.worker_id, by="ada")
        heart.beat()

        assert run_next(post)
        with db.quick():
            assert acting.status(job_id) == "completed"
            assert [w["state"] for w in fleet.listing()] == ["idle"]

    def test_a_stop_ends_the_process_as_a_platform_would(self, post: Post, attempt: Attempt) -> None:
        ended: list[bool] = []
        heart = Heartbeat(post, end=lambda: ended.append(True))
        heart.beat()
        with db.quick():
            fleet.stop(post.worker_id, by="ada")
        heart.beat()
        assert ended == [True]
        assert not post.takes_work
        post.start_draining()  # what the signal does
        heart.beat()
        assert ended == [True]
        attempt.checkpoint_due()  # its grace period has only begun

    def test_a_worker_without_a_row_changes_nothing(self, post: Post) -> None:
        post.rest()
        heart = Heartbeat(post)
        heart._extended_at = time.monotonic()
        heart._said_taking = False
        with db.quick():
            fleet.leave(post.worker_id)
        heart.beat()
        assert not post.takes_work


def test_a_beat_tells_how_much_memory_the_whole_tree_takes(post: Post) -> None:
    Heartbeat(post).beat()
    with db.quick():
        alone = db.value("SELECT memory_bytes FROM workers")
    hog = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(60_000_000); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert hog.stdout
        assert hog.stdout.readline() == b"1\n"
        Heartbeat(post).beat()
    finally:
        hog.kill()
        hog.communicate()
    with db.quick():
        together = db.value("SELECT memory_bytes FROM workers")
    assert alone > 10_000_000
    assert together > alone + 50_000_000


class TestFencingItself:
    def test_runners_are_stopped_before_the_lease_can_be_rescued(self, post: Post, attempt: Attempt) -> None:
        heart = Heartbeat(post)
        heart.beat()
        heart._fence_myself()
        assert not attempt.releasing
        post.beat_ok_at = time.monotonic() - post.settings.lease_seconds + 5
        heart._fence_myself()
        assert attempt.releasing
        with pytest.raises(Released):
            attempt.checkpoint_due()

    def test_a_beat_that_only_listens_does_not_count_as_one(self, post: Post, attempt: Attempt) -> None:
        heart = Heartbeat(post)
        heart.beat()
        extended_at = post.beat_ok_at
        heart.beat()
        assert post.beat_ok_at == extended_at

    def test_a_beat_that_hangs_does_not_keep_the_runners_from_being_stopped(
        self, post: Post, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heart, answered = Heartbeat(post), threading.Event()
        monkeypatch.setattr(heart, "beat", answered.wait)
        post.beat_ok_at = time.monotonic() - post.settings.lease_seconds
        heart.start()
        try:
            until(lambda: attempt.releasing)
        finally:
            answered.set()
            heart.stop()

    def test_nothing_is_taken_before_leases_are_extended_again(self, post: Post) -> None:
        with db.quick():
            acting.submitted()
        post.beat_ok_at = time.monotonic() - post.settings.lease_seconds
        assert run_next(post) is False
        Heartbeat(post).beat()
        assert run_next(post) is True

    def test_a_beat_that_fails_does_not_count_as_one(
        self, post: Post, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post.beat_ok_at = 0.0
        monkeypatch.setattr(db, "_pool", None)
        with pytest.raises(RuntimeError):
            Heartbeat(post).beat()
        assert post.lease_doubtful

    def test_a_process_whose_threads_died_exits(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        exits: list[int] = []
        monkeypatch.setattr("os._exit", exits.append)

        class Dead:
            class _Thread:
                @staticmethod
                def is_alive() -> bool:
                    return False

            workers = (_Thread(),)

        heart = Heartbeat(post)
        heart.watch(Dead())  # type: ignore[arg-type]
        for _ in range(MOST_MISSES):
            assert exits == []
            heart._demand_living_threads()
        assert exits == [70]


def test_a_worker_that_was_forgotten_registers_again(post: Post) -> None:
    heart = Heartbeat(post)
    heart.beat()
    with db.quick():
        fleet.leave(post.worker_id)
    heart._extended_at = 0.0
    heart.beat()
    with db.quick():
        assert [w["worker_id"] for w in fleet.listing()] == [post.worker_id]


def test_the_agents_health_is_looked_at_and_kept(post: Post) -> None:
    with db.quick():
        db.run("UPDATE agents SET health_status = NULL, health_at = NULL")
    Heartbeat(post).beat()
    with db.quick():
        rows = db.rows(
            "SELECT DISTINCT health_status, health_at > %(t)s AS fresh FROM agents",
            t=datetime(2000, 1, 1, tzinfo=UTC),
        )
    assert rows == [{"health_status": "ready", "fresh": True}]


def test_a_worker_that_starts_with_work_looks_once_it_has_time_or_half_a_minute_later(
    post: Post, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(checkup, "note_health", lambda *_a, **_n: looks.append(1))
    heart = Heartbeat(post)
    heart.beat()
    assert looks == []
    heart._extended_at, heart._born_at = float("-inf"), heart._born_at - FIRST_LOOK_SECONDS
    heart.beat()
    assert looks == [1]

    other = Heartbeat(post)
    other.beat()
    assert looks == [1]
    post.leave(attempt)
    other._extended_at = float("-inf")
    other.beat()
    assert looks == [1, 1]


def test_what_another_worker_found_out_lately_is_not_looked_at_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = checkup.note_health
    monkeypatch.setattr(checkup, "note_health", lambda *a, **n: (looks.append(1), look(*a, **n)))
    heart = Heartbeat(post)
    heart.beat()
    heart._extended_at, heart._health_at = float("-inf"), 0.0  # it is its turn again
    heart.beat()
    assert len(looks) == 1, "a look that is fresh was made again"
    with db.quick():
        db.run("UPDATE agents SET health_at = now() - interval '2 min'")
    heart._extended_at = float("-inf")
    heart.beat()
    assert len(looks) == 2


def test_an_agent_that_has_just_come_is_looked_at_with_the_next_beat(post: Post) -> None:
    heart = Heartbeat(post)
    heart.beat()
    with db.quick():
        acting.agent("newcomer")
        assert db.value("SELECT health_at FROM agents WHERE agent_id = 'newcomer'") is None
    heart._extended_at = float("-inf")  # the next one is due
    heart.beat()
    with db.quick():
        assert db.value("SELECT health_status FROM agents WHERE agent_id = 'newcomer'") == "ready"
