"""How long it takes until everything goes on: when jobs complete, whether the API answers, how long work waits."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
import psycopg2

from tests.chaos.storm.product import Product
from tests.fleet import API_KEY, CUT_OFF
from tests.services import libpq

LOOK_SECONDS = 0.4
ANSWERS_WITHIN = 3.0
# A due job that waits for longer is backlog.
LONG_SECONDS = 5.0

_ENDED = """
    SELECT extract(epoch FROM completed_at)::float FROM task_history
    WHERE completed_at > to_timestamp(%(since)s) ORDER BY completed_at"""
# Not those that wait for a place, a token or a hold of their own agent.
_WAITS = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - run_at)), 0)::float FROM jobs
    WHERE status = 'queued' AND lane IS NULL AND run_at < clock_timestamp()"""


@dataclass
class Gauge:
    """Looks at the product all the time, from outside; all times are those of the clock on the wall."""

    product: Product
    ended: list[float] = field(default_factory=list)
    answers: list[tuple[float, bool]] = field(default_factory=list)
    """When it was asked, and whether both web servers answered."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When it was looked, and how long the oldest due job had waited."""

    def __post_init__(self) -> None:
        """Nobody looks yet."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in (self._asking, self._looking)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def recovery(self, since: float) -> dict[str, float | None]:
        """Seconds from `since` until a job ended, both servers answered, and nothing due waited long; None: never."""
        return {
            "job": _after(since, self.ended[bisect_left(self.ended, since) :]),
            "api": _after(since, [at for at, good in self.answers if good and at >= since]),
            "backlog": _after(since, [at for at, wait in self.waits if wait < LONG_SECONDS and at >= since]),
        }

    def recovered(self, since: float) -> bool:
        """Whether all of that has come."""
        return None not in self.recovery(since).values()

    def _asking(self) -> None:
        with httpx2.Client(timeout=ANSWERS_WITHIN, headers={"Authorization": f"Bearer {API_KEY}"}) as http:
            while not self._over.wait(LOOK_SECONDS):
                at = time.time()
                self.answers.append((at, self._answer(http)))

    def _answer(self, http: httpx2.Client) -> bool:
        """Both are asked, also when the first one does not answer."""
        answers = [self._answers(http, port) for port in self.product.ports]
        return all(answers)

    def _answers(self, http: httpx2.Client, port: int) -> bool:
        try:
            return http.get(f"http://127.0.0.1:{port}/api/v1/jobs?limit=1").status_code == 200
        except httpx2.TransportError:
            return False

    def _looking(self) -> None:
        eye: Any = None
        while not self._over.wait(LOOK_SECONDS):
            try:
                eye = eye or self._open()
                self._look(eye)
            except CUT_OFF:
                if eye is not None:
                    eye.close()
                eye = None

    def _look(self, eye: Any) -> None:
        at = time.time()
        since = self.ended[-1] if self.ended else at - LOOK_SECONDS
        with eye.cursor() as cursor:
            cursor.execute(_ENDED, {"since": since})
            # to_timestamp() is exact to the microsecond, a float is not.
            self.ended.extend(when for (when,) in cursor.fetchall() if when > since + 1e-6)
            cursor.execute(_WAITS)
            self.waits.append((at, cursor.fetchone()[0]))

    def _open(self) -> Any:
        eye = psycopg2.connect(
            libpq(self.product.fleet.database_url),
            application_name="chaos",
            connect_timeout=3,
            options="-c statement_timeout=5000",
        )
        eye.autocommit = True
        return eye


def _after(since: float, moments: Sequence[float]) -> float | None:
    return round(moments[0] - since, 2) if moments else None
