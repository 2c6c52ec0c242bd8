"""RQ with workers that do not fork for each job (it has no threads; forking is ten times slower still)."""

from __future__ import annotations

import os
import sys
import time

import redis
from rq import Queue

from tests.bench.peers.sides.ledger import PROCESSES, note, now

client = redis.Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("bench", connection=client)

WORKERS = [
    [sys.executable, "-m", "rq.cli", "worker", "bench", "--worker-class", "rq.SimpleWorker", "--url",
     os.environ["REDIS_URL"], "--quiet"]
    for _ in range(PROCESSES)
]  # fmt: skip


def nothing() -> None:
    """Count, so that the end can be seen."""
    client.incr("bench:done")


def noted(number: int, sent: float, pause: float) -> None:
    """Take `pause` seconds and say so."""
    time.sleep(pause)
    note(number, sent)


def prepare() -> None:
    """Nothing to make."""


def clear() -> None:
    """Its own database of the server."""
    client.flushdb()


def submit() -> None:
    """One job."""
    queue.enqueue(nothing)


def submit_many(count: int) -> None:
    """Many jobs by one call."""
    queue.enqueue_many([Queue.prepare_data(nothing) for _ in range(count)])


def submit_note(number: int, pause: float) -> None:
    """One job with numbers in it."""
    queue.enqueue(noted, number, now(), pause)


def done() -> int:
    """How many have run."""
    return int(client.get("bench:done") or 0)
