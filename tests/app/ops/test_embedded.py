"""The embedded servers: stale locks, data, versions, and folders that the account cannot enter."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import redis

from app.errors import Unavailable
from app.ops import ground as places
from app.ops.embedded import Postgres, Valkey
from app.ops.ground import lay_out, remove
from tests.services import Server, libpq, pair
from tests.waiting import until

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home that the unprivileged account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    for name in ("run", "log"):
        (folder / name).mkdir()
    yield folder
    shutil.rmtree(folder)


def test_a_crashed_postgres_starts_again_with_its_rows() -> None:
    with pair(expendable=False) as servers:
        run(servers.postgres.url, "CREATE TABLE words AS SELECT 'kept' AS word")
        os.kill(servers.postgres.child.pid or 0, signal.SIGKILL)
        until(lambda: not servers.postgres.child.alive)

        servers.postgres.start()

        assert run(servers.postgres.url, "SELECT word FROM words") == [("kept",)]


def test_a_killed_broker_starts_again_with_its_keys() -> None:
    with pair(expendable=False) as servers, redis.Redis.from_url(servers.redis.url) as client:
        client.set("word", "kept")
        until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        servers.redis.crash()

        servers.redis.start()

        assert client.get("word") == b"kept"


def test_a_lock_file_of_somebody_elses_pid_does_not_hinder_the_start(home: Path) -> None:
    postgres = Postgres(lay_out(home), expendable=True)
    postgres.prepare()
    (postgres.folder / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.folder}\n")

    server = Server(postgres)
    server.start()

    assert run(postgres.url, "SELECT 1") == [(1,)]
    server.stop()


def test_a_start_that_was_killed_half_way_leaves_nothing_in_the_way(home: Path) -> None:
    ground = lay_out(home)
    (ground.data / "postgres.new-1").mkdir()

    postgres = Postgres(ground, expendable=True)
    postgres.prepare()

    # Where root has the project in a folder that is closed to others, its account needs a copy of the programs.
    copied = {"programs"} if postgres.programs.is_relative_to(ground.data) else set()
    assert {path.name for path in ground.data.iterdir()} == {"postgres"} | copied


def test_data_of_another_major_version_is_refused_with_the_way_out(home: Path) -> None:
    postgres = Postgres(lay_out(home), expendable=True)
    postgres.folder.mkdir()
    (postgres.folder / "PG_VERSION").write_text("15\n")

    with pytest.raises(Unavailable, match="pg_dump"):
        postgres.prepare()


def test_a_long_path_gets_short_sockets() -> None:
    home = Path(tempfile.mkdtemp(prefix="cb-")) / ("long" * 25)
    home.parent.chmod(0o711)
    for name in ("run", "log"):
        (home / name).mkdir(parents=True)
    ground = lay_out(home)
    valkey = Valkey(ground, expendable=True)
    valkey.prepare()

    server = Server(valkey)
    server.start()
    server.stop()

    assert ground.sockets.parent == Path(tempfile.gettempdir())
    remove(ground)
    home.parent.rmdir()


@pytest.mark.skipif(not AS_ROOT, reason="only root changes the account")
def test_a_home_that_is_closed_to_the_account_keeps_its_data_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path(tempfile.mkdtemp(prefix="cb-"))
    elsewhere.chmod(0o711)
    monkeypatch.setattr(places, "SYSTEM_DATA", elsewhere)
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    for name in ("run", "log"):
        (home / name).mkdir(parents=True)

    first, second = lay_out(home), lay_out(home)
    server = Server(_prepared(Postgres(first, expendable=True)))
    server.start()
    server.stop()

    assert first == second
    assert first.data.parent == elsewhere
    assert (home / "data").resolve() == first.data
    shutil.rmtree(elsewhere)


@pytest.mark.skipif(not AS_ROOT, reason="only root changes the account")
def test_binaries_in_a_closed_folder_are_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = lay_out(home)
    original = Valkey(ground).binary
    closed = home / "closed" / "_binaries" / "here"
    closed.mkdir(parents=True)
    shutil.copy2(original, closed)
    (home / "closed").chmod(0o700)
    monkeypatch.setattr("app.ops.embedded._package", lambda _name: home / "closed")

    server = Server(_prepared(Valkey(ground, expendable=True)))
    server.start()
    server.stop()

    assert list((ground.data / "programs").glob("valkey-*/valkey-server"))


def _prepared(server: Postgres | Valkey) -> Postgres | Valkey:
    server.prepare()
    return server


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement and commit."""
    with psycopg2.connect(libpq(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows
