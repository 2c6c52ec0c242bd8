"""Cancelling, reprioritising: immediate for waiting jobs, heard by running ones, refused by finished ones."""

from __future__ import annotations

import pytest

from app.db import db
from app.errors import Conflict, NotFound, PermanentError, TemporaryError
from app.jobs import lifecycle
from app.jobs.states import FINAL, WAITING, Priority, Reason, Status
from tests import acting

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("where", WAITING)
def test_a_waiting_job_is_cancelled_at_once(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    answer = lifecycle.cancel(job_id)
    assert answer["status"] == "cancelled"
    assert answer["finished_at"] is not None
    assert acting.claim() is None


def test_a_running_job_goes_on_until_its_worker_heard() -> None:
    claim = acting.claimed()
    answer = lifecycle.cancel(claim.job_id)
    assert (answer["status"], answer["finished_at"]) == ("running", None)
    lifecycle.stop(claim)
    row = acting.job(claim.job_id)
    assert (row["status"], row["status_reason"]) == ("cancelled", "by_user")


def test_asking_twice_keeps_the_first_time() -> None:
    claim = acting.claimed()
    first = lifecycle.cancel(claim.job_id)["cancel_requested_at"]
    assert lifecycle.cancel(claim.job_id)["cancel_requested_at"] == first


@pytest.mark.parametrize(
    ("where", "instead"), [("completed", "replay"), ("failed", "retry"), ("cancelled", "retry")]
)
def test_a_finished_job_is_not_cancelled(where: str, instead: str) -> None:
    job_id, _ = acting.brought_to(Status(where))
    with pytest.raises(Conflict, match=where) as refused:
        lifecycle.cancel(job_id)
    assert refused.value.allowed == [instead]


def test_an_unknown_job_is_not_found() -> None:
    with pytest.raises(NotFound):
        lifecycle.cancel(lifecycle.new_id())


def test_success_before_the_stop_wins_over_the_request() -> None:
    claim = acting.claimed()
    lifecycle.cancel(claim.job_id)
    lifecycle.complete(claim, {"done": True})
    assert acting.status(claim.job_id) == "completed"


@pytest.mark.parametrize("ending", ["retry_later", "fail", "release", "rescue", "poison"])
def test_any_other_ending_after_the_request_is_cancelled_without_a_dead_letter(ending: str) -> None:
    claim = acting.claimed()
    lifecycle.cancel(claim.job_id)
    match ending:
        case "retry_later":
            lifecycle.retry_later(claim, TemporaryError(), 5)
        case "fail":
            lifecycle.fail(claim, PermanentError(), Reason.PERMANENT)
        case "release":
            lifecycle.release(claim)
        case "rescue":
            acting.rescue(claim)
        case "poison":
            acting.rescue(claim, max_lost=1)
    row = acting.job(claim.job_id)
    assert (row["status"], row["status_reason"]) == ("cancelled", "by_user")
    assert db.value("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("where", WAITING)
def test_a_waiting_jobs_priority_changes_its_place(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    acting.submitted(priority="high")
    lifecycle.change_priority(job_id, Priority.CRITICAL)
    claim = acting.claim()
    assert claim is not None
    assert claim.job_id == job_id


@pytest.mark.parametrize("where", [Status.RUNNING, *FINAL])
def test_a_running_or_finished_jobs_priority_stays(where: Status) -> None:
    job_id, _ = acting.brought_to(where)
    with pytest.raises(Conflict):
        lifecycle.change_priority(job_id, Priority.LOW)
    assert acting.job(job_id)["priority_rank"] == 2


def test_several_are_cancelled_by_one_statement_and_finished_ones_stay() -> None:
    done, _ = acting.brought_to(Status.COMPLETED)
    taken = acting.claimed()
    waiting = acting.submitted()

    reached = {row["job_id"]: row["status"] for row in lifecycle.cancel_many([waiting, done, taken.job_id])}

    assert reached == {waiting: "cancelled", taken.job_id: "running"}
    assert acting.job(taken.job_id)["cancel_requested_at"] is not None
    assert acting.status(done) == "completed"
    assert lifecycle.cancel_many([waiting, done, taken.job_id]) == []
    assert lifecycle.cancel_many([]) == []
