"""The other side of the ratio: Dramatiq alone, with a no-op actor, on the same Redis.

`dramatiq tests.bench.raw_dramatiq` runs it; `raw_enqueue` fills its queue.
"""

from __future__ import annotations

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

NAMESPACE = "bench-raw"
client = redis.Redis.from_url(os.environ["REDIS_URL"])
broker = RedisBroker(client=client, namespace=NAMESPACE)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="raw")
def nothing() -> None:
    """Count, so that the end can be seen."""
    client.incr(f"{NAMESPACE}:done")


def raw_enqueue(count: int) -> None:
    """Fill the queue with `count` messages."""
    client.delete(f"{NAMESPACE}:done")
    for _ in range(count):
        nothing.send()


def raw_done() -> int:
    """How many have run."""
    return int(client.get(f"{NAMESPACE}:done") or 0)
