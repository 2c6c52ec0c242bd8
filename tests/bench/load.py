"""A load that does not wait for its answers: every request has its time, and is late from that time on.

A closed loop would send less whenever the server is slow, and so hide what its users feel.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Headers = dict[str, str]


@dataclass(frozen=True)
class Request:
    """What to send, and the status that is right."""

    name: str
    method: str
    path: str
    expected: int
    body: bytes | None = None
    headers: Headers = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of it."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    """By the request's name: from the moment it was due to the last byte of its answer."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that were not the expected ones, and connections that broke."""
    behind_ms: float = 0.0
    """The most that the load itself was late: far above 0, the figures tell of the load, not of the server."""


class Line:
    """One connection that is kept open."""

    def __init__(self, port: int, headers: Headers) -> None:
        """`headers` go with every request."""
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = headers

    def send(self, request: Request) -> tuple[int, bytes, str]:
        """The status, body and ETag of the answer."""
        headers = {**self.headers, **request.headers}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(request.method, request.path, request.body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("ETag", "")


def mixed(kinds: list[tuple[float, Callable[[], Request]]]) -> Iterator[Request]:
    """Requests of each kind in proportion to its weight, evenly spread; endless."""
    owed = [0.0] * len(kinds)
    whole = sum(weight for weight, _ in kinds)
    while True:
        owed = [due + weight / whole for due, (weight, _) in zip(owed, kinds, strict=True)]
        best = max(range(len(kinds)), key=owed.__getitem__)
        owed[best] -= 1
        yield kinds[best][1]()


class OpenLoop:
    """Sends `requests` at `per_second` for `seconds`, over `lines` connections."""

    def __init__(
        self, port: int, headers: Headers, *, per_second: float, seconds: float, lines: int = 32
    ) -> None:
        """Nothing is sent before `run`."""
        self.port, self.headers = port, headers
        self.per_second, self.seconds, self.lines = per_second, seconds, lines
        self.outcome = Outcome()
        self.answers: deque[bytes] = deque(maxlen=200)
        """The newest bodies of 201."""
        self._lock = threading.Lock()

    def run(self, requests: Iterator[Request]) -> Outcome:
        """Send them all; returns when the last one was answered."""
        count = int(self.per_second * self.seconds)
        begin = time.perf_counter() + 0.2
        schedule = (
            (begin + n / self.per_second, request) for n, request in zip(range(count), requests, strict=False)
        )
        threads = [threading.Thread(target=self._work, args=(schedule,)) for _ in range(self.lines)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.outcome

    def _work(self, schedule: Iterator[tuple[float, Request]]) -> None:
        line = Line(self.port, self.headers)
        while entry := self._next(schedule):
            due, request = entry
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)  # the schedule, not a guess: this is what an open loop is
            late = time.perf_counter() - due
            right = self._send(line, request)
            self._note(request, (time.perf_counter() - due) * 1000, late * 1000, right)
            if right is None:
                line = Line(self.port, self.headers)

    def _next(self, schedule: Iterator[tuple[float, Request]]) -> tuple[float, Request] | None:
        with self._lock:
            return next(schedule, None)

    def _send(self, line: Line, request: Request) -> str | None:
        """What was wrong, "" for nothing; None when the connection broke."""
        try:
            status, body, _ = line.send(request)
        except (OSError, http.client.HTTPException):
            return None
        if status == 201:
            self.answers.append(body)
        return "" if status == request.expected else f"{request.name}: {status}"

    def _note(self, request: Request, taken: float, late: float, wrong: str | None) -> None:
        with self._lock:
            self.outcome.milliseconds.setdefault(request.name, []).append(taken)
            self.outcome.behind_ms = max(self.outcome.behind_ms, late)
            if wrong != "":
                self.outcome.wrong[wrong or f"{request.name}: broken"] += 1


def figures(milliseconds: list[float]) -> dict[str, float]:
    """{n, p50, p95, p99, max} of a list that is not empty."""
    ordered = sorted(milliseconds)
    at = {
        name: ordered[int(len(ordered) * share)]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    return {
        "n": len(ordered),
        **{name: round(value, 2) for name, value in at.items()},
        "max": round(ordered[-1], 2),
    }


def repeated(line: Line, request: Request, times: int) -> list[float]:
    """Milliseconds of the same request, one after the other; raises RuntimeError on a wrong answer."""
    taken = []
    for _ in itertools.repeat(None, times):
        began = time.perf_counter()
        status, body, _tag = line.send(request)
        taken.append((time.perf_counter() - began) * 1000)
        if status != request.expected:
            msg = f"{request.name}: {status} {body[:300]!r}"
            raise RuntimeError(msg)
    return taken
