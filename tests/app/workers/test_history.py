"""What a worker has done, and what became of what was lost with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.db import db
from app.errors import PermanentError
from app.jobs import lifecycle
from app.jobs.states import Reason
from app.workers import history
from tests import acting


@pytest.fixture(autouse=True)
def here(quick: Engine) -> Iterator[None]:
    history.forget()
    with db.quick():
        yield


def test_the_newest_attempts_come_first_each_with_what_became_of_it() -> None:
    done, failed, open_ = (acting.claimed(), acting.claimed(), acting.claimed())
    lifecycle.complete(done, {"ok": True})
    lifecycle.fail(failed, PermanentError("no"), Reason.PERMANENT)
    acting.claimed(worker="w2")

    rows = history.attempts("w1")
    assert [(row["job_id"], row["outcome"]) for row in rows] == [
        (open_.job_id, None),
        (failed.job_id, "failed"),
        (done.job_id, "completed"),
    ]
    assert rows[1]["error_type"] == "PermanentError"
    assert len(history.attempts("w1", limit=2)) == 2


def test_only_the_owners_attempts_are_listed_but_all_are_counted() -> None:
    lifecycle.complete(acting.claimed(), {"ok": True})
    mine = acting.claimed(submitted_by="bob")
    assert [row["job_id"] for row in history.attempts("w1", owner="bob")] == [mine.job_id]
    told = history.totals("w1")
    assert (told["attempts"], told["running"], told["completed"], told["failed"]) == (2, 1, 1, 0)


def test_totals_are_kept_for_some_seconds() -> None:
    assert history.totals("w1")["attempts"] == 0
    acting.claimed()
    assert history.totals("w1")["attempts"] == 0
    history.forget()
    assert history.totals("w1")["attempts"] == 1


def test_what_was_lost_with_a_worker_is_told() -> None:
    again, done, waits, held = (acting.claimed() for _ in range(4))
    for taken in (again, done, waits):
        acting.rescue(taken)
        acting.make_due(taken.job_id)
    taken = [acting.claim("w2") for _ in range(2)]
    assert [each.job_id for each in taken if each] == [again.job_id, done.job_id]
    lifecycle.complete(taken[1], {"ok": True})  # type: ignore[arg-type]

    assert history.rescued("w1") == {
        "lost": 3, "again": 1, "completed": 1, "failed": 0, "waiting": 1, "held": 1,
    }  # fmt: skip
    assert held.job_id
    assert history.attempts("w1")[-1]["later"]
