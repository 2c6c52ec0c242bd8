"""A real standby of a test's Postgres: copied from it while it runs, and following it from then on."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.ops.embedded import SUPERUSER, Postgres
from app.ops.ground import identity, lay_out
from tests.services import Server
from tests.waiting import until


class Standby(Server):
    """The server that follows; it can be started and stopped like any other, but nothing can be written to it."""

    def start(self) -> None:
        """Start it and wait until it answers; what there is came from the first one."""
        self.child.start()
        until(self.kind.answers, 60)

    def said(self, statement: str) -> object:
        """What its superuser is told: the first column of the first row."""
        assert isinstance(self.kind, Postgres)
        connection = self.kind.connect("callboard")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                found = cursor.fetchone()
                return found[0] if found else None
        finally:
            connection.close()


@contextmanager
def standby_of(first: Server) -> Iterator[Standby]:
    """A standby of `first`, which must be a Postgres; it is gone at the end."""
    assert isinstance(first.kind, Postgres)
    home = Path(tempfile.mkdtemp(prefix="cb-s-"))
    for folder in ("run", "log"):
        (home / folder).mkdir()
    kind = Postgres(lay_out(home), expendable=True)
    target = kind.ground.own_folder(kind.folder)
    copied = subprocess.run(
        [kind.programs / "pg_basebackup", "-D", target, "-h", first.kind.ground.sockets, "-U", SUPERUSER,
         "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream"],
        cwd="/", capture_output=True, text=True, check=False, **identity(kind.ground.account),
    )  # fmt: skip
    assert copied.returncode == 0, copied.stderr
    server = Standby(kind)
    try:
        server.start()
        yield server
    finally:
        server.child.quit_hard()
        until(lambda: not server.child.alive, 30)
        server.child.kill()
        shutil.rmtree(home)
