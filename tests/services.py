"""A real Postgres and a real broker for tests: started, crashed, frozen, and thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url

from app.ops.embedded import Postgres, Valkey
from app.ops.ground import lay_out
from app.ops.processes import Child
from app.settings import ROOT
from tests.waiting import until

TEMPLATE = "callboard"


class Server:
    """One embedded server under a test's control."""

    def __init__(self, kind: Postgres | Valkey) -> None:
        """Nothing runs before `start`."""
        self.kind = kind
        self.child = Child(kind.program(), kind.ground.home)

    @property
    def url(self) -> str:
        """How to reach it."""
        return self.kind.url

    def start(self) -> None:
        """Start it and wait until it answers; also after a crash or a stop."""
        self.child.start()
        until(self.kind.answers, 60)
        self.kind.provision()

    def stop(self) -> None:
        """Stop it in its orderly way."""
        self.child.ask_to_stop()
        until(lambda: not self.child.alive, 30)
        self.child.kill()

    def crash(self) -> None:
        """Take it down at once: Postgres by SIGQUIT ("immediate"), the broker by SIGKILL."""
        if isinstance(self.kind, Postgres):
            self.child.quit_hard()
            until(lambda: not self.child.alive, 30)
        self.child.kill()

    def freeze(self) -> None:
        """Stop it from running (SIGSTOP): connections stay open and nothing answers."""
        self.child.signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.child.signal_group(signal.SIGCONT)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A Postgres and a broker that belong together."""

    postgres: Server
    redis: Server


@contextmanager
def pair(*, expendable: bool = True) -> Iterator[Pair]:
    """Start both in a folder of their own; stop them and remove the folder at the end.

    `expendable=False` keeps data as safely as in the product: needed where a test crashes a server
    and expects its data afterwards.
    """
    # Not pytest's tmp_path: that is closed to the account that runs Postgres for root.
    home = Path(tempfile.mkdtemp(prefix="cb-"))
    for folder in ("run", "log"):
        (home / folder).mkdir()
    ground = lay_out(home)
    kinds = (Postgres(ground, expendable=expendable), Valkey(ground, expendable=expendable))
    for kind in kinds:
        kind.prepare()
    postgres, redis = (Server(kind) for kind in kinds)
    try:
        postgres.start()
        redis.start()
        yield Pair(postgres=postgres, redis=redis)
    finally:
        redis.child.kill()
        postgres.child.quit_hard() if expendable else postgres.child.ask_to_stop()
        until(lambda: not postgres.child.alive, 30)
        postgres.child.kill()
        shutil.rmtree(home)


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema, as a release does."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "db", "upgrade"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


@contextmanager
def cloned(url: str, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a new copy of the database `template`, dropped at the end.

    Nobody may be connected to the template meanwhile.
    """
    name = f"t_{uuid.uuid4().hex[:12]}"
    source, copy = sql.Identifier(template), sql.Identifier(name)
    execute(url, sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(copy, source))
    try:
        yield with_database(url, name)
    finally:
        until(lambda: _dropped(url, copy), 20, 0.2)


def _dropped(url: str, name: sql.Identifier) -> bool:
    """Whether the database could be dropped now; not while an autovacuum worker, which is nobody's to end, is in it."""
    try:
        execute(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def with_database(url: str, name: str) -> str:
    """`url` with another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def execute(url: str, statement: sql.Composable) -> None:
    """Run `statement` outside a transaction, connected to the server's `postgres` database."""
    connection = psycopg2.connect(libpq(url), dbname="postgres")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def libpq(url: str) -> str:
    """`url` as psycopg2 itself understands it."""
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)
