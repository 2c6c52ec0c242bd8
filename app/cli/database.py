"""`callboard db upgrade`, `callboard seed`, and `callboard prepare`, which is both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg2
from flask_migrate import upgrade as migrate

from app import bare_app
from app.cli.configured import settings
from app.db import db
from app.errors import Unavailable
from app.settings import Settings

# Any number that every version of Callboard uses; not that of migrations/env.py, which locks for itself
# (inside this lock, on another connection).
PREPARE_LOCK = 0x0CA11B0B
LOCK_WAIT = "300s"


@click.group(name="db")
def database() -> None:
    """The database's schema."""


@database.command()
def upgrade() -> None:
    """Bring the schema to this version; safe to run by several processes at once."""
    with alone_in_app():
        migrate()


@click.command()
def seed() -> None:
    """Fill in what must exist (agents, the first admin); changes nothing that is there."""
    with alone_in_app() as chosen:
        sow(chosen)


@click.command()
def prepare() -> None:
    """Upgrade the schema, then seed: what must be done before the new version starts."""
    with alone_in_app() as chosen:
        migrate()
        sow(chosen)


@contextmanager
def alone_in_app() -> Iterator[Settings]:
    """An app context in which nobody else migrates or seeds the same database."""
    chosen = settings()
    with one_at_a_time(chosen.database_url), bare_app(chosen).app_context():
        yield chosen


def sow(chosen: Settings) -> None:
    """Seed, commit, and print what it has to say (say, the password it made)."""
    from app.ops.seed import seed as fill

    lines = fill(chosen)
    db.session.commit()
    for line in lines:
        click.echo(line)


@contextmanager
def one_at_a_time(url: str) -> Iterator[None]:
    """Hold the lock of preparations on a connection of its own; raises Unavailable without Postgres.

    A transaction's lock, because a session's is not safe behind a transaction pooler.
    """
    if not url:
        raise Unavailable("DATABASE_URL is not set; `make run` sets it for its embedded Postgres")
    try:
        connection = psycopg2.connect(
            url.replace("postgresql+psycopg2://", "postgresql://", 1), connect_timeout=5
        )
    except psycopg2.OperationalError as error:
        raise Unavailable(f"Postgres does not answer; check DATABASE_URL\n{str(error).strip()}") from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", (LOCK_WAIT,))
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
            yield
    finally:
        connection.close()
