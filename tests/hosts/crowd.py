"""Many worker processes behind a pgbouncer of few connections, and a look at how many Postgres sees."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from app.db import db
from app.jobs import intake, lifecycle
from tests.chaos.load import at_the_door, wish
from tests.fleet import prepare
from tests.hosts.bouncer import Bouncer, bouncer
from tests.hosts.fleet import PATIENCE, Hosts
from tests.hosts.network import Network
from tests.services import Pair, cloned

# What ends by itself, whatever happens, within a second.
KINDS = ("noop", "echo", "flaky", "limited", "doomed")
SHARES = (70, 20, 6, 2, 2)
BATCH = 250


class Census:
    """The most connections that Postgres had to `database` at once, looked at twenty times a second."""

    def __init__(self, servers: Pair, database: str) -> None:
        """It looks past pgbouncer, as the superuser."""
        self.most = 0
        self.looks = 0
        self._servers, self._database = servers, database
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="census")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        self._thread.join()

    def _loop(self) -> None:
        connection = self._servers.postgres.kind.connect("postgres")  # type: ignore[union-attr]
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not self._over.wait(0.05):
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (self._database,))
                self.most = max(self.most, cursor.fetchone()[0])
                self.looks += 1
        connection.close()


@dataclass
class Crowd:
    """A Callboard behind a pgbouncer."""

    fleet: Hosts
    between: Bouncer
    census: Census
    accepted: dict[str, str] = field(default_factory=dict)

    def workers(self, hosts: int, processes: int, pause: float = 0) -> None:
        """Start so many processes on each of so many hosts, one host after the other, and wait until all beat."""
        for number in range(hosts):
            self.fleet.worker(f"crowd-{number}", processes=processes, threads=2)
            time.sleep(pause)
        self.fleet.until(lambda: self.registered() == hosts * processes, 180, every=0.5)

    def registered(self) -> int:
        """How many processes are known and beat."""
        return int(
            self.fleet.value(
                "SELECT count(*) FROM workers WHERE seen_at > clock_timestamp() - interval '15 s'"
            )
        )

    def submit(self, count: int) -> None:
        """So many jobs of mixed agents."""
        chance = random.Random(9)
        while len(self.accepted) < count:
            kinds = chance.choices(KINDS, SHARES, k=min(BATCH, count - len(self.accepted)))
            with db.quick():
                rows = lifecycle.submit_many([intake.order(wish(kind, chance)) for kind in kinds])
            self.accepted |= {row["job_id"]: kind for row, kind in zip(rows, kinds, strict=True)}


@contextmanager
def crowd(network: Network, servers: Pair, folder: Path, *, pool: int) -> Iterator[Crowd]:
    """A new database behind a new pgbouncer, migrated and seeded through it; nothing runs yet."""
    with cloned(servers.postgres.url, "template1") as straight:
        database = straight.rpartition("/")[2]
        with (
            bouncer(network.address, database, pool=pool) as between,
            Census(servers, database) as census,
        ):
            redis: Any = SimpleNamespace(url=servers.redis.url.replace("/0", "/1"))
            pair = Pair(postgres=servers.postgres, redis=redis)
            prepare(between.url, redis.url, folder / "prepare", **PATIENCE)  # through pgbouncer
            with Hosts(network, pair, between.url, folder) as fleet, at_the_door(fleet):
                yield Crowd(fleet, between, census)
