"""Postgres crashed, restarted, cut off, stopped, closed for writing, crowded and locked."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

import psycopg2
import psycopg2.extensions

from tests.chaos.storm.faults import Acting, fault, lasting
from tests.chaos.storm.product import Product

_BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'chaos' ORDER BY pid"""
_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.6"""


@fault("postgres-crash")
def postgres_crash(product: Product, _dice: random.Random) -> Acting:
    product.pair.postgres.crash()
    yield from lasting(product.pair.postgres.start)


@fault("postgres-restart")
def postgres_restart(product: Product, _dice: random.Random) -> Acting:
    product.pair.postgres.stop()
    yield from lasting(product.pair.postgres.start)


@fault("postgres-cut")
def postgres_cut(product: Product, _dice: random.Random) -> Acting:
    while True:
        with suppress(psycopg2.Error):
            product.ask(_CUT)
        for _ in range(3):
            yield


@fault("postgres-freeze")
def postgres_freeze(product: Product, dice: random.Random) -> Acting:
    pids = [pid for (pid,) in product.ask(_BACKENDS)]
    stopped = dice.sample(pids, max(1, len(pids) // 3)) if pids else []

    def send(number: signal.Signals) -> None:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    send(signal.SIGSTOP)
    yield from lasting(lambda: send(signal.SIGCONT))


@fault("postgres-read-only")
def postgres_read_only(product: Product, _dice: random.Random) -> Acting:
    def may_write(product: Product) -> None:
        product.ask("ALTER SYSTEM RESET default_transaction_read_only")
        product.ask("SELECT pg_reload_conf()")

    product.ask("ALTER SYSTEM SET default_transaction_read_only = on")
    product.ask("SELECT pg_reload_conf()")
    yield from lasting(lambda: may_write(product))


@fault("postgres-crowded")
def postgres_crowded(product: Product, _dice: random.Random) -> Acting:
    held: list[psycopg2.extensions.connection] = []
    url = product.fleet.database_url.replace("+psycopg2", "")

    def crowd() -> None:
        with suppress(psycopg2.OperationalError):
            while True:
                held.append(psycopg2.connect(url, application_name="crowd"))

    try:
        while True:
            crowd()
            yield
    finally:
        for connection in held:
            connection.close()


def _locked(product: Product, statement: str) -> Acting:
    connection = psycopg2.connect(
        product.fleet.database_url.replace("+psycopg2", ""), application_name="chaos"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            with suppress(psycopg2.errors.LockNotAvailable):
                cursor.execute(statement)
            yield from lasting(_nothing)
    finally:
        connection.close()


_nothing: Callable[[], None] = lambda: None  # noqa: E731


@fault("postgres-lock-table")
def postgres_lock_table(product: Product, _dice: random.Random) -> Acting:
    yield from _locked(product, "LOCK TABLE jobs IN SHARE MODE")


@fault("postgres-lock-rows")
def postgres_lock_rows(product: Product, _dice: random.Random) -> Acting:
    yield from _locked(
        product, "SELECT job_id FROM jobs WHERE finished_at IS NULL LIMIT 30 FOR UPDATE SKIP LOCKED"
    )
