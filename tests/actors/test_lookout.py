"""A worker that nobody rings: it looks by itself while Redis is away, and sweeps while no scheduler does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from actors.lookout import Lookout
from actors.post import Post
from app.db import db
from tests import acting
from tests.waiting import until

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def deaf(make_post: Callable[..., Post]) -> Iterator[tuple[Post, Lookout]]:
    """A post whose Redis is away, with its lookout not started: tests step it."""
    post = make_post(redis_url=NOWHERE, worker_threads=2)
    lookout = Lookout(post)
    yield post, lookout
    post.start_draining()
    lookout._hands.shutdown(wait=True)


def _status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def test_work_goes_on_without_redis_and_the_post_says_so(deaf: tuple[Post, Lookout]) -> None:
    post, lookout = deaf
    with db.quick():
        ids = [acting.submitted() for _ in range(5)]
    lookout.look()
    assert post.redis_away
    until(lambda: {_status(i) for i in ids} == {"completed"})


def test_failures_are_decided_without_the_middleware_too(deaf: tuple[Post, Lookout]) -> None:
    _post, lookout = deaf
    with db.quick():
        again = acting.submitted("test-flaky", parameters={"failures": 1}, options={"base_seconds": 0.01})
        buried = acting.submitted("test-flaky", parameters={"failures": 1, "kind": "permanent"})

    def stepped() -> bool:
        lookout.look()
        return (_status(again), _status(buried)) == ("completed", "failed")

    until(stepped)
    with db.quick():
        assert acting.job(again)["retry_count"] == 1
        assert db.value("SELECT count(*) FROM dead_letters") == 1


def test_it_leaves_the_work_to_the_bell_while_redis_answers(
    make_post: Callable[..., Post], redis_url: str
) -> None:
    post = make_post(redis_url=redis_url)
    lookout = Lookout(post)
    with db.quick():
        job_id = acting.submitted()
    lookout.look()
    lookout._hands.shutdown(wait=True)
    assert not post.redis_away
    assert _status(job_id) == "queued"


def test_a_draining_worker_does_not_look(deaf: tuple[Post, Lookout]) -> None:
    post, lookout = deaf
    with db.quick():
        job_id = acting.submitted()
    post.start_draining()
    lookout.look()
    lookout._hands.shutdown(wait=True)
    assert _status(job_id) == "queued"


def test_it_sweeps_when_no_scheduler_ticks(deaf: tuple[Post, Lookout], redis_url: str) -> None:
    _post, lookout = deaf
    with db.quick():
        db.run("UPDATE queues SET paused = true")  # so that nothing is claimed
        job_id = acting.submitted(due_in=60)
        acting.make_due(job_id)
    lookout.look()
    assert _status(job_id) == "pending"  # somebody ticked a moment ago
    with db.quick():
        db.run("UPDATE upkeep SET last_tick_at = now() - interval '1 minute'")
    lookout.look()
    assert _status(job_id) == "queued"
    with db.quick():
        assert db.value("SELECT last_tick_at > now() - interval '10 s' FROM upkeep")
