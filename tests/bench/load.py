"""A load that does not wait for its answers: every request has its time, and is late from that time on.

A closed loop would send less whenever the server is slow, and so hide what its users feel.
"""

from __future__ import annotations

import http.client
import itertools
import re
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Headers = dict[str, str]
BEGIN_SECONDS = 0.2
"""From connecting to the first request."""

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


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
    cpu_seconds: float = 0.0
    """What sending and hearing cost this process."""


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


class Wire:
    """One connection that is kept open, for bytes that were made in advance."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due, self.request = 0.0, Request("", "", "", 0)
        self._heard = b""

    def send(self, request: Request, packed: bytes, due: float) -> None:
        """Ask; the answer comes bit by bit."""
        self.due, self.request, self._heard = due, request, b""
        self.socket.sendall(packed)

    def hear(self) -> tuple[int, bytes] | None:
        """Status and body once they are whole; raises OSError when the connection broke."""
        more = self.socket.recv(1 << 18)
        if not more:
            msg = "closed"
            raise ConnectionError(msg)
        self._heard += more
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return None
        status = int(head[9:12])
        length = 0 if status == 304 else int(_LENGTH.findall(head)[0])
        return (status, body) if len(body) >= length else None


class OpenLoop:
    """Sends `requests` at `per_second` for `seconds`, over `lines` connections.

    All in one thread, from bytes made in advance: a request costs it a twentieth of a millisecond, so that what is
    measured is the server and not its own threads, which would wait for each other on the same processors.
    """

    def __init__(
        self, port: int, headers: Headers, *, per_second: float, seconds: float, lines: int = 32
    ) -> None:
        """Nothing is sent before `run`."""
        self.port, self.headers = port, headers
        self.per_second, self.seconds, self.lines = per_second, seconds, lines
        self.outcome = Outcome()
        self.answers: deque[bytes] = deque(maxlen=200)
        """The newest bodies of 201."""
        self._idle: list[Wire] = []
        self._busy = 0
        self._packed: dict[tuple[str, str], bytes] = {}

    def run(self, requests: Iterator[Request]) -> Outcome:
        """Send them all; returns when the last one was answered."""
        count = int(self.per_second * self.seconds)
        begin = time.perf_counter() + BEGIN_SECONDS
        dues = (begin + n / self.per_second for n in range(count))
        began = time.process_time()
        with selectors.SelectSelector() as ears:  # unlike epoll's, its patience is not in whole milliseconds
            for _ in range(self.lines):
                self._connect(ears)
            due = next(dues, None)
            while due is not None or self._busy:
                while due is not None and self._idle and due <= time.perf_counter():
                    self._send(next(requests), due)
                    due = next(dues, None)
                until = 30.0 if due is None or not self._idle else max(0.0, due - time.perf_counter())
                for key, _ in ears.select(until):
                    self._hear(ears, key.data)
        self.outcome.cpu_seconds = time.process_time() - began
        return self.outcome

    def _connect(self, ears: selectors.BaseSelector) -> None:
        wire = Wire(self.port)
        ears.register(wire.socket, selectors.EVENT_READ, wire)
        self._idle.append(wire)

    def _send(self, request: Request, due: float) -> None:
        wire = self._idle.pop()
        self._busy += 1
        self.outcome.behind_ms = max(self.outcome.behind_ms, (time.perf_counter() - due) * 1000)
        key = request.method, request.path + str(request.headers.get("If-None-Match"))
        if key not in self._packed:
            self._packed[key] = packed(request, self.headers)
        wire.send(request, self._packed[key], due)

    def _hear(self, ears: selectors.BaseSelector, wire: Wire) -> None:
        request, wrong = wire.request, ""
        try:
            answer = wire.hear()
        except (OSError, ValueError, IndexError):
            answer, wrong = (0, b""), f"{request.name}: broken"
        if answer is None:
            return
        status, body = answer
        taken = (time.perf_counter() - wire.due) * 1000
        self.outcome.milliseconds.setdefault(request.name, []).append(taken)
        self._busy -= 1
        if wrong:
            ears.unregister(wire.socket)
            wire.socket.close()
            self._connect(ears)
        else:
            self._idle.append(wire)
            wrong = "" if status == request.expected else f"{request.name}: {status}"
        if wrong:
            self.outcome.wrong[wrong] += 1
        elif status == 201:
            self.answers.append(body)


def packed(request: Request, headers: Headers) -> bytes:
    """A request as it goes over the wire."""
    body = request.body or b""
    said = {"Host": "127.0.0.1", **headers, **request.headers}
    if body:
        said |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [
        f"{request.method} {request.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in said.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
