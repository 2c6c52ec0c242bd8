"""Oban for Python: jobs in Postgres, fetched and acknowledged in batches, kept for a day. Needs Python 3.12."""

from __future__ import annotations

import asyncio
import os
import sys

from oban import Job, Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

from tests.bench.peers.sides.ledger import PROCESSES, THREADS, note, now

WORKERS = [
    [sys.executable, "-m", "oban", "start", "--dsn", os.environ["PEER_DATABASE"], "--queues",
     f"default:{THREADS}", "--node", f"bench{number}", "--log-level", "ERROR"]
    for number in range(PROCESSES)
]  # fmt: skip

_loop = asyncio.new_event_loop()
_state: dict[str, Oban | AsyncConnectionPool] = {}


# As classes: the `enqueue` of functions under @job does not take what it hands on (0.7.0).
@worker(queue="default")
class Nothing:
    """A no-op."""

    async def process(self, _job: Job) -> None:
        """Its row says that it is completed."""


@worker(queue="default")
class Noted:
    """A job with numbers in it."""

    async def process(self, job: Job) -> None:
        """Take `pause` seconds and say so."""
        await asyncio.sleep(job.args["pause"])
        note(job.args["number"], job.args["sent"])


def prepare() -> None:
    """Connect, and make its tables."""
    _loop.run_until_complete(_prepare())


async def _prepare() -> None:
    pool = AsyncConnectionPool(conninfo=os.environ["PEER_DATABASE"], min_size=1, open=False)
    await pool.open()
    await install(pool)
    _state["pool"] = pool
    _state["oban"] = await Oban(pool=pool).start()


def clear() -> None:
    """All jobs."""
    _loop.run_until_complete(_ask("TRUNCATE oban_jobs"))


def submit() -> None:
    """One row."""
    _loop.run_until_complete(Nothing.enqueue())


def submit_many(count: int) -> None:
    """Many rows by one call."""
    _loop.run_until_complete(_state["oban"].enqueue_many([Nothing.new() for _ in range(count)]))


def submit_note(number: int, pause: float) -> None:
    """One row with numbers in it."""
    _loop.run_until_complete(Noted.enqueue({"number": number, "sent": now(), "pause": pause}))


def done() -> int:
    """Rows that are completed."""
    return _loop.run_until_complete(_ask("SELECT count(*) FROM oban_jobs WHERE state = 'completed'"))


async def _ask(statement: str) -> int:
    async with _state["pool"].connection() as connection:
        cursor = await connection.execute(statement)
        row = await cursor.fetchone() if cursor.description else (0,)
        return int(row[0])
