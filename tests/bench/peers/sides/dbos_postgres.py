"""DBOS: each job a durable workflow in Postgres; a queue is looked at once a second, as it comes.

DBOS lives in the program it serves, so this file is also the worker: `python -m` it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig

from tests.bench.peers.sides.ledger import PROCESSES, THREADS, note, now

MODULE = "tests.bench.peers.sides.dbos_postgres"
QUEUE, VERSION = "bench", "1"
WORKERS = [[sys.executable, "-m", MODULE, f"worker{number}"] for number in range(PROCESSES)]
submit_many = None

_state: dict[str, DBOSClient | sa.Engine] = {}


@DBOS.workflow(name="nothing")
def nothing() -> None:
    """Its row says that it succeeded."""


@DBOS.workflow(name="noted")
def noted(number: int, sent: float, pause: float) -> None:
    """Take `pause` seconds and say so."""
    time.sleep(pause)
    note(number, sent)


def prepare() -> None:
    """Make its tables and its queue, as the first worker would."""
    _launch("maker")
    DBOS.destroy()
    _state["client"] = DBOSClient(system_database_url=os.environ["PEER_DATABASE"])
    _state["engine"] = sa.create_engine(
        os.environ["PEER_DATABASE"].replace("postgresql://", "postgresql+psycopg://", 1),
        isolation_level="AUTOCOMMIT",
    )


def clear() -> None:
    """All workflows and their steps."""
    with _state["engine"].connect() as connection:
        connection.execute(sa.text("TRUNCATE dbos.workflow_status CASCADE"))


def submit() -> None:
    """One workflow on the queue."""
    _state["client"].enqueue({"workflow_name": "nothing", "queue_name": QUEUE, "app_version": VERSION})


def submit_note(number: int, pause: float) -> None:
    """One workflow with numbers in it."""
    _state["client"].enqueue(
        {"workflow_name": "noted", "queue_name": QUEUE, "app_version": VERSION}, number, now(), pause
    )


def done() -> int:
    """Workflows that succeeded."""
    with _state["engine"].connect() as connection:
        found = connection.execute(
            sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND name = 'nothing'")
        )
        return int(found.scalar_one())


def _launch(name: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ["PEER_DATABASE"],
        "executor_id": name,
        "application_version": VERSION,
        "log_level": "ERROR",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=THREADS)


if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _launch(sys.argv[1])
    stop.wait()
    DBOS.destroy()
