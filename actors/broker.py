"""The bell: a Dramatiq broker on Redis whose only message is "there may be work in pool X".

No actor code is imported here, so the web process can ring without carrying the workers' weight. Nothing of a
job is ever in a message; losing, doubling or delaying one is harmless by construction.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.observe import logs, metrics

log = logs.get("broker")

NAMESPACE = "callboard"
ACTOR = "work"
# More bells than this waiting in a pool wake nobody who is not awake already.
MOST_BELLS = 64
LISTEN_SECONDS = 1.0
AWAY_SECONDS = 2.0
DEAF_SECONDS = 0.2


def make_client(url: str, *, timeout_seconds: float) -> redis.Redis:
    """A Redis client that fails fast: redis-py's own silent retries would ring one bell up to eleven times."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=min(1.0, timeout_seconds),
        retry=Retry(NoBackoff(), 0),
    )


class Bell(RedisBroker):
    """Dramatiq's Redis broker, without delayed messages and with consumers that wake at once."""

    def __init__(self, client: redis.Redis, middleware: list[dramatiq.Middleware]) -> None:
        """A dead process' bells are cleared after 60 s at the latest; they mean nothing anyway."""
        super().__init__(  # type: ignore[no-untyped-call]
            client=client, namespace=NAMESPACE, middleware=middleware, maintenance_chance=20_000
        )
        self.deaf = threading.Event()  # while it is set, bells are left for other workers

    @property
    def consumer_class(self) -> type[_RedisConsumer]:
        """Consumers that listen instead of sleeping."""
        return Listener

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue and no delay queue: delays live in Postgres as `run_at`."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)


class Listener(_RedisConsumer):
    """A consumer that waits on a wake key. Dramatiq's own sleeps up to half a second between looks."""

    def __init__(self, broker: Bell, queue_name: str, prefetch: int, _timeout: int) -> None:
        """A timeout of 0 makes the inherited look return at once; waiting is ours."""
        super().__init__(broker, queue_name, prefetch, 0)  # type: ignore[no-untyped-call]

    def __next__(self) -> Any:
        """The next message, or None after a while without one."""
        if self.broker.deaf.is_set():
            time.sleep(DEAF_SECONDS)
            return None
        try:
            message = super().__next__()  # type: ignore[no-untyped-call]
            if message is None:
                self._listen()
        except redis.TimeoutError as slow:  # no ConnectionError for redis-py, and "unexpected" for Dramatiq
            raise ConnectionClosed(slow) from None  # type: ignore[no-untyped-call]
        except redis.ConnectionError as away:
            raise ConnectionClosed(away) from None  # type: ignore[no-untyped-call]
        return message

    def _listen(self) -> None:
        if self.outstanding_message_count >= self.prefetch:
            time.sleep(0.05)  # every thread has a bell already; a wake-up would only be swallowed
        else:
            self.broker.client.blpop([_wake_key(self.queue_name)], timeout=LISTEN_SECONDS)


def _wake_key(pool: str) -> str:
    return f"{NAMESPACE}:wake:{pool}"


class Ringer:
    """Rings pools; after a failure it stays silent for two seconds, so that a dead Redis costs requests nothing."""

    def __init__(self, broker: RedisBroker) -> None:
        """`broker` needs no actors, only a client."""
        self.broker = broker
        self.silent_until = 0.0

    def ring(self, pool: str, times: int = 1) -> None:
        """Put up to `times` bells into `pool`, no more than MOST_BELLS in all; never raises."""
        if time.monotonic() < self.silent_until:
            return
        try:
            with metrics.redis_operation("ring"):
                self._ring(pool, times)
        except (redis.RedisError, dramatiq.errors.BrokerConnectionError) as away:
            self.silent_until = time.monotonic() + AWAY_SECONDS
            log.warning("bell.away", pool=pool, error=type(away).__name__)

    def _ring(self, pool: str, times: int) -> None:
        client = self.broker.client
        room = MOST_BELLS - int(client.llen(f"{NAMESPACE}:{pool}"))
        for _ in range(min(times, room)):
            self.broker.enqueue(bell_message(pool))
        with client.pipeline(transaction=False) as pipe:
            pipe.lpush(_wake_key(pool), *([b"1"] * min(times, 8)))
            pipe.ltrim(_wake_key(pool), 0, 15)
            pipe.execute()


def bell_message(pool: str) -> dramatiq.Message[Any]:
    """The one message there is."""
    return dramatiq.Message(queue_name=pool, actor_name=ACTOR, args=(pool,), kwargs={}, options={})


def make_ringer(redis_url: str) -> Ringer:
    """A ringer for a process that runs no actors: half a second is the most that Redis may cost it."""
    return Ringer(Bell(make_client(redis_url, timeout_seconds=0.5), []))
