"""Preparing a database: done when anything it depends on has changed, and else over at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest
from flask_migrate import downgrade
from sqlalchemy import make_url

from app import bare_app
from app.db import db
from app.ops import prepared
from app.settings import ROOT, Settings
from tests.services import cloned, libpq

AGENT = """---
name: {name}
x-callboard: {{runner: python, python: {{call: "tests.nothing:run"}}}}
---
{text}
"""
Connection = psycopg2.extensions.connection


class Database:
    """A database, and what `prepare` is told about it."""

    def __init__(self, url: str, connection: Connection, home: Path) -> None:
        """Nothing is prepared yet."""
        self.connection = connection
        self.environ = {**os.environ, "DATABASE_URL": url, "CALLBOARD_HOME": str(home)}
        connection.autocommit = True

    def prepare(self, **more: str) -> str:
        """Run the command of the release phase; answers its output, which ends with what heavy things it loaded."""
        script = (
            "import sys; from app.cli import cli; cli(['prepare'], standalone_mode=False);"
            "print('loaded:', *sorted({'alembic', 'sqlalchemy', 'flask'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=self.environ | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("{"))

    def column(self, statement: str) -> list[object]:
        """The first column of a statement's rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()]

    def run(self, statement: str) -> None:
        """Run a statement for its effect."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.fixture
def database(fresh_database: str, connection: Connection, tmp_path: Path) -> Database:
    """A migrated, empty database that nobody has prepared."""
    return Database(fresh_database, connection, tmp_path / "home")


@dataclass(frozen=True, kw_only=True)
class Once:
    """A database that was prepared once, to be copied; nobody is connected to it."""

    name: str
    home: Path
    said: str


@pytest.fixture(scope="module")
def once(rig: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Once]:
    """The first preparation of an empty database."""
    home = tmp_path_factory.mktemp("prepared")
    with cloned(rig["DATABASE_URL"]) as url:
        opened = psycopg2.connect(libpq(url))
        said = Database(url, opened, home).prepare()
        opened.close()
        name = make_url(url).database
        assert name
        yield Once(name=name, home=home, said=said)


@pytest.fixture
def seeded(once: Once, rig: dict[str, str], tmp_path: Path) -> Iterator[Database]:
    """A copy of a database that was prepared, with the home that belongs to it."""
    home = shutil.copytree(once.home, tmp_path / "home")
    with cloned(rig["DATABASE_URL"], template=once.name) as url:
        opened = psycopg2.connect(libpq(url))
        yield Database(url, opened, home)
        opened.close()


EVERYTHING, NOTHING = "loaded: alembic flask sqlalchemy", "loaded:"


def test_the_second_time_there_is_nothing_to_do_and_nothing_is_loaded(once: Once, seeded: Database) -> None:
    agents = seeded.column("SELECT count(*) FROM agents")

    assert "First admin: admin@callboard.local" in once.said
    assert once.said.endswith(EVERYTHING)
    assert agents != [0]
    assert seeded.prepare() == NOTHING
    assert seeded.column("SELECT count(*) FROM agents") == agents


def test_new_and_changed_definitions_are_installed(seeded: Database, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "ours.md").write_text(AGENT.format(name="ours", text="old"))

    assert seeded.prepare(AGENT_FOLDERS=str(folder)).endswith(EVERYTHING)
    assert seeded.prepare(AGENT_FOLDERS=str(folder)) == NOTHING
    (folder / "ours.md").write_text(AGENT.format(name="ours", text="new"))
    (folder / "another.md").write_text(AGENT.format(name="another", text="first"))
    assert seeded.prepare(AGENT_FOLDERS=str(folder)).endswith(EVERYTHING)
    assert seeded.column(
        "SELECT instructions FROM agents WHERE source LIKE '%/agents' ORDER BY agent_id"
    ) == [
        "first",
        "new",
    ]


def test_another_admin_is_made(seeded: Database) -> None:
    assert "ada@example.org" in seeded.prepare(CALLBOARD_ADMIN_EMAIL="ada@example.org")
    assert seeded.prepare(CALLBOARD_ADMIN_EMAIL="ada@example.org") == NOTHING
    seeded.run("DELETE FROM users WHERE email = 'ada@example.org'")
    assert "ada@example.org" in seeded.prepare(CALLBOARD_ADMIN_EMAIL="ada@example.org")


def test_a_schema_that_went_back_comes_forward_again(seeded: Database, settings: Settings) -> None:
    app = bare_app(settings.model_copy(update={"database_url": seeded.environ["DATABASE_URL"]}))
    with app.app_context():
        downgrade(revision="-1")
        db.engine.dispose()

    assert seeded.prepare().endswith(EVERYTHING)
    assert seeded.prepare() == NOTHING


def test_a_database_without_tables_is_not_prepared(database: Database) -> None:
    database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    assert not prepared.is_prepared(database.connection, "any", "admin@callboard.local")
    assert "First admin" in database.prepare()


def test_any_change_of_a_definition_or_a_wish_changes_the_fingerprint(tmp_path: Path) -> None:
    seen = {prepared.fingerprint([tmp_path], "a", "b"), prepared.fingerprint([tmp_path], "ab", "")}
    (tmp_path / "one.md").write_text("1")
    seen.add(prepared.fingerprint([tmp_path], "a", "b"))
    (tmp_path / "one.md").write_text("2")
    seen.add(prepared.fingerprint([tmp_path], "a", "b"))
    (tmp_path / "one.md").rename(tmp_path / "two.md")
    seen.add(prepared.fingerprint([tmp_path], "a", "b"))

    assert len(seen) == 5
    assert prepared.fingerprint([tmp_path], "a", "b") in seen


def test_nested_roots_and_sidecars_count_for_the_fingerprint(tmp_path: Path) -> None:
    place = tmp_path / "TEAM" / ".claude" / "agents"
    place.mkdir(parents=True)
    seen = {prepared.fingerprint([tmp_path])}
    (place / "one.md").write_text("1")
    seen.add(prepared.fingerprint([tmp_path]))
    (tmp_path / "callboard.yaml").write_text("defaults: {}")
    seen.add(prepared.fingerprint([tmp_path]))
    (tmp_path / "callboard.yaml").write_text("defaults: {pool: testing}")
    seen.add(prepared.fingerprint([tmp_path]))

    assert len(seen) == 4
    assert prepared.fingerprint([tmp_path / "nowhere"])


def test_a_release_that_comes_back_leaves_the_newer_schema_as_it_is(database: Database) -> None:
    database.run("UPDATE alembic_version SET version_num = '9999'")

    said = database.prepare()

    assert "A newer version has brought the schema to 9999" in said
    assert database.column("SELECT version_num FROM alembic_version") == ["9999"]
    assert database.column("SELECT count(*) FROM agents") == [0]


def test_the_revisions_are_those_that_the_migrations_name() -> None:
    named = {
        found[1]
        for file in (prepared.MIGRATIONS / "versions").glob("*.py")
        if (found := re.search(r"^revision = '(\w+)'", file.read_text(), re.MULTILINE))
    }
    assert prepared.known_revisions() == named
