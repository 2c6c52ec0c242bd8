"""pg_dump and pg_restore: those of the embedded wheel, or of the machine, if they are young enough for the server.

A pg_dump refuses servers newer than itself. The wheel's has no TLS: where the connection uses it, one of the machine
is needed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg2.extensions

from app.errors import Unavailable
from app.ops import embedded

SYSTEM = "/usr/lib/postgresql"
_VARIABLES = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "channel_binding": "PGCHANNELBINDING", "target_session_attrs": "PGTARGETSESSIONATTRS",
}  # fmt: skip


@dataclass(frozen=True)
class Programs:
    """A folder with pg_dump and pg_restore of one version."""

    folder: Path
    major: int
    tls: bool = True

    def path(self, name: str) -> str:
        """One of them."""
        return str(self.folder / name)


def dsn(url: str) -> str:
    """A URL of SQLAlchemy as libpq takes it."""
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)


def environ(url: str) -> dict[str, str]:
    """The way to the database in variables, because everybody on a machine can read arguments."""
    told: Mapping[str, str] = psycopg2.extensions.parse_dsn(dsn(url))
    named = {_VARIABLES[name]: str(value) for name, value in told.items() if name in _VARIABLES}
    # A dump reads for as long as it takes, whatever the role's limits say.
    options = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c timezone=UTC"
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": options, **named}


def fitting(server: int, *, tls: bool = False) -> Programs:
    """The oldest that can dump a server of that major version; raises Unavailable with the way out."""
    there = list(found())
    fit = [each for each in there if each.major >= server and (each.tls or not tls)]
    if fit:
        return min(fit, key=lambda each: each.major)
    seen = ", ".join(f"{each.major} in {each.folder}" for each in there) or "none"
    why = " with TLS (that of the embedded wheel has none)" if tls else ""
    raise Unavailable(
        f"no pg_dump of version {server} or newer{why} is on this machine (found: {seen}): install the "
        f"Postgres client, for example the package postgresql-client-{server}"
    )


def newest() -> Programs:
    """The one that reads every dump on this machine; raises Unavailable."""
    there = list(found())
    if not there:
        raise Unavailable("no pg_restore is on this machine: install the Postgres client")
    return max(there, key=lambda each: each.major)


def found() -> Iterator[Programs]:
    """All there are on this machine."""
    for folder, tls in _folders():
        if (major := _major(folder / "pg_dump")) and (folder / "pg_restore").exists():
            yield Programs(folder, major, tls)


def _folders() -> Iterator[tuple[Path, bool]]:
    if wheel := embedded.programs():
        yield wheel, False
    if on_path := shutil.which("pg_dump"):
        yield Path(on_path).parent, True
    for folder in sorted(Path(SYSTEM).glob("*/bin")):
        yield folder, True


@cache
def _major(program: Path) -> int | None:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"(\d+)(\.\d+|devel|beta|rc)", told.stdout)
    return int(number[1]) if number else None
