"""The bell, on a real Redis-protocol server: cheap, capped, harmless when away, and knowing nothing of jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import dramatiq
import pytest
import redis

from actors import jobs
from actors.broker import (
    AWAY_SECONDS,
    MOST_BELLS,
    NAMESPACE,
    Bell,
    Ringer,
    bell_message,
    make_client,
    make_ringer,
)
from actors.middleware.dead_letter import DeadLetters
from actors.middleware.retry import Retry
from actors.post import Post
from app.db import db
from tests import acting
from tests.waiting import until

NOWHERE = "redis://127.0.0.1:1/0"
CANARY = "a-secret-that-must-stay-in-postgres"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    made = make_client(redis_url, timeout_seconds=5)
    yield made
    made.close()


def _bells(client: redis.Redis, pool: str = "general") -> int:
    return int(client.llen(f"{NAMESPACE}:{pool}"))


class TestRinging:
    def test_puts_as_many_bells_as_told(self, client: redis.Redis, redis_url: str) -> None:
        make_ringer(redis_url).ring("general", 3)
        assert _bells(client) == 3

    def test_never_leaves_more_than_the_most(self, client: redis.Redis, redis_url: str) -> None:
        ringer = make_ringer(redis_url)
        for _ in range(3):
            ringer.ring("general", 50)
        assert _bells(client) == MOST_BELLS
        assert client.llen(f"{NAMESPACE}:wake:general") <= 16

    def test_a_pools_bells_are_its_own(self, client: redis.Redis, redis_url: str) -> None:
        make_ringer(redis_url).ring("testing")
        assert (_bells(client), _bells(client, "testing")) == (0, 1)

    def test_declares_no_delay_queues(self, redis_url: str) -> None:
        broker = Bell(make_client(redis_url, timeout_seconds=5), [])
        broker.declare_queue("general")
        assert broker.get_declared_queues() == {"general"}
        assert broker.get_declared_delay_queues() == set()


class TestRedisAway:
    def test_a_ring_never_raises_and_then_stays_silent_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ringer = make_ringer(NOWHERE)
        now = [100.0]
        monkeypatch.setattr("actors.broker.time.monotonic", lambda: now[0])
        tries: list[str] = []
        real = ringer._ring

        def counted(pool: str, times: int) -> None:
            tries.append(pool)
            real(pool, times)

        monkeypatch.setattr(ringer, "_ring", counted)
        for _ in range(5):
            ringer.ring("general")
        assert len(tries) == 1
        now[0] += AWAY_SECONDS - 0.01
        ringer.ring("general")
        assert len(tries) == 1
        now[0] += 0.02
        ringer.ring("general")
        assert len(tries) == 2

    def test_a_client_tries_once_and_not_eleven_times(self) -> None:
        client = make_client(NOWHERE, timeout_seconds=0.5)
        assert client.get_retry().get_retries() == 0

    def test_a_submit_is_accepted_all_the_same(
        self, make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_post()
        monkeypatch.setattr("app.jobs.dispatch._ring", make_ringer(NOWHERE).ring)
        with db.transaction():
            job_id = acting.submitted()
        with db.quick():
            assert acting.status(job_id) == "queued"


@pytest.fixture
def working(
    redis_url: str, make_post: Callable[..., Post], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Post]:
    """A real Dramatiq worker on a real broker, as in production but for signals."""
    post = make_post(redis_url=redis_url, worker_threads=2)
    broker = Bell(make_client(redis_url, timeout_seconds=5), [DeadLetters(), Retry()])
    post.ringer = Ringer(broker)
    monkeypatch.setattr("app.jobs.dispatch._ring", make_ringer(redis_url).ring)
    jobs.declare(broker, post)
    worker = dramatiq.Worker(broker, worker_threads=2)
    worker.start()
    yield post
    post.start_draining()
    worker.stop(5_000)


class TestListening:
    def test_a_sleeping_consumer_wakes_at_once(self, working: Post) -> None:
        def one_round() -> float:
            began = time.monotonic()
            with db.transaction():
                job_id = acting.submitted()
            until(lambda: _status(job_id) == "completed", every=0.005)
            return time.monotonic() - began

        # Dramatiq's own consumer sleeps up to 0.5 s at random; the best of a few is not luck but the wake-up.
        assert min(one_round() for _ in range(6)) < 0.3

    def test_nothing_of_a_job_is_ever_in_redis(self, working: Post, client: redis.Redis) -> None:
        with db.transaction():
            ids = [
                acting.submitted(agent, parameters={"text": CANARY}, task_name=CANARY, tags=(CANARY,))
                for agent in ("test-noop", "test-echo")
            ]
        seen = b""
        while not all(_status(i) == "completed" for i in ids):
            seen += _dump(client)
        seen += _dump(client)
        assert b"work" in seen or NAMESPACE.encode() in seen
        for word in (CANARY, *ids):
            assert word.encode() not in seen

    def test_a_bell_for_nothing_is_harmless(self, working: Post, client: redis.Redis) -> None:
        working.ringer.ring("general", 20)
        until(lambda: _bells(client) == 0)
        with db.transaction():
            job_id = acting.submitted()
        assert until(lambda: _status(job_id) == "completed")

    def test_an_emptied_redis_loses_no_job(self, working: Post, client: redis.Redis) -> None:
        with db.quick():
            job_id = acting.submitted()
        client.flushdb()
        working.ringer.ring("general")
        assert until(lambda: _status(job_id) == "completed")


def _status(job_id: str) -> str:
    with db.quick():
        return acting.status(job_id)


def _dump(client: redis.Redis) -> bytes:
    return b" ".join(key + b" " + (client.dump(key) or b"") for key in client.scan_iter())


def test_the_only_message_there_is_names_its_pool_and_nothing_else() -> None:
    message = bell_message("testing")
    assert (message.queue_name, message.actor_name, message.args, message.kwargs, message.options) == (
        "testing", "work", ("testing",), {}, {}
    )  # fmt: skip
