"""How Alembic reaches the database: with Flask-Migrate's engine, under one advisory lock.

Two releases that start at once wait for each other: the lock is transaction-scoped, so it also works
behind a transaction pooler, and it is gone when the migration ends however it ends.
"""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import text

from app.db import Base

MIGRATION_LOCK = 0x0CA11B0A


def run() -> None:
    """Apply what is asked for, online; `--sql` output is not offered because functions are read from files."""
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=False,
            transaction_per_migration=False,
        )
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            context.run_migrations()


run()
