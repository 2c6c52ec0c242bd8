"""The drawing of the moves is the law: every verb and every raw UPDATE is walked against it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg2
import pytest

from app.db import db
from app.errors import Conflict, LostLease, PermanentError, TemporaryError
from app.jobs import lifecycle
from app.jobs.claims import Claim
from app.jobs.states import FINAL, MOVES, PRIORITIES, WAITING, Priority, Reason, Status, parse_status
from tests import acting

pytestmark = pytest.mark.usefixtures("here")

P, Q, RUN, RETRY = Status.PENDING, Status.QUEUED, Status.RUNNING, Status.RETRY
ASKS = Status.AWAITING_INPUT
NEVER = Claim(
    job_id="", fence=1, lease_id="00000000-0000-7000-8000-000000000000", worker_id="w1", agent_id="test-noop",
    agent_version="", pool="general", parameters={}, options={}, retry_count=0, max_retries=3, lost_count=0,
    priority_rank=2, checkpoint={}, submitted_by="", submitted_at=None, correlation_id=None, task_name=None,
    last_seq=0,
)  # fmt: skip


def _as_never(job_id: str, claim: Claim | None) -> Claim:
    """The job's claim, or one that nobody ever had."""
    return claim or Claim(**{**vars(NEVER), "job_id": job_id})


def _by_claim(verb: Callable[[Claim], None]) -> Callable[[str, Claim | None], None]:
    return lambda job_id, claim: verb(_as_never(job_id, claim))


def _expired_and_rescued(job_id: str, _claim: Claim | None) -> None:
    db.run(
        "UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE job_id = %(id)s AND status = 'running'",
        id=job_id,
    )
    lifecycle.rescue(10, max_lost=3, backoff_seconds=0)


# verb → (how it is said, {status it may leave: status it leads to})
VERBS: dict[str, tuple[Callable[[str, Claim | None], object], dict[Status, Status]]] = {
    "claim": (lambda _job, _claim: acting.claim("w2"), {P: RUN, Q: RUN, RETRY: RUN}),
    "promote": (lambda _job, _claim: lifecycle.promote(), {P: Q, RETRY: Q}),
    "run_now": (lambda job, _claim: lifecycle.run_now(job), {P: Q, RETRY: Q}),
    "cancel": (
        lambda job, _claim: lifecycle.cancel(job),
        dict.fromkeys([*WAITING, ASKS], Status.CANCELLED) | {RUN: RUN},
    ),
    "change_priority": (
        lambda job, _claim: lifecycle.change_priority(job, Priority.HIGH),
        {s: s for s in WAITING},
    ),
    "complete": (_by_claim(lambda c: lifecycle.complete(c, {})), {RUN: Status.COMPLETED}),
    "retry_later": (_by_claim(lambda c: lifecycle.retry_later(c, TemporaryError(), 9)), {RUN: RETRY}),
    "fail": (
        _by_claim(lambda c: lifecycle.fail(c, PermanentError(), Reason.PERMANENT)),
        {RUN: Status.FAILED},
    ),
    "stop": (_by_claim(lifecycle.stop), {RUN: Status.CANCELLED}),
    "release": (_by_claim(lifecycle.release), {RUN: Q}),
    "wait_for_answer": (_by_claim(lifecycle.wait_for_answer), {RUN: ASKS}),
    "answered": (lambda job, _claim: lifecycle.answered(job), {ASKS: Q}),
    "rescue": (_expired_and_rescued, {RUN: Q}),
}


@pytest.mark.parametrize(("verb", "source"), list(itertools.product(VERBS, Status)), ids=str)
def test_a_verb_moves_a_job_only_where_the_drawing_allows(verb: str, source: Status) -> None:
    do, leads_to = VERBS[verb]
    job_id, claim = acting.brought_to(source)
    before = acting.job(job_id)
    try:
        do(job_id, claim)
        refused = False
    except (Conflict, LostLease):
        refused = True
    after = acting.job(job_id)
    if source in leads_to:
        assert not refused
        assert after["status"] == leads_to[source]
        assert after["status"] == source or after["status"] in MOVES[source]
    else:
        assert after == before


@pytest.mark.parametrize("source", Status)
def test_an_update_by_hand_is_refused_unless_the_move_is_drawn(source: Status) -> None:
    for target in set(Status) - {source}:
        job_id, _ = acting.brought_to(source)
        if target in MOVES[source]:
            assert db.run(_BY_HAND, id=job_id, to=target) == 1
        else:
            with pytest.raises(psycopg2.errors.CheckViolation):
                db.run(_BY_HAND, id=job_id, to=target)
            assert acting.status(job_id) == source
        db.run("DELETE FROM jobs")


# Everything the CHECKs want besides, so that only the move itself can be refused.
_BY_HAND = """
    UPDATE jobs SET status = %(to)s, fence = fence + (%(to)s = 'running')::int,
        result = '{}', error = '{}',
        finished_at = CASE WHEN %(to)s IN ('completed','failed','cancelled') THEN now() END,
        lease_id = CASE WHEN %(to)s = 'running' THEN gen_random_uuid() END,
        lease_expires_at = CASE WHEN %(to)s = 'running' THEN now() END,
        worker_id = CASE WHEN %(to)s = 'running' THEN 'w9' END
    WHERE job_id = %(id)s"""


def test_final_statuses_lead_nowhere_and_waiting_ones_can_be_cancelled() -> None:
    assert all(MOVES[status] == () and status.is_final for status in FINAL)
    assert all(Status.CANCELLED in MOVES[status] and status.is_waiting for status in WAITING)
    assert not RUN.is_final
    assert not RUN.is_waiting


def test_every_move_is_written_down_once_in_order() -> None:
    claim = acting.claimed()
    lifecycle.retry_later(claim, TemporaryError("no"), 0)
    again = acting.claim()
    assert again is not None
    lifecycle.complete(again, {})
    moves = db.rows(
        "SELECT from_status, to_status, fence FROM job_history WHERE job_id = %(id)s ORDER BY id",
        id=claim.job_id,
    )
    assert [tuple(m.values()) for m in moves] == [
        (None, "queued", 0),
        ("queued", "running", 1),
        ("running", "retry", 1),
        ("retry", "running", 2),
        ("running", "completed", 2),
    ]


@pytest.mark.parametrize(
    ("word", "status"),
    [("in_progress", RUN), ("success", Status.COMPLETED), ("canceled", Status.CANCELLED), ("retry", RETRY)],
)
def test_other_tools_words_for_statuses_are_understood(word: str, status: Status) -> None:
    assert parse_status(word) == status


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="sleeping"):
        parse_status("sleeping")


def test_priorities_have_the_documents_words_and_numbers() -> None:
    assert PRIORITIES == ("critical", "high", "normal", "low")
    assert [p.scale for p in Priority] == [9, 6, 3, 0]
    assert Priority.named("High") is Priority.HIGH
