"""The models, the migrations and the drawings say the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Engine, create_engine, text

from app import bare_app
from app.db import Base, db
from app.jobs.states import MOVES, Status
from app.settings import POOLS, Settings


@pytest.fixture
def fresh(fresh_database: str, settings: Settings) -> Iterator[Engine]:
    made = create_engine(fresh_database)
    yield made
    made.dispose()


@pytest.fixture
def bare(fresh_database: str, settings: Settings) -> Iterator[Flask]:
    app = bare_app(settings.model_copy(update={"database_url": fresh_database}))
    with app.app_context():
        yield app
        db.engine.dispose()


def test_the_migrated_schema_is_what_the_models_draw(bare: Flask, fresh: Engine) -> None:
    with fresh.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_table_of_the_database_has_a_model(bare: Flask, fresh: Engine) -> None:
    with fresh.connect() as connection:
        tables = set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
    assert tables - {"alembic_version"} == set(Base.metadata.tables)


def test_one_can_go_back_to_nothing_and_forward_again(bare: Flask, fresh: Engine) -> None:
    before = _objects(fresh)
    downgrade(revision="base")
    assert _objects(fresh) == {("table", "alembic_version"), ("index", "alembic_version_pkc")}
    upgrade()
    assert _objects(fresh) == before


def _objects(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        return {
            (kind, name)
            for kind, name in connection.execute(
                text(
                    """SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' ELSE 'other' END, relname
                       FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'v', 'm')
                       UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                       UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal"""
                )
            )
        }


def test_the_trigger_allows_exactly_the_moves_that_are_drawn(fresh: Engine) -> None:
    with fresh.connect() as connection:
        for source, target in itertools.product(Status, Status):
            allowed = connection.scalar(text("SELECT jobs_move_allowed(:a, :b)"), {"a": source, "b": target})
            assert allowed is (target in MOVES[source]), f"{source} → {target}"


def test_every_pool_of_the_settings_has_its_row_and_no_other(fresh: Engine) -> None:
    with fresh.connect() as connection:
        assert set(connection.scalars(text("SELECT pool FROM queues"))) == set(POOLS)


def test_there_is_one_row_of_upkeep(fresh: Engine) -> None:
    with fresh.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM upkeep")) == 1
