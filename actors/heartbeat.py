"""The heartbeat of a worker process: one thread that looks after every attempt in hand.

Each second: write what agents said, hear of cancellations and of what is wanted of this worker. Every
HEARTBEAT_SECONDS: extend all leases by one statement and say that the worker is alive. When none was extended for
nearly a whole lease the runners are stopped, by the monotonic clock, before a rescue elsewhere can begin: a thread of
its own sees to that, because on a host that is cut off the beat hangs in its statement. While the process ends it hands
back what does not.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import dramatiq
import psutil

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
FENCE_SECONDS = 0.25
# After the grace period runners get this long to stop before their jobs are handed back over their heads.
LAST_WORD_SECONDS = 3.0
MOST_MISSES = 3
EXIT_DEAD_THREADS = 70
HEALTH_SECONDS = 60.0
FIRST_LOOK_SECONDS = 30.0
"""So long a worker that found work when it started may put off its first look, which loads every runner there is."""


def end_process() -> None:
    """End this worker as a platform would: SIGTERM to Dramatiq's master, who tells all processes it has started.

    Ending this process alone would look like a crash to its master, who would then end the others in any case.
    """
    master = multiprocessing.parent_process()
    alone = master is None or master.pid is None or not master.is_alive()
    os.kill(os.getpid() if alone else master.pid, signal.SIGTERM)  # type: ignore[union-attr,arg-type]


def memory_bytes() -> int | None:
    """What this process and all below it hold of the machine's memory; None where nobody tells."""
    total = 0
    try:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            with suppress(psutil.Error):  # some end while they are counted
                total += process.memory_info().rss
    except psutil.Error:
        return None
    return total


class Heartbeat:
    """Started once per worker process."""

    def __init__(self, post: Post, end: Callable[[], None] = end_process) -> None:
        """Nothing runs before `start`; `end` ends the process in good order."""
        self.post = post
        self._end = end
        self._said_taking = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        self._fence = threading.Thread(target=self._mind_the_lease, name="fence", daemon=True)
        self._extended_at = 0.0
        self._health_at = float("-inf")
        self._born_at = time.monotonic()
        self._worker: dramatiq.Worker | None = None
        self._misses = 0

    def watch(self, worker: dramatiq.Worker) -> None:
        """Exit the process when threads of `worker` have died: a black hole must not keep its leases."""
        self._worker = worker

    def start(self) -> None:
        """Begin beating."""
        self._thread.start()
        self._fence.start()

    def stop(self) -> None:
        """End after the present beat."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._fence.join(timeout=5)

    def _mind_the_lease(self) -> None:
        while not self._stopped.wait(FENCE_SECONDS):
            self._fence_myself()

    def _loop(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            try:
                self.beat()
            except AWAY as away:
                log.warning("beat.missed", error=type(away).__name__)
            except Exception:
                log.exception("beat.broken")
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
            if extend:  # a beat that only listens leaves the leases as they are
                self._extended_at = post.beat_ok_at = began
            for attempt in attempts:
                self._tell(attempt, heard[attempt.claim.job_id, attempt.claim.fence])
                self._write(attempt)
            self._hear()
            if extend or self._said_taking != post.takes_work:
                self._say_alive(began)
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
        taking = post.takes_work
        say = partial(
            fleet.beat,
            post.worker_id,
            draining=not taking,
            redis_away=post.redis_away,
            memory_bytes=memory_bytes(),
        )
        if not say():
            from actors.middleware.shift import register

            register(post)
            say()
        self._said_taking = taking
        if self._looks_after_health(began):
            checkup.note_health(
                post.settings.pools,
                http_allow_private=bool(post.settings.http_allow_private),
                secret=post.settings.secret,
            )

    def _looks_after_health(self, began: float) -> bool:
        """Whether this worker finds out what could run here: when it starts and has time, and when no other did for a while."""
        due = began - self._health_at > HEALTH_SECONDS
        first, pools = self._health_at == float("-inf"), self.post.settings.pools
        if first and self.post.attempts and began - self._born_at < FIRST_LOOK_SECONDS:
            return False
        if not first and not registry.waits_for_a_look(pools, HEALTH_SECONDS if due else None):
            return False
        self._health_at = began
        return True

    def _hear(self) -> None:
        """Do what somebody wants of this worker: to rest, to end, or to work."""
        post = self.post
        wish = fleet.wish(post.worker_id)
        if wish is None:
            return
        if wish == "work":
            post.wake()
            return
        if not post.resting.is_set():
            log.info("worker.rests", wanted=wish)
        post.rest()
        if wish == "stop" and not post.draining.is_set():
            self._end()

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
