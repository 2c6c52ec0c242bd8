"""Callboard with all its features on: history, budgets, limits, follow-ups, traces; by the verbs of `bench/drain.py`.

This one runs in the project's own environment.
"""

from __future__ import annotations

import os
import sys

from actors.broker import make_ringer
from app import settings as configuration
from app.db import db, make_engine
from app.jobs import dispatch, intake, lifecycle
from app.jobs.intake import Wish
from tests.bench import drain
from tests.bench.peers.sides.ledger import PROCESSES, THREADS, now

WORKERS = [
    [sys.executable, "-m", "actors", "--processes", str(PROCESSES), "--threads", str(THREADS),
     "--worker-shutdown-timeout", "20000"]
]  # fmt: skip
REST = {
    "web": [sys.executable, "-m", "gunicorn", "--config", "app/ops/gunicorn_conf.py", "--bind",
            f"127.0.0.1:{os.environ['PORT']}", "--workers", "2", "--threads", "8", "app:create_app()"],
    "scheduler": [sys.executable, "-m", "actors.clockwork"],
}  # fmt: skip

_sent = 0


def prepare() -> None:
    """Connect; `app prepare` has made the tables."""
    db.open(make_engine(configuration.load().database_url))
    dispatch.use(make_ringer(os.environ["REDIS_URL"]).ring)


def clear() -> None:
    """All jobs and their histories."""
    global _sent  # noqa: PLW0603 - one count in one process
    _sent = 0
    drain.fill(0)


def submit() -> None:
    """One job: checked, written with its history, and rung for."""
    submit_many(1)


def submit_many(count: int) -> None:
    """Many jobs by one call."""
    global _sent  # noqa: PLW0603 - one count in one process
    _sent += count
    with db.quick():
        orders = [intake.order(drain._wish()) for _ in range(count)]
        if count == 1:
            lifecycle.submit(orders[0])
        else:
            lifecycle.submit_many(orders)


def submit_note(number: int, pause: float) -> None:
    """One job with numbers in it."""
    parameters = {"number": number, "sent": now(), "pause": pause}
    wish = Wish(agent_id="bench-noted", parameters=parameters, submitted_by="bench")
    with db.quick():
        lifecycle.submit(intake.order(wish))


def done() -> int:
    """Jobs that are settled."""
    return _sent - drain.unfinished()
