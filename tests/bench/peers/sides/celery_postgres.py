"""Celery with messages in Redis, results in Postgres and late acknowledgement: nothing is dropped by a dying worker."""

from __future__ import annotations

import os
import sys
import time

import psycopg2
from celery import Celery

from tests.bench.peers.sides.ledger import PROCESSES, note, now

_url = os.environ["REDIS_URL"]
_path, _, _query = _url.removeprefix("unix://").partition("?")
_broker = (
    f"redis+socket://{_path}?virtual_host={_query.removeprefix('db=')}" if _url.startswith("unix:") else _url
)

app = Celery(
    "bench",
    broker=_broker,
    backend="db+" + os.environ["PEER_DATABASE"].replace("postgresql://", "postgresql+psycopg2://", 1),
)
app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)

# Its own default pool: with threads, 2 x 8 of them, the same job takes twice the processor time in workers and more in
# Postgres, because each result is written on a connection of its own.
WORKERS = [
    [
        sys.executable,
        "-m",
        "celery",
        "--app",
        __name__,
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        str(PROCESSES),
        "--loglevel",
        "ERROR",
    ]
]
submit_many = None


@app.task(name="nothing")
def nothing() -> None:
    """Its result is a row in Postgres."""


@app.task(name="noted", ignore_result=True)
def noted(number: int, sent: float, pause: float) -> None:
    """Take `pause` seconds and say so."""
    time.sleep(pause)
    note(number, sent)


def prepare() -> None:
    """Have the result backend make its tables."""
    app.backend.ResultSession().close()
    app.connection().default_channel.client.flushdb()


def clear() -> None:
    """Messages and results."""
    app.connection().default_channel.client.flushdb()
    _ask("TRUNCATE celery_taskmeta")


def submit() -> None:
    """One message."""
    nothing.delay()


def submit_note(number: int, pause: float) -> None:
    """One message with numbers in it."""
    noted.delay(number, now(), pause)


def done() -> int:
    """Results that are written."""
    return int(_ask("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"))


def _ask(statement: str) -> int:
    connection = _connection()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else 0


def _connection() -> psycopg2.extensions.connection:
    global _open  # noqa: PLW0603 - one connection, opened when first needed
    if _open is None:
        _open = psycopg2.connect(os.environ["PEER_DATABASE"])
        _open.autocommit = True
    return _open


_open: psycopg2.extensions.connection | None = None
