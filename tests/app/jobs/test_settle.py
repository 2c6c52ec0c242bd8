"""Only the claim that holds a job may settle it, and only once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.db import db
from app.errors import AttemptTimeout, LostLease, PermanentError, RateLimitError, TemporaryError
from app.jobs import lifecycle, timeline
from app.jobs.claims import Claim
from app.jobs.states import Reason
from tests import acting

pytestmark = pytest.mark.usefixtures("here")

SETTLES: dict[str, Callable[[Claim], None]] = {
    "complete": lambda c: lifecycle.complete(c, {"by": c.worker_id}),
    "retry_later": lambda c: lifecycle.retry_later(c, TemporaryError("late"), 5),
    "fail": lambda c: lifecycle.fail(c, PermanentError("late"), Reason.PERMANENT),
    "stop": lifecycle.stop,
    "release": lifecycle.release,
}
settles = pytest.mark.parametrize("settle", SETTLES.values(), ids=SETTLES)


def _everything(job_id: str) -> list[object]:
    tables = ("jobs", "job_attempts", "job_history", "job_events", "task_history", "dead_letters")
    return [db.rows(f"SELECT * FROM {t} WHERE job_id = %(id)s ORDER BY 1, 2", id=job_id) for t in tables]


@settles
def test_a_claim_that_was_taken_over_settles_nothing(settle: Callable[[Claim], None]) -> None:
    old = acting.claimed()
    acting.rescue(old)
    new = acting.claim("w2")
    assert new is not None
    assert new.fence == old.fence + 1
    before = _everything(old.job_id)
    with pytest.raises(LostLease):
        settle(old)
    assert _everything(old.job_id) == before
    lifecycle.complete(new, {"by": "w2"})
    assert acting.job(old.job_id)["result"] == {"by": "w2"}


@settles
def test_a_claim_whose_job_was_rescued_settles_nothing_even_before_the_next_claim(
    settle: Callable[[Claim], None],
) -> None:
    old = acting.claimed()
    acting.rescue(old)
    before = _everything(old.job_id)
    with pytest.raises(LostLease):
        settle(old)
    assert _everything(old.job_id) == before


@settles
def test_a_forgotten_claim_with_the_same_fence_settles_nothing(settle: Callable[[Claim], None]) -> None:
    """A crash of Postgres may forget a claim that was not flushed and give its fence out again."""
    held = acting.claimed()
    forgotten = Claim(**{**vars(held), "worker_id": "w0", "lease_id": lifecycle.new_id()})
    before = _everything(held.job_id)
    with pytest.raises(LostLease):
        settle(forgotten)
    assert _everything(held.job_id) == before
    lifecycle.complete(held, {})
    with pytest.raises(LostLease):
        settle(forgotten)


@settles
def test_saying_the_same_settle_again_after_a_lost_answer_is_no_error(
    settle: Callable[[Claim], None],
) -> None:
    claim = acting.claimed()
    settle(claim)
    before = _everything(claim.job_id)
    settle(claim)
    assert _everything(claim.job_id) == before


@settles
def test_another_outcome_after_the_job_was_handed_back_is_refused(settle: Callable[[Claim], None]) -> None:
    claim = acting.claimed()
    lifecycle.release(claim)
    before = _everything(claim.job_id)
    if settle is lifecycle.release:
        settle(claim)
    else:
        with pytest.raises(LostLease):
            settle(claim)
    assert _everything(claim.job_id) == before


@settles
def test_an_expired_lease_settles_as_long_as_nobody_took_it(settle: Callable[[Claim], None]) -> None:
    claim = acting.claimed()
    acting.expire(claim)
    settle(claim)
    assert acting.status(claim.job_id) != "running"


@settles
def test_a_settled_job_has_no_lease_no_worker_and_one_ended_attempt(settle: Callable[[Claim], None]) -> None:
    claim = acting.claimed()
    timeline.write(timeline.Report(job_id=claim.job_id, fence=1, lease_id=claim.lease_id, process_id=4711))
    settle(claim)
    row = acting.job(claim.job_id)
    assert [row[c] for c in ("lease_id", "lease_expires_at", "worker_id", "process_id")] == [None] * 4
    (attempt,) = timeline.attempts(claim.job_id)
    assert attempt["ended_at"] is not None
    assert attempt["outcome"] in ("completed", "failed", "cancelled", "released")


def test_completion_keeps_result_usage_progress_and_the_last_word() -> None:
    claim = acting.claimed()
    lifecycle.complete(claim, {"n": 1}, {"tokens": 7.0})
    row = acting.job(claim.job_id)
    assert (row["status"], row["result"], row["usage"], row["progress"]) == (
        "completed",
        {"n": 1},
        {"tokens": 7.0},
        100,
    )
    last = timeline.events(claim.job_id)[-1]
    assert (last["kind"], last["seq"]) == ("complete", row["last_seq"])


def test_several_successes_are_told_apart() -> None:
    lost, held = acting.claimed(), acting.claimed()
    acting.rescue(lost)
    outcome = lifecycle.complete_many([lifecycle.Success(lost, {"n": 1}), lifecycle.Success(held, {"n": 2})])
    assert outcome == [False, True]
    assert acting.job(held.job_id)["result"] == {"n": 2}
    assert acting.status(lost.job_id) == "queued"


def test_a_failed_attempt_waits_for_its_next_time_and_counts() -> None:
    claim = acting.claimed()
    lifecycle.retry_later(claim, RateLimitError("slow down"), 30, "Traceback…")
    row = acting.job(claim.job_id)
    assert (row["status"], row["status_reason"], row["retry_count"]) == ("retry", "rate_limit", 1)
    assert 25 < db.value("SELECT extract(epoch FROM run_at - now()) FROM jobs") <= 30
    assert row["error"] == {
        "type": "RateLimitError", "class": "rate_limit", "code": "rate_limit_error", "message": "slow down"
    }  # fmt: skip
    (attempt,) = timeline.attempts(claim.job_id)
    assert (attempt["outcome"], attempt["delay_seconds"], attempt["error"]["message"]) == (
        "failed",
        30,
        "slow down",
    )


def test_a_timeout_is_told_from_a_failure() -> None:
    claim = acting.claimed()
    lifecycle.retry_later(claim, AttemptTimeout("too long"), 0)
    assert timeline.attempts(claim.job_id)[0]["outcome"] == "timeout"


def test_a_released_attempt_costs_no_retry_and_no_waiting() -> None:
    claim = acting.claimed()
    lifecycle.release(claim)
    row = acting.job(claim.job_id)
    assert (row["status"], row["status_reason"]) == ("queued", "released")
    assert (row["released_count"], row["retry_count"], row["lost_count"]) == (1, 0, 0)
    assert acting.claim("w2") is not None


def test_the_three_counters_count_three_different_things() -> None:
    job_id = acting.submitted()
    for settle in (lifecycle.release, lambda c: lifecycle.retry_later(c, TemporaryError(), 0), acting.rescue):
        claim = acting.claim()
        assert claim is not None
        settle(claim)
    row = acting.job(job_id)
    assert (row["released_count"], row["retry_count"], row["lost_count"], row["fence"]) == (1, 1, 1, 3)


def test_the_statement_is_one_so_a_rolled_back_settle_leaves_no_trace() -> None:
    claim = acting.claimed()
    before = _everything(claim.job_id)
    with pytest.raises(RuntimeError), db.transaction():
        lifecycle.fail(claim, PermanentError("no"), Reason.PERMANENT)
        raise RuntimeError
    assert _everything(claim.job_id) == before


def test_a_large_result_is_kept_compressed_and_read_back_whole() -> None:
    claim = acting.claimed()
    result = {"lines": [f"line {n} of a long report that says much the same again" for n in range(5_000)]}
    lifecycle.complete(claim, result)
    kept, written = db.row(
        "SELECT pg_column_size(result) AS kept, octet_length(result::text) AS written FROM jobs WHERE job_id = %(id)s",
        id=claim.job_id,
    ).values()  # type: ignore[union-attr]
    assert kept < written / 2
    assert acting.job(claim.job_id)["result"] == result
