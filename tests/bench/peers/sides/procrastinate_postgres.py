"""Procrastinate: jobs, their history and their wake-ups all in Postgres."""

from __future__ import annotations

import asyncio
import os
import sys

import procrastinate

from tests.bench.peers.sides.ledger import PROCESSES, THREADS, note, now

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["PEER_DATABASE"]))

WORKERS = [
    [
        sys.executable,
        "-m",
        "procrastinate",
        "--app",
        f"{__name__}.app",
        "worker",
        "--concurrency",
        str(THREADS),
    ]
    for _ in range(PROCESSES)
]


@app.task(queue="bench")
async def nothing() -> None:
    """Its row says that it succeeded."""


@app.task(queue="bench")
async def noted(number: int, sent: float, pause: float) -> None:
    """Take `pause` seconds and say so."""
    await asyncio.sleep(pause)
    note(number, sent)


def prepare() -> None:
    """Connect, and make its schema."""
    app.open()
    app.schema_manager.apply_schema()


def clear() -> None:
    """All jobs and their events."""
    app.connector.get_sync_connector().execute_query("TRUNCATE procrastinate_jobs CASCADE")


def submit() -> None:
    """One row."""
    nothing.defer()


def submit_many(count: int) -> None:
    """Many rows by one call."""
    nothing.batch_defer(*({} for _ in range(count)))


def submit_note(number: int, pause: float) -> None:
    """One row with numbers in it."""
    noted.defer(number=number, sent=now(), pause=pause)


def done() -> int:
    """Rows that succeeded."""
    row = app.connector.get_sync_connector().execute_query_one(
        "SELECT count(*) AS n FROM procrastinate_jobs WHERE status = 'succeeded'"
    )
    return int(row["n"])
