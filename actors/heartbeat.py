"""The heartbeat of a worker process: one thread that looks after every attempt in hand.

Each second: write what agents said, hear of cancellations. Every HEARTBEAT_SECONDS: extend all leases by one
statement and say that the worker is alive. When no beat succeeded for nearly a whole lease it stops the runners
itself, by the monotonic clock, before a rescue elsewhere can begin. During a drain it hands back what does not end.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import dramatiq

from actors import checkup
from app.agents import registry
from app.db import AWAY, db
from app.errors import LostLease
from app.jobs import claims, lifecycle, timeline
from app.observe import logs
from app.workers import fleet

if TYPE_CHECKING:
    from actors.attempt import Attempt
    from actors.post import Post

log = logs.get("heartbeat")

TICK_SECONDS = 1.0
# After the grace period runners get this long to stop before their jobs are handed back over their heads.
LAST_WORD_SECONDS = 3.0
MOST_MISSES = 3
EXIT_DEAD_THREADS = 70
HEALTH_SECONDS = 60.0


class Heartbeat:
    """Started once per worker process."""

    def __init__(self, post: Post) -> None:
        """Nothing runs before `start`."""
        self.post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        self._extended_at = 0.0
        self._health_at = float("-inf")
        self._worker: dramatiq.Worker | None = None
        self._misses = 0

    def watch(self, worker: dramatiq.Worker) -> None:
        """Exit the process when threads of `worker` have died: a black hole must not keep its leases."""
        self._worker = worker

    def start(self) -> None:
        """Begin beating."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present beat."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            try:
                self.beat()
            except AWAY as away:
                log.warning("beat.missed", error=type(away).__name__)
            except Exception:
                log.exception("beat.broken")
            self._fence_myself()
            self._demand_living_threads()

    def beat(self) -> None:
        """One beat; stepped by tests."""
        post, began = self.post, time.monotonic()
        attempts = post.in_hand()
        extend = began - self._extended_at >= post.settings.heartbeat_seconds
        with db.quick():
            heard = claims.beat(
                [a.claim for a in attempts], lease_seconds=post.settings.lease_seconds, extend=extend
            )
            for attempt in attempts:
                self._tell(attempt, heard[attempt.claim.job_id, attempt.claim.fence])
                self._write(attempt)
            if extend:
                self._say_alive(began)
        post.beat_ok_at = began
        self._drain()

    def _tell(self, attempt: Attempt, heard: claims.Beat) -> None:
        self._look(attempt)
        if not heard.held:
            # It may just have been settled by its own thread between our list and our look: harmless then.
            attempt.lost = True
        elif heard.cancel:
            attempt.cancel_asked = True

    def _look(self, attempt: Attempt) -> None:
        try:
            attempt.look()
        except AWAY:
            raise
        except Exception:
            # As below: what one attempt's ledger is refused must not cost its neighbours the beat.
            log.exception("look.broken", job_id=attempt.claim.job_id, attempt=attempt.claim.fence)

    def _write(self, attempt: Attempt) -> None:
        report = attempt.take_report()
        if report.is_empty or attempt.lost:
            return
        try:
            timeline.write(report)
        except AWAY:
            attempt.put_back(report)
            raise
        except Exception:
            # One attempt's news that Postgres refuses must not cost its neighbours the beat, and so their leases.
            log.exception("report.refused", job_id=attempt.claim.job_id, attempt=attempt.claim.fence)

    def _say_alive(self, began: float) -> None:
        post = self.post
        self._extended_at = began
        if not fleet.beat(post.worker_id, draining=post.draining.is_set(), redis_away=post.redis_away):
            from actors.middleware.shift import register

            register(post)
        if began - self._health_at > HEALTH_SECONDS or registry.waits_for_a_look(post.settings.pools):
            checkup.note_health(
                post.settings.pools,
                http_allow_private=post.settings.http_allow_private,
                secret=post.settings.secret,
            )
            self._health_at = began

    def _drain(self) -> None:
        post = self.post
        if post.drain_began is None:
            return
        over = time.monotonic() - post.drain_began - post.settings.shutdown_grace_seconds
        for attempt in post.in_hand() if over >= 0 else []:
            attempt.releasing = True
            if over >= LAST_WORD_SECONDS and not attempt.lost:
                self._hand_back(attempt)

    def _hand_back(self, attempt: Attempt) -> None:
        """The runner does not listen; the job need not wait for it, its late outcome is refused by the fence."""
        try:
            with db.quick():
                lifecycle.release(attempt.claim)
            attempt.lost = True
            log.warning("attempt.handed_back", job_id=attempt.claim.job_id, attempt=attempt.claim.fence)
        except LostLease:
            attempt.lost = True

    def _fence_myself(self) -> None:
        if self.post.lease_doubtful:
            for attempt in self.post.in_hand():
                if not attempt.releasing:
                    log.error("attempt.fenced", job_id=attempt.claim.job_id, attempt=attempt.claim.fence)
                attempt.releasing = True

    def _demand_living_threads(self) -> None:
        if self._worker is None or self.post.draining.is_set():
            return
        alive = all(thread.is_alive() for thread in self._worker.workers)
        self._misses = 0 if alive else self._misses + 1
        if self._misses >= MOST_MISSES:
            log.critical("worker.threads_died")
            os._exit(EXIT_DEAD_THREADS)
