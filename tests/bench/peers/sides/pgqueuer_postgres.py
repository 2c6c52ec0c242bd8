"""pgqueuer: jobs in Postgres, taken and settled in batches; a job's row is deleted when it is done.

This file is also the worker, `python -m` it: pgqueuer's own command runs the same manager on the same loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.bench.peers.sides.ledger import PROCESSES, note, now

WORKERS = [[sys.executable, "-m", "tests.bench.peers.sides.pgqueuer_postgres"] for _ in range(PROCESSES)]

_loop = uvloop.new_event_loop()
_state: dict[str, Queries | asyncpg.Connection | int] = {"sent": 0}


def prepare() -> None:
    """Connect, and make its tables."""
    _state["connection"] = _loop.run_until_complete(asyncpg.connect(os.environ["PEER_DATABASE"]))
    _state["queries"] = Queries.from_asyncpg_connection(_state["connection"])
    _loop.run_until_complete(_state["queries"].install())


def clear() -> None:
    """Jobs and what is remembered of them."""
    _state["sent"] = 0
    _loop.run_until_complete(_state["connection"].execute("TRUNCATE pgqueuer, pgqueuer_log"))


def submit() -> None:
    """One row."""
    _state["sent"] += 1
    _loop.run_until_complete(_state["queries"].enqueue("nothing", None))


def submit_many(count: int) -> None:
    """Many rows by one call."""
    _state["sent"] += count
    _loop.run_until_complete(_state["queries"].enqueue(["nothing"] * count, [None] * count, [0] * count))


def submit_note(number: int, pause: float) -> None:
    """One row with numbers in it."""
    _loop.run_until_complete(_state["queries"].enqueue("noted", json.dumps([number, now(), pause]).encode()))


def done() -> int:
    """Rows that are gone."""
    waiting = _loop.run_until_complete(_state["connection"].fetchval("SELECT count(*) FROM pgqueuer"))
    return int(_state["sent"]) - int(waiting)


async def _work() -> None:
    connection = await asyncpg.connect(os.environ["PEER_DATABASE"])
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("nothing")
    async def nothing(_job: Job) -> None:
        """Its row is deleted."""

    @queuer.entrypoint("noted")
    async def noted(job: Job) -> None:
        number, sent, pause = json.loads(job.payload)
        await asyncio.sleep(pause)
        note(number, sent)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
    await queuer.run()


if __name__ == "__main__":
    uvloop.run(_work())
