"""Redis flushed, emptied, stopped, full, and fed with nonsense."""

from __future__ import annotations

import random
from contextlib import suppress

import redis

from actors.broker import make_ringer
from tests.chaos.storm.faults import Acting, at_once, fault, lasting
from tests.chaos.storm.product import Product
from tests.chaos.test_servers_die import restart_empty

GARBAGE = (
    b"\x80\x04\x95nonsense",
    b"{}",
    b"not json",
    b'{"queue_name":"x","actor_name":"nobody","args":[],"kwargs":{},"options":{},"message_id":"1","message_timestamp":1}',
    b'{"queue_name":"general","actor_name":"work","args":["no such pool", {"x": [1]}],"kwargs":{},"options":{},"message_id":"2","message_timestamp":1}',
    b"x" * 2_000_000,
)


@fault("redis-flush")
def redis_flush(product: Product, _dice: random.Random) -> Acting:
    for _ in range(5):
        with suppress(redis.RedisError), product.broker() as broker:
            broker.flushall()
        for _ in range(3):
            yield


@fault("redis-empty")
def redis_empty(product: Product, _dice: random.Random) -> Acting:
    product.pair.redis.crash()
    yield from lasting(lambda: restart_empty(product.pair.redis))


@fault("redis-freeze")
def redis_freeze(product: Product, _dice: random.Random) -> Acting:
    product.pair.redis.freeze()
    yield from lasting(product.pair.redis.thaw)


def _small(product: Product, policy: str) -> Acting:
    with product.broker() as broker:
        broker.config_set("maxmemory-policy", policy)
        broker.config_set("maxmemory", 1 if policy == "noeviction" else broker.info("memory")["used_memory"])

    def large() -> None:
        with suppress(redis.RedisError), product.broker() as broker:
            broker.config_set("maxmemory", 0)
            broker.config_set("maxmemory-policy", "noeviction")

    yield from lasting(large)


@fault("redis-full")
def redis_full(product: Product, _dice: random.Random) -> Acting:
    yield from _small(product, "noeviction")


@fault("redis-evict")
def redis_evict(product: Product, _dice: random.Random) -> Acting:
    yield from _small(product, "allkeys-lru")


@fault("redis-garbage")
def redis_garbage(product: Product, dice: random.Random) -> Acting:
    with product.broker() as broker:
        for queue in _queues(broker):
            for number, junk in enumerate(dice.sample(GARBAGE, len(GARBAGE))):
                message_id = f"junk-{dice.getrandbits(32)}-{number}"
                broker.hset(f"{queue}.msgs", message_id, junk)  # type: ignore[arg-type]
                broker.rpush(queue, message_id, f"missing-{message_id}")
    yield from at_once()


@fault("redis-twice")
def redis_twice(product: Product, _dice: random.Random) -> Acting:
    with product.broker() as broker:
        for queue in _queues(broker):
            for message_id in list(broker.hkeys(f"{queue}.msgs"))[:100]:
                broker.rpush(queue, *[message_id] * 10)  # type: ignore[misc]
    make_ringer(product.pair.redis.url).ring("general", 50)
    yield from at_once()


def _queues(broker: redis.Redis) -> list[str]:
    """The lists that workers take messages from: those with a hash of messages beside them, and where that would be."""
    known = {key.decode().removesuffix(".msgs") for key in broker.scan_iter("*.msgs")}
    return sorted({name for name in known if not name.endswith(".DQ")} | {"dramatiq:general"})
