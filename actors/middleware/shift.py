"""The beginning and the end of a worker process: connections, heartbeat, and one orderly SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType
from typing import Any

import dramatiq

import app
from actors.delivery import Courier
from actors.heartbeat import Heartbeat
from actors.lookout import Lookout
from actors.meaning import Reader
from actors.post import Post
from app.db import AWAY, db, make_engine
from app.observe import logs, metrics, tracing
from app.secrets import known
from app.workers import fleet

log = logs.get("shift")


class Shift(dramatiq.Middleware):
    """Opens the engine after the fork, starts the heartbeat, and makes SIGTERM idempotent."""

    def __init__(self, post: Post) -> None:
        """The threads are made here and started when the worker boots."""
        self.post = post
        self.heartbeat = Heartbeat(post)
        self.lookout = Lookout(post)
        self.courier = Courier(post.settings)
        self.reader = Reader(post.settings)

    def after_process_boot(self, _broker: Any) -> None:
        """Main thread, after Dramatiq installed its handlers and before any thread runs."""
        open_engine(self.post)
        tracing.start(self.post.settings.traces, role="worker", release=app.__version__)
        stock = signal.getsignal(signal.SIGTERM)

        def once(number: int, frame: FrameType | None) -> None:
            # Platforms send SIGTERM to every process, and the master sends it on: Dramatiq takes the second one
            # for "kill now", which cut seven of eight running workers (reliability notes, V21).
            if not self.post.draining.is_set():
                self.post.start_draining()
                stock(number, frame)  # type: ignore[operator,misc]

        signal.signal(signal.SIGTERM, once)

    def after_worker_boot(self, _broker: Any, worker: dramatiq.Worker) -> None:
        """Join the fleet and start looking after things."""
        register(self.post)
        known.tell()
        self.heartbeat.watch(worker)
        self.heartbeat.start()
        self.lookout.start()
        self.courier.start()
        self.reader.start()

    def before_worker_shutdown(self, _broker: Any, _worker: Any) -> None:
        """Stop claiming; the heartbeat hands back what does not end within the grace period."""
        self.post.start_draining()

    def after_worker_shutdown(self, _broker: Any, _worker: Any) -> None:
        """Say good-bye."""
        self.lookout.stop()
        self.courier.stop()
        self.reader.stop()
        self.heartbeat.stop()
        metrics.write()  # forked processes end without what Python does at exit
        try:
            with db.quick():
                fleet.leave(self.post.worker_id)
        except AWAY:
            log.warning("goodbye.unheard")
        tracing.stop()


def open_engine(post: Post) -> None:
    """Give this process its own connections."""
    s = post.settings
    db.open(
        make_engine(
            s.database_url,
            pool_size=min(s.db_pool_size, s.worker_threads + 4),
            max_overflow=s.worker_threads,
            pool_recycle=s.db_pool_recycle,
            statement_timeout_ms=s.db_statement_timeout_ms,
            pre_ping=False,
            name=f"callboard-worker {os.getpid()}",
        )
    )


def register(post: Post) -> None:
    """Join the fleet; while Postgres is away the heartbeat tries again."""
    s = post.settings
    try:
        with db.quick():
            fleet.register(
                post.worker_id,
                hostname=socket.gethostname(),
                process_id=os.getpid(),
                pools=s.pools,
                threads=s.worker_threads,
                release=app.__version__,
            )
    except AWAY as away:
        log.warning("register.waits", error=type(away).__name__)
