"""Retry, dead letter and encore, heard through real Dramatiq: a broker, a worker thread, the actor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import structlog
from dramatiq.brokers.stub import StubBroker

from actors import jobs, sweeps
from actors.broker import bell_message
from actors.execute import AttemptFailed
from actors.middleware.context import LogContext
from actors.middleware.dead_letter import DeadLetters
from actors.middleware.encore import Encore
from actors.middleware.retry import Retry
from actors.post import Post
from actors.runners.base import Context, Work
from app.db import db
from app.errors import TemporaryError
from app.jobs import dead_letters, lifecycle, timeline
from tests import acting
from tests.waiting import until

RunWith = Callable[[Callable[[Work, Context], Any]], None]


@pytest.fixture
def rung(post: Post, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """A worker of two threads behind a broker in memory; a ring reaches it."""
    broker = StubBroker(middleware=[LogContext(post.worker_id), Encore(), DeadLetters(), Retry()])
    jobs.declare(broker, post)
    monkeypatch.setattr(post.ringer, "ring", lambda pool, times=1: broker.enqueue(bell_message(pool)))
    monkeypatch.setattr("app.jobs.dispatch._ring", post.ringer.ring)
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=2)
    worker.start()
    yield post
    post.start_draining()
    worker.stop(5_000)
    broker.close()


def _submitted(*args: Any, **wish: Any) -> str:
    with db.transaction():
        return acting.submitted(*args, **wish)


def _until(post: Post, job_id: str, status: str) -> dict[str, Any]:
    """The job's row once it has `status`, with the scheduler's ticks done meanwhile."""

    def reached() -> dict[str, Any] | None:
        sweeps.call_due(post.settings)
        with db.quick():
            row = acting.job(job_id)
        return row if row["status"] == status else None

    return until(reached)


def test_a_ring_is_all_it_takes(rung: Post) -> None:
    job_id = _submitted()
    assert until(lambda: _status(job_id) == "completed")


def _status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def test_one_ring_drains_the_whole_queue(rung: Post) -> None:
    with db.quick():
        ids = [acting.submitted() for _ in range(12)]
    rung.ringer.ring("general")
    until(lambda: {_status(i) for i in ids} == {"completed"})


def test_a_failure_is_tried_again_and_then_completes(rung: Post) -> None:
    job_id = _submitted("test-flaky", parameters={"failures": 2}, options={"base_seconds": 0.01})
    row = _until(rung, job_id, "completed")
    assert (row["retry_count"], row["fence"], row["result"]) == (2, 3, {"attempts": 3})
    with db.quick():
        tried = timeline.attempts(job_id)
    assert [a["outcome"] for a in tried] == ["failed", "failed", "completed"]
    assert tried[0]["delay_seconds"] == pytest.approx(0.01, rel=0.11)
    assert tried[1]["delay_seconds"] == pytest.approx(0.04, rel=0.11)


@pytest.mark.parametrize("kind", ["temporary", "rate_limit", "crash"])
def test_after_three_retries_the_job_fails_with_its_dead_letter(rung: Post, kind: str) -> None:
    job_id = _submitted(
        "test-flaky", parameters={"failures": 9, "kind": kind}, options={"base_seconds": 0.005}
    )
    row = _until(rung, job_id, "failed")
    assert (row["retry_count"], row["status_reason"], row["fence"]) == (3, "exhausted", 4)
    with db.quick():
        letter = dead_letters.get(job_id)
    assert (letter["retry_count"], letter["reason"]) == (3, "exhausted")
    assert "flaky on purpose" in letter["error_message"]
    assert "playing.py" in letter["stack_trace"]
    assert (letter["error_type"] == "ZeroDivisionError") is (kind == "crash")


def test_a_permanent_error_is_buried_at_once(rung: Post) -> None:
    job_id = _submitted("test-flaky", parameters={"failures": 9, "kind": "permanent"})
    row = _until(rung, job_id, "failed")
    assert (row["retry_count"], row["status_reason"], row["fence"]) == (0, "permanent", 1)
    with db.quick():
        assert dead_letters.get(job_id)["reason"] == "permanent"


def test_a_retry_after_longer_than_the_backoff_is_obeyed(rung: Post) -> None:
    job_id = _submitted("test-flaky", parameters={"failures": 1, "kind": "rate_limit", "retry_after": 600})
    row = _until(rung, job_id, "retry")
    assert row["status_reason"] == "rate_limit"
    with db.quick():
        assert 590 < db.value("SELECT extract(epoch FROM run_at - now()) FROM jobs") <= 600


def test_the_jobs_own_retry_options_win_over_the_agents(rung: Post) -> None:
    job_id = _submitted("test-flaky", parameters={"failures": 9}, max_retries=0)
    assert _until(rung, job_id, "failed")["retry_count"] == 0


def test_a_failure_rings_again_so_that_the_rest_does_not_wait(rung: Post) -> None:
    with db.quick():
        ids = [
            acting.submitted("test-flaky", parameters={"failures": 9, "kind": "permanent"}) for _ in range(5)
        ] + [acting.submitted()]
    rung.ringer.ring("general")
    until(lambda: [_status(i) for i in ids] == ["failed"] * 5 + ["completed"])


@pytest.mark.parametrize("broken", ["retry_later", "fail"])
def test_a_hook_that_breaks_leaves_a_leased_job_which_the_rescue_finds(
    rung: Post, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    calls: list[int] = []

    def break_down(*_: Any, **_named: Any) -> None:
        calls.append(1)
        raise RuntimeError("a bug in the hook")

    monkeypatch.setattr(lifecycle, broken, break_down)
    kind = "temporary" if broken == "retry_later" else "permanent"
    job_id = _submitted(
        "test-flaky", parameters={"failures": 1, "kind": kind}, options={"base_seconds": 0.005}
    )
    until(lambda: calls and not rung.in_hand())
    assert _status(job_id) == "running"
    monkeypatch.undo()
    with db.quick():
        acting.expire(_claim_of(job_id))
        assert [r["status"] for r in lifecycle.rescue(5, max_lost=3, backoff_seconds=0)] == ["queued"]


def _claim_of(job_id: str) -> Any:
    class Taken:
        pass

    taken = Taken()
    taken.job_id = job_id  # type: ignore[attr-defined]
    return taken


def test_a_lost_lease_is_neither_retried_nor_buried(rung: Post, run_with: RunWith) -> None:
    def lose_and_fail(_work: Work, _context: Context) -> None:
        with db.quick():
            acting.expire(rung.in_hand()[0].claim)
            lifecycle.rescue(5, max_lost=9, backoff_seconds=3600)
        raise ZeroDivisionError

    run_with(lose_and_fail)
    job_id = _submitted()
    until(lambda: _lost(job_id) == 1 and not rung.in_hand())
    with db.quick():
        row = acting.job(job_id)
        assert (row["retry_count"], row["lost_count"], row["error"]["type"]) == (0, 1, "WorkerLost")
        assert dead_letters.count() == 0


def _lost(job_id: str) -> int:
    with db.quick():
        return int(acting.job(job_id)["lost_count"])


def test_nothing_of_one_message_is_in_the_logs_of_the_next() -> None:
    structlog.contextvars.clear_contextvars()  # of whatever ran in this process before
    middleware = LogContext("w-1")
    middleware.before_process_message(None, bell_message("testing"))
    assert structlog.contextvars.get_contextvars() == {"worker_id": "w-1", "pool": "testing"}
    middleware.after_process_message(None, None)
    assert structlog.contextvars.get_contextvars() == {}


def test_a_draining_post_does_not_ring_again(post: Post) -> None:
    with db.quick():
        claim = acting.claimed()
    failed = AttemptFailed(post, claim, None, TemporaryError(), "")
    rung: list[tuple[str, int]] = post.ringer.rung  # type: ignore[attr-defined]
    rung.clear()
    Encore().after_process_message(None, bell_message("general"), exception=failed)
    assert rung == [("general", 1)]
    post.start_draining()
    Encore().after_process_message(None, bell_message("general"), exception=failed)
    assert rung == [("general", 1)]
