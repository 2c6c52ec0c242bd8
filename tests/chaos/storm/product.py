"""The product under the storm: its processes, its servers, and the wires and folders that can be spoilt."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import redis
from sqlalchemy import make_url

from app.db import AWAY, db
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish
from app.ops.embedded import SUPERUSER
from tests.chaos.load import at_the_door
from tests.chaos.storm import agents
from tests.chaos.storm.wires import Wire
from tests.fleet import Fleet, Unit, prepare
from tests.services import Pair, cloned, free_port, pair
from tests.webhook_receiver import Receiver, receiving

MODULE = "tests.chaos.storm.worker"
MAX_LOST = 5
DISK_MB = 64
SETTINGS = {
    "MAX_LOST": str(MAX_LOST),
    "HTTP_ALLOW_PRIVATE": "true",
    "JOB_MEMORY_MB": "200",
    "SHUTDOWN_GRACE_SECONDS": "3",
    "DB_POOL_SIZE": "8",
    "DB_MAX_OVERFLOW": "8",
    "NOTIFY_GROUP_MINUTES": "0",
}


class NotHere(Exception):
    """This machine has no means for a fault; the message says what is missing."""


@dataclass
class Product:
    """What the faults fall upon."""

    fleet: Fleet
    pair: Pair
    folder: Path
    receiver: Receiver
    redis_wire: Wire
    postgres_wire: Wire
    ports: list[int]
    disk: Path | None
    """The folder of artifacts, if it has a small disk of its own."""
    jobs: list[str] = field(default_factory=list)
    """Jobs that faults themselves submitted, which must end like all others."""
    errands: list[threading.Thread] = field(default_factory=list)

    @property
    def workers(self) -> list[Unit]:
        """All workers; the last one reaches its servers by the wires."""
        return [self.fleet.units[f"worker-{letter}"] for letter in "abc"]

    @property
    def schedulers(self) -> list[Unit]:
        """Both schedulers."""
        return [self.fleet.units[f"scheduler-{letter}"] for letter in "ab"]

    @property
    def webs(self) -> list[Unit]:
        """Both web servers."""
        return [self.fleet.units[f"web-{letter}"] for letter in "ab"]

    def errand(self, do: Callable[[], object]) -> None:
        """Do it in a thread of its own: whoever wakes what is frozen must never wait for Postgres."""
        self.errands.append(threading.Thread(target=do, daemon=True))
        self.errands[-1].start()

    def submit(
        self, agent_id: str, kind: str, *, priority: str = "normal", **parameters: object
    ) -> str | None:
        """The id of a new job; None if Postgres is away just now."""
        wish = Wish(
            agent_id=agent_id,
            parameters=dict(parameters),
            submitted_by="storm",
            priority=priority,
            tags=("storm", f"kind-{kind}"),
        )
        with suppress(*AWAY), db.quick():
            job_id = str(lifecycle.submit(intake.order(wish))["job_id"])
            self.jobs.append(job_id)
            return job_id
        return None

    def any_worker(self, chance: random.Random) -> Unit:
        """One of the workers."""
        return chance.choice(self.workers)

    @contextmanager
    def broker(self) -> Iterator[redis.Redis]:
        """A connection to Redis."""
        with redis.Redis.from_url(self.pair.redis.url, socket_timeout=2, socket_connect_timeout=2) as client:
            yield client

    @contextmanager
    def superuser(self, database: str | None = None) -> Iterator[psycopg2.extensions.connection]:
        """A connection that may do everything, in autocommit; the product's database unless told."""
        name = database or str(make_url(self.fleet.database_url).database)
        connection = psycopg2.connect(
            host=str(self.pair.postgres.kind.ground.sockets),
            user=SUPERUSER,
            dbname=name,
            connect_timeout=3,
            application_name="chaos",
        )
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, statement: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """One statement as superuser."""
        with self.superuser() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def product(*, without: str = "") -> Iterator[Product]:
    """Start everything; `without` takes a guard away, to see that the storm notices."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="storm-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = stack.enter_context(pair(expendable=False))
        home = folder / "home"
        home.mkdir()
        prepare(servers.postgres.url, servers.redis.url, home)
        url = stack.enter_context(cloned(servers.postgres.url))
        disk = stack.enter_context(_small_disk(home / "artifacts"))
        told = {agents.WITNESS: str(folder / "witness.jsonl")} | (
            {"STORM_WITHOUT": without} if without else {}
        )
        fleet = stack.enter_context(Fleet(servers, url, home, **SETTINGS, **told))
        stack.enter_context(at_the_door(fleet))
        wires = [stack.enter_context(Wire(target, delay)) for target, delay in _targets(servers)]
        receiver = stack.enter_context(receiving())
        made = Product(fleet, servers, folder, receiver, *wires, [free_port(), free_port()], disk)
        _start(made)
        yield made


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of its own for `folder`, where we may make one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0777", "storm", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _targets(servers: Pair) -> list[tuple[str, float]]:
    broker = redis.Redis.from_url(servers.redis.url).connection_pool.connection_kwargs["path"]
    return [(str(broker), 0.2), (str(servers.postgres.kind.ground.sockets / ".s.PGSQL.5432"), 0.1)]


def _start(product: Product) -> None:
    """Two web servers, two schedulers and three workers, the last one behind the wires."""
    fleet = product.fleet
    by_wire = {
        "REDIS_URL": f"redis://127.0.0.1:{product.redis_wire.port}/0",
        "DATABASE_URL": make_url(fleet.database_url)
        .set(host="127.0.0.1", port=product.postgres_wire.port, query={})
        .render_as_string(hide_password=False),
    }
    fleet.worker("worker-a", processes=2, threads=4, module=MODULE)
    fleet.worker("worker-b", threads=6, module=MODULE)
    fleet.worker("worker-c", threads=6, module=MODULE, **by_wire)
    for letter in "ab":
        fleet.start(f"scheduler-{letter}", "-m", MODULE)
    for letter, port in zip("ab", product.ports, strict=True):
        web(fleet, f"web-{letter}", port)


def web(fleet: Fleet, name: str, port: int) -> Unit:
    """A web server with one process, as the Procfile starts it."""
    config = ("--config", "app/ops/gunicorn_conf.py", "--bind", f"127.0.0.1:{port}")
    size = ("--workers", "1", "--threads", "6")
    return fleet.start(name, "-m", "gunicorn", *config, *size, "app:create_app()", PORT=str(port))
