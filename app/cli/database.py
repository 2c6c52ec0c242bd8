"""`callboard db upgrade`, `callboard seed`, and `callboard prepare`, which is both.

Every start runs `prepare`, and nearly every time there is nothing to do: Alembic, SQLAlchemy and the rooms are
imported only when there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click
import psycopg2
import psycopg2.extensions

from app import bare_app
from app.cli.configured import settings
from app.errors import Unavailable
from app.ops import prepared
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
    chosen = settings()
    with one_at_a_time(chosen.database_url):
        migrate(chosen)


@click.command()
def seed() -> None:
    """Fill in what must exist (agents, the first admin); changes nothing that is there."""
    chosen = settings()
    with one_at_a_time(chosen.database_url):
        sow(chosen)


@click.command()
def prepare() -> None:
    """Upgrade the schema, then seed: what must be done before the new version starts.

    Does nothing, quickly, where the same version was prepared before with the same agents and the same admin,
    and where a newer version was: going back changes nothing, because the code before works on the newer schema.
    """
    chosen = settings()
    digest = prepared.fingerprint(
        chosen.agent_folders,
        chosen.admin_email,
        chosen.admin_api_key,
        *chosen.providers_wanted,
        *(key.fingerprint for key in chosen.sealing_keys),
        *chosen.signing_keys,
        *chosen.token_keys,
    )
    if is_prepared(chosen, digest):
        return
    with one_at_a_time(chosen.database_url):
        if is_prepared(chosen, digest):  # by the one we waited for
            return
        if revision := newer(chosen):
            click.echo(f"A newer version has brought the schema to {revision}; this one works on it as it is")
            return
        saved = back_up_first(chosen)
        migrate(chosen)
        sow(chosen, digest, saved)


def is_prepared(chosen: Settings, digest: str) -> bool:
    """Whether the database was prepared by what has this fingerprint; raises Unavailable without Postgres."""
    with closing(connect(chosen.database_url)) as connection:
        return prepared.is_prepared(connection, digest, chosen.admin_email)


def newer(chosen: Settings) -> str | None:
    """The schema's revision, if only a newer version than this one knows it; platforms go back by a release too."""
    with closing(connect(chosen.database_url)) as connection:
        return prepared.made_by_newer(connection)


def migrate(chosen: Settings) -> None:
    """Bring the schema to this version."""
    from flask_migrate import upgrade as forward

    with bare_app(chosen).app_context():
        forward()


def back_up_first(chosen: Settings) -> dict[str, Any] | None:
    """What stands in the embedded Postgres before its schema changes, as a backup; None if none is wanted or needed."""
    from app.cli import restoring

    return restoring.back_up_first(chosen)  # type: ignore[no-any-return]


def sow(chosen: Settings, digest: str | None = None, saved: dict[str, Any] | None = None) -> None:
    """Seed, note the fingerprint, commit, and print what the seed has to say (say, the password it made)."""
    from app.accounts import key_ages
    from app.db import db
    from app.ops.seed import seed as fill
    from app.secrets import known

    with bare_app(chosen).app_context():
        lines = fill(chosen) + known.note(chosen.sealing_keys)
        key_ages.note("signing", chosen.signing_key)
        key_ages.note("tokens", chosen.token_keys[0])
        if saved:
            from app.cli import restoring

            restoring.note_first(chosen, saved)
        if digest is not None:
            db.run(prepared.NOTE, mark=prepared.mark(db.value(prepared.REVISION), digest))
        db.session.commit()
    for line in lines:
        click.echo(line)


def connect(url: str) -> psycopg2.extensions.connection:
    """A connection to the settings' database; raises Unavailable with what to do about it."""
    if not url:
        raise Unavailable("DATABASE_URL is not set; `make run` sets it for its embedded Postgres")
    try:
        return psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://", 1), connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"Postgres does not answer; check DATABASE_URL\n{str(error).strip()}") from error


@contextmanager
def one_at_a_time(url: str) -> Iterator[None]:
    """Hold the lock of preparations on a connection of its own; raises Unavailable without Postgres.

    A transaction's lock, because a session's is not safe behind a transaction pooler.
    """
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", (LOCK_WAIT,))
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
        yield
