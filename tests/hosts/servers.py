"""A Postgres and a broker that listen on the bridge, for hosts that share nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.ops.embedded import OWNER, Postgres, Valkey
from app.ops.ground import Ground, lay_out
from app.ops.processes import Program
from tests.services import Pair, Server
from tests.waiting import until

PASSWORD = "between-hosts"


class BridgePostgres(Postgres):
    """One that also listens on `address`, for whoever has the password."""

    def __init__(self, ground: Ground, address: str) -> None:
        """Data is kept as safely as a test needs that kills no server."""
        super().__init__(ground, expendable=True)
        self.address = address

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://{OWNER}:{PASSWORD}@{self.address}:5432/callboard"

    def prepare(self) -> None:
        super().prepare()
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {self.address}/24 scram-sha-256\n")

    def program(self) -> Program:
        plain = super().program()
        return replace(plain, argv=(*plain.argv, "-c", f"listen_addresses={self.address}"))

    def provision(self) -> None:
        super().provision()
        connection = self.connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {OWNER} PASSWORD '{PASSWORD}'")
        connection.close()


class BridgeValkey(Valkey):
    """One that also listens on `address`."""

    def __init__(self, ground: Ground, address: str) -> None:
        """Nothing of it is kept."""
        super().__init__(ground, expendable=True)
        self.address = address

    @property
    def url(self) -> str:
        return f"redis://{self.address}:6379/0"

    def program(self) -> Program:
        plain = super().program()
        own = ("--port", "6379", "--bind", self.address, "--protected-mode", "no")
        return replace(plain, argv=(*plain.argv, *own))


@contextmanager
def bridged(address: str, broker_address: str) -> Iterator[Pair]:
    """Start each on its address; stop them and remove what they wrote at the end."""
    home = Path(tempfile.mkdtemp(prefix="cb-"))
    for folder in ("run", "log"):
        (home / folder).mkdir()
    ground = lay_out(home)
    postgres = Server(BridgePostgres(ground, address))
    redis = Server(BridgeValkey(ground, broker_address))
    for server in (postgres, redis):
        server.kind.prepare()
    try:
        postgres.start()
        redis.start()
        yield Pair(postgres=postgres, redis=redis)
    finally:
        redis.child.kill()
        postgres.child.quit_hard()
        until(lambda: not postgres.child.alive, 30)
        postgres.child.kill()
        shutil.rmtree(home)
