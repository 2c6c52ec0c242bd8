"""What a worker does when nobody rings: looks into Postgres by itself.

While Redis is away it claims every LOOK_SECONDS, on the same seats as Dramatiq's threads, so the product goes on,
only slower, and says so. While no scheduler ticks it also does the sweeps, which any process may do.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import redis

from actors import sweeps
from actors.broker import make_client
from actors.execute import AttemptFailed
from actors.jobs import work_until_empty
from actors.middleware import dead_letter, retry
from actors.post import Post
from app.db import AWAY
from app.observe import logs, metrics

log = logs.get("lookout")


class Lookout:
    """Started once per worker process."""

    def __init__(self, post: Post) -> None:
        """Nothing runs before `start`."""
        self.post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="lookout", daemon=True)
        self._hands = ThreadPoolExecutor(post.settings.worker_threads, thread_name_prefix="lookout")
        self._client = make_client(post.settings.redis_url, timeout_seconds=1.0)
        self._busy = 0

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """End; jobs under way end by the drain's rules."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._hands.shutdown(wait=False, cancel_futures=True)

    def _loop(self) -> None:
        while not self._stopped.wait(self.post.settings.look_seconds):
            try:
                self.look()
            except AWAY as away:
                log.warning("look.missed", error=type(away).__name__)
            except Exception:
                log.exception("look.broken")

    def look(self) -> None:
        """One look; stepped by tests."""
        self._notice_redis()
        if self.post.redis_away and self.post.takes_work:
            while self._busy < self.post.settings.worker_threads:
                self._busy += 1
                self._hands.submit(self._work)
        sweeps.stand_in(self.post.settings)

    def _notice_redis(self) -> None:
        try:
            with metrics.redis_operation("ping"):
                self._client.ping()
            away = False
        except redis.RedisError:
            away = True
        if away != self.post.redis_away:
            log.warning("redis.away" if away else "redis.back")
        self.post.redis_away = away

    def _work(self) -> None:
        try:
            self._work_until_quiet()
        finally:
            self._busy -= 1

    def _work_until_quiet(self) -> None:
        while self.post.takes_work:
            try:
                work_until_empty(self.post)
                break
            except AttemptFailed as failed:
                # The middleware decides for jobs that came by a bell; here nobody rang, so ask it directly.
                retry.decide(failed)
                if not failed.settled:
                    dead_letter.bury(failed)
