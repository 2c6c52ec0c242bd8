"""The one Postgres and the one Redis that all peers are measured on, and the loss of the latter."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis
from psycopg2 import sql

from app.settings import ROOT
from tests.bench.peers import meter
from tests.services import Pair, execute, libpq, pair, with_database

AGENTS = (ROOT / "tests" / "agents", ROOT / "tests" / "bench" / "peers" / "agents")


@dataclass
class Servers:
    """Where they are, and what Callboard is told at its start; `pair` is None when they are somebody else's."""

    database_url: str
    redis_url: str
    home: Path
    pair: Pair | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def database_for(self, name: str) -> str:
        """A new empty database, as libpq understands it."""
        identifier = sql.Identifier(f"bench_{name}")
        execute(self.database_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        execute(self.database_url, sql.SQL("CREATE DATABASE {}").format(identifier))
        return libpq(with_database(self.database_url, f"bench_{name}"))

    def drop_database_of(self, name: str) -> None:
        """Leave nothing behind on somebody else's server."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        execute(self.database_url, statement.format(sql.Identifier(f"bench_{name}")))

    def redis_for(self, number: int) -> str:
        """The same server with another of its databases."""
        parts = urlsplit(self.redis_url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}?db={number}"
        return urlunsplit(parts._replace(path=f"/{number}"))

    def pids(self) -> dict[str, list[int]]:
        """Their first processes; a server on another machine has none here."""
        return {"postgres": _postmaster(self.database_url), "redis": _redis(self.redis_url)}

    def versions(self) -> dict[str, str]:
        """What they are."""
        with _connected(self.database_url) as cursor:
            cursor.execute("SHOW server_version")
            postgres = cursor.fetchone()[0].split()[0]
        info = redis.Redis.from_url(self.redis_url).info("server")
        name = "Valkey" if "valkey_version" in info else "Redis"
        return {"PostgreSQL": postgres, name: str(info.get("valkey_version", info["redis_version"]))}

    def lose_redis(self) -> None:
        """kill -9, an empty folder, and a new start at the same place."""
        assert self.pair is not None
        self.pair.redis.crash()
        folder = self.pair.redis.kind.folder
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.pair.redis.start()


@contextmanager
def servers(home: Path) -> Iterator[Servers]:
    """Those that DATABASE_URL and REDIS_URL name, or a pair of our own that keeps its promises to the disk."""
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        yield _prepared(Servers(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], home))
        return
    with pair(expendable=False) as own:
        yield _prepared(Servers(own.postgres.url, own.redis.url, home, own))


def _prepared(found: Servers) -> Servers:
    """With Callboard's tables, agents and a key."""
    found.environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "CALLBOARD_"))},
        "DATABASE_URL": found.database_url,
        "REDIS_URL": found.redis_url,
        "CALLBOARD_HOME": str(found.home),
        "CALLBOARD_ENV": "test",
        "CALLBOARD_ADMIN_API_KEY": f"cb_benching_{secrets.token_hex(22)[:43]}",
        "CALLBOARD_ADMIN_PASSWORD": secrets.token_urlsafe(20),
        "SECRET_KEY": secrets.token_urlsafe(40),
        "AGENT_FOLDERS": ":".join(map(str, AGENTS)),
        "LOG_LEVEL": "WARNING",
        "PORT": str(_free_port()),
        **dict.fromkeys(("RATE_LIMIT_PER_MINUTE", "RATE_LIMIT_PER_HOUR", "RATE_LIMIT_BURST_PER_SECOND"), "0"),
    }
    done = subprocess.run([sys.executable, "-m", "app", "prepare"], cwd=ROOT, env=found.environ,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"python -m app prepare failed:\n{done.stderr or done.stdout}")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _connected(url: str) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(libpq(url))
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _postmaster(url: str) -> list[int]:
    with _connected(url) as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        stat = meter._stat(cursor.fetchone()[0])
        parent = int(stat[1]) if stat else 0
    return [parent] if _called(parent, "postgres") else []


def _redis(url: str) -> list[int]:
    pid = int(redis.Redis.from_url(url).info("server")["process_id"])
    return [pid] if _called(pid, "redis-server", "valkey-server") else []


def _called(pid: int, *names: str) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/comm").read_text().strip() in names
    return False
