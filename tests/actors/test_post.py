"""A thread between two jobs: it settles the one and is handed the next, and never keeps what it does not begin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from actors import post as posts
from actors.execute import AttemptFailed, run_next
from actors.jobs import work_until_empty
from actors.post import Post
from actors.runners.base import Context, Work
from app.db import db
from app.jobs import lifecycle
from app.jobs.lifecycle import Success
from tests import acting

RunWith = Callable[[Callable[[Work, Context], Any]], None]


def _submitted(count: int, **wish: Any) -> list[str]:
    with db.quick():
        return [acting.submitted(**wish) for _ in range(count)]


def _statuses(job_ids: list[str]) -> list[str]:
    with db.quick():
        return [acting.job(job_id)["status"] for job_id in job_ids]


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The order of settles and claims, with how many of each."""
    heard: list[str] = []
    complete, claim = lifecycle.complete_many, posts.claim_next

    def completes(done: list[Success]) -> list[bool]:
        heard.append(f"settles {len(done)}")
        return complete(done)

    def claims(*args: Any, limit: int, **named: Any) -> Any:
        heard.append(f"claims {limit}")
        return claim(*args, limit=limit, **named)

    monkeypatch.setattr(lifecycle, "complete_many", completes)
    monkeypatch.setattr(posts, "claim_next", claims)
    return heard


def test_a_thread_settles_and_takes_its_next_job_by_one_turn(post: Post, spoken: list[str]) -> None:
    jobs = _submitted(2)
    work_until_empty(post)
    assert _statuses(jobs) == ["completed", "completed"]
    assert spoken == ["claims 1", "settles 1", "claims 1", "settles 1", "claims 1", "claims 1"]


def test_a_thread_that_does_one_job_only_takes_no_second(post: Post) -> None:
    jobs = _submitted(2)
    run_next(post)
    assert _statuses(jobs) == ["completed", "queued"]


def test_what_is_awaited_is_followed_up_before_the_thread_takes_another(
    post: Post, spoken: list[str]
) -> None:
    _submitted(1, notify={"email": "ada@example.com"})
    work_until_empty(post)
    assert spoken == ["claims 1", "settles 1", "claims 1"]


def test_a_job_that_was_handed_and_not_begun_is_given_back_at_once(post: Post, run_with: RunWith) -> None:
    first, second = _submitted(2)
    run_with(lambda _w, _c: {})

    def leaves() -> None:
        run_next(post)
        assert _statuses([first, second]) == ["completed", "running"]
        raise RuntimeError("the thread leaves")

    with pytest.raises(RuntimeError), post.seat():
        leaves()
    with db.quick():
        row = acting.job(second)
    assert (row["status"], row["status_reason"], row["retry_count"], row["released_count"]) == (
        "queued", "released", 0, 1,
    )  # fmt: skip


def test_a_process_that_ends_is_handed_nothing(post: Post, run_with: RunWith) -> None:
    jobs = _submitted(2)
    run_with(lambda _w, _c: post.start_draining() or {})
    work_until_empty(post)
    assert _statuses(jobs) == ["completed", "queued"]


def test_a_claim_that_cannot_be_made_does_not_undo_the_settle(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = _submitted(2)
    claim, calls = posts.claim_next, []

    def away_once(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise psycopg2.OperationalError("away")
        return claim(*args, **named)

    monkeypatch.setattr(posts, "claim_next", away_once)
    work_until_empty(post)
    assert _statuses(jobs) == ["completed", "completed"]


def test_who_lost_its_job_is_handed_no_other(post: Post, run_with: RunWith, spoken: list[str]) -> None:
    (job_id,) = _submitted(1)

    def loses(_work: Work, _context: Context) -> dict[str, Any]:
        with db.quick():
            db.run("UPDATE jobs SET lease_id = gen_random_uuid() WHERE job_id = %(job)s", job=job_id)
        return {}

    run_with(loses)
    work_until_empty(post)
    assert spoken == ["claims 1", "settles 1", "claims 1"]


def test_a_refused_result_costs_its_own_job_only(post: Post, run_with: RunWith) -> None:
    jobs = _submitted(3)
    together = threading.Barrier(3)

    def says(work: Work, context: Context) -> dict[str, Any]:
        together.wait(20)
        if work.job_id == jobs[1]:
            context.score = 11.0  # type: ignore[attr-defined]
        return {}

    run_with(says)

    def works(_n: int) -> str:
        try:
            run_next(post)
        except AttemptFailed as failed:
            return failed.error.error_class
        return "kept"

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(works, range(3))) == ["kept", "kept", "permanent"]
    assert _statuses(jobs) == ["completed", "running", "completed"]  # the middleware would bury it now
