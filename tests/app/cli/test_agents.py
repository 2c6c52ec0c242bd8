"""`callboard agents …` against a real database: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
from click.testing import CliRunner, Result

from app.agents import registry
from app.agents.definition import parse
from app.cli import cli
from tests.app.agents import collections
from tests.services import pair

Run = Callable[..., Result]


@pytest.fixture
def run(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on an empty, migrated database."""
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("CALLBOARD_HOME", str(tmp_path / "home"))
    registry.forget()

    def call(*words: object) -> Result:
        registry.forget()
        return CliRunner().invoke(cli, ["agents", *map(str, words)])

    return call


def _agents(connection: psycopg2.extensions.connection) -> list[Any]:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT agent_id, source FROM agents ORDER BY agent_id")
        return cursor.fetchall()


def test_a_repository_is_imported_and_listed(
    run: Run, connection: psycopg2.extensions.connection, tmp_path: Path
) -> None:
    done = run("import", collections.repository(tmp_path / "store"))

    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "3 new")
    assert _agents(connection) == [("planner", "import"), ("reviewer", "import"), ("seller", "import")]
    listed = run("list").output
    assert "reviewer" in listed
    assert "STORE" in listed
    assert run("import", tmp_path / "store").output.splitlines()[-1] == "3 unchanged"


def test_a_dry_run_writes_nothing(
    run: Run, connection: psycopg2.extensions.connection, tmp_path: Path
) -> None:
    done = run("import", collections.three_teams(tmp_path / "ws"), "--dry-run")

    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "34 new (dry run: nothing was written)")
    assert _agents(connection) == []


def test_a_broken_file_is_told_with_its_line_and_the_rest_comes_in(
    run: Run, connection: psycopg2.extensions.connection, tmp_path: Path
) -> None:
    (tmp_path / "good.md").write_text("---\ndescription: d\n---\n")
    (tmp_path / "bad.md").write_text("---\ndescription: d\nx-callboard:\n  pool: kitchen\n---\n")
    done = run("import", tmp_path)

    assert done.exit_code == 1
    assert f"{(tmp_path / 'bad.md').resolve()}:4: /x-callboard/pool" in done.output
    assert _agents(connection) == [("good", "import")]


def test_the_plan_is_answered_as_json_and_changes_are_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "writer.md"
    file.write_text("---\ndescription: d\n---\nOne.\n")
    run("import", file)
    file.write_text("---\ndescription: d\n---\nTwo.\n")

    told = json.loads(run("import", file, "--dry-run", "--json").output)
    assert (told["dry_run"], told["counts"]["changed"], told["items"][0]["added"]) == (True, 1, 1)
    shown = run("import", file, "--diff").output
    assert "~ writer (+1 -1)" in shown
    assert "    +Two." in shown.splitlines()


def test_a_zip_is_imported(run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "ws.zip"
    archive.write_bytes(collections.zipped_folder(collections.three_teams(tmp_path / "ws")))

    assert run("import", archive).output.splitlines()[-1] == "34 new"


def test_what_is_exported_means_the_same_agent(run: Run, tmp_path: Path) -> None:
    run("import", collections.repository(tmp_path / "store"))
    shown = json.loads(run("show", "reviewer").output)
    exported = parse("reviewer", run("export", "reviewer").output)

    assert (exported.title, exported.ours.team, exported.ours.timeout) == ("The reviewer", "STORE", 90)
    assert exported.title == shown["agent_name"]
    assert [version["number"] for version in shown["versions"]] == [1]
    assert run("export", "reviewer", "--version", "1").exit_code == 0


def test_all_agents_as_json(run: Run, tmp_path: Path) -> None:
    run("import", collections.flat(tmp_path / "flat", 3))

    assert [agent["agent_id"] for agent in json.loads(run("list", "--json").output)] == [
        "worker-0", "worker-1", "worker-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import"], 2, "Missing argument"),
        (["import", "/nowhere/at/all"], 2, "does not exist"),
        (["show", "nobody"], 1, "there is no agent"),
        (["export", "nobody"], 1, "there is no agent"),
        (["dance"], 2, "No such command"),
        (["import", "--help"], 0, "Exit codes"),
        (["--help"], 0, "export"),
    ],
)
def test_exit_codes_and_words(run: Run, words: list[str], code: int, said: str) -> None:
    done = run(*words)

    assert (done.exit_code, said in done.output) == (code, True), done.output


def test_no_database_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/x")
    done = run("list")

    assert (done.exit_code, "Postgres does not answer" in done.output) == (1, True)


def test_it_finds_the_embedded_postgres_of_a_running_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    registry.forget()
    with pair() as servers:
        monkeypatch.setenv("CALLBOARD_HOME", str(servers.postgres.kind.ground.home))
        made = CliRunner().invoke(cli, ["db", "upgrade"], env={"DATABASE_URL": servers.postgres.url})
        assert made.exit_code == 0, made.output
        done = CliRunner().invoke(cli, ["agents", "import", str(collections.repository(tmp_path / "store"))])
        assert (done.exit_code, done.output.splitlines()[-1]) == (0, "3 new")


def test_without_a_database_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CALLBOARD_HOME", str(tmp_path / "nowhere"))
    done = CliRunner().invoke(cli, ["agents", "list"])
    assert done.exit_code == 1
    assert "make run" in done.output
    assert not (tmp_path / "nowhere").exists()
