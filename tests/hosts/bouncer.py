"""A pgbouncer in front of a Postgres, as docs/many-hosts.md says how to set it up."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from app.ops.ground import identity, lay_out
from app.settings import ROOT
from tests.hosts.fetch import CACHE
from tests.hosts.servers import PASSWORD
from tests.waiting import until

GUIDE = ROOT / "docs" / "many-hosts.md"
PORT = 6432


def recommended() -> str:
    """The ini file of the guide."""
    found = re.search(r"```ini[^\n]*\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found, f"{GUIDE} has no ini file"
    return found[1]


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with other values behind the names it has."""
    for name, value in values.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, f"the guide's ini does not say {name}"
    return text


@dataclass(frozen=True)
class Bouncer:
    """One that runs."""

    address: str
    database: str

    @property
    def url(self) -> str:
        """What DATABASE_URL is with it in between."""
        return f"postgresql+psycopg2://callboard:{PASSWORD}@{self.address}:{PORT}/{self.database}"

    def show(self, what: str) -> list[dict[str, object]]:
        """What its console answers to SHOW."""
        connection = psycopg2.connect(
            host=self.address, port=PORT, user="callboard", password=PASSWORD, dbname="pgbouncer"
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SHOW {what}")
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            connection.close()


@contextmanager
def bouncer(address: str, database: str, *, pool: int) -> Iterator[Bouncer]:
    """Start it on `address`, before `database` of the Postgres on the same address, with `pool` connections at most."""
    # As in tests/services.py: closed folders are closed to the account that runs it for root.
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    ground = lay_out(folder)
    people = ground.own_folder(folder / "run") / "userlist.txt"
    people.write_text(f'"callboard" "{PASSWORD}"\n')
    theirs = "callboard = host=10.0.0.5 port=5432 dbname=callboard"
    text = recommended()
    assert theirs in text
    text = text.replace(theirs, f"{database} = host={address} port=5432 dbname={database}")
    own = {"listen_addr": address, "auth_file": str(people), "default_pool_size": str(pool)}
    text = filled(text, own)
    text += f"stats_users = callboard\npidfile =\nlogfile = {people.with_name('bouncer.log')}\n"
    settings = people.with_name("pgbouncer.ini")
    settings.write_text(text)
    for file in (people, settings):
        if ground.account:
            os.chown(file, ground.account.uid, ground.account.gid)
    program = _program(folder)
    process = subprocess.Popen(
        [program, settings],
        cwd="/",
        env={"LD_LIBRARY_PATH": str(program.parent)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        **identity(ground.account),
    )
    made = Bouncer(address, database)
    try:
        until(lambda: _answers(made, process), 20)
        yield made
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def _answers(made: Bouncer, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "pgbouncer did not start"
    try:
        return bool(made.show("VERSION"))
    except psycopg2.OperationalError:
        return False


def _program(folder: Path) -> Path:
    """A copy, with the libraries it brings, where the account without rights may go."""
    place = folder / "data" / "pgbouncer"
    place.mkdir(parents=True, exist_ok=True)
    for part in ("usr/sbin/pgbouncer", "usr/lib/x86_64-linux-gnu/lib*.so*"):
        for file in (CACHE / "pgbouncer").glob(part):
            copy = place / file.name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o755)
    for each in (place, place.parent):
        each.chmod(0o755)
    return place / "pgbouncer"
