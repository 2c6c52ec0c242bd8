"""Dramatiq with nothing around it: its Redis broker, its own middleware, no results."""

from __future__ import annotations

import sys
import time

import dramatiq

from tests.bench.peers.sides.ledger import PROCESSES, THREADS, note, now
from tests.bench.raw_dramatiq import broker, client, nothing, raw_done

__all__ = ["broker"]

WORKERS = [
    [sys.executable, "-m", "dramatiq", __name__, "--processes", str(PROCESSES), "--threads", str(THREADS),
     "--skip-logging"]
]  # fmt: skip
submit_many = None
done = raw_done


@dramatiq.actor(queue_name="raw")
def noted(number: int, sent: float, pause: float) -> None:
    """Take `pause` seconds and say so."""
    time.sleep(pause)
    note(number, sent)


def prepare() -> None:
    """Nothing to make."""


def clear() -> None:
    """Its own database of the server."""
    client.flushdb()


def submit() -> None:
    """One message."""
    nothing.send()


def submit_note(number: int, pause: float) -> None:
    """One message with numbers in it."""
    noted.send(number, now(), pause)
