"""The one way out: an httpx2 client that calls public addresses only and can be stopped while it waits.

The check sits below TLS and HTTP, where the connection is made: the name is resolved once, every
address is checked, and the connection goes to one of those checked addresses; SNI, certificate check
and Host header keep the name. So neither an odd spelling nor a name server that changes its mind helps.
Every wait is cut into slices, between which `patrol` may raise: that ends a call from its own thread.
"""

from __future__ import annotations

import errno
import os
import queue
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, TypeVar

import httpcore2
import httpx2
from opentelemetry.trace import Span

from app.addresses import is_public
from app.errors import PermanentError, TemporaryError
from app.observe import correlation, tracing

SLICE_SECONDS = 0.25
CONNECT_SECONDS = 10.0
LOOKUP_SECONDS = 10.0
USER_AGENT = "Callboard"

Patrol = Callable[[], None]
"""Called four times a second while a call waits; raises to end it."""

Address = tuple[int, Any]
"""Family and socket address."""

T = TypeVar("T")


class BlockedAddress(PermanentError):
    """This address must not be called from here."""

    code = "blocked_address"


class TooLarge(PermanentError):
    """The answer is larger than it may be."""

    code = "response_too_large"


def client(
    *, patrol: Patrol, timeout: float, allow_private: bool = False, carries: bool = True
) -> httpx2.Client:
    """A client without redirects, cookies kept, or proxies from the environment.

    `timeout` is for each wait; a deadline over all is `patrol`'s to enforce. `carries`: X-Correlation-ID and
    traceparent go along, where the request does not name its own; not for strangers.
    """
    return httpx2.Client(
        transport=CheckedTransport(CheckedBackend(patrol, allow_private), carries=carries),
        timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
    )


def deadline(seconds: float, then: Callable[[], Exception]) -> Patrol:
    """A patrol that raises what `then` makes once `seconds` are over."""
    until = time.monotonic() + seconds

    def patrol() -> None:
        if time.monotonic() > until:
            raise then()

    return patrol


def read_body(response: httpx2.Response, max_bytes: int) -> bytes:
    """The decoded body; raises TooLarge before more than `max_bytes` are held, whatever the compression."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise TemporaryError(f"The server answered in `{encoding}`, which was not asked for.")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding in ("gzip", "deflate") else None
    body = bytearray()
    for chunk in response.iter_raw():
        try:
            body += unpack.decompress(chunk, max_bytes + 1) if unpack else chunk
        except zlib.error as error:
            raise TemporaryError("The server's answer is damaged.") from error
        if len(body) > max_bytes:
            raise TooLarge(f"The answer is larger than {max_bytes} bytes.")
    return bytes(body)


class CheckedTransport(httpx2.HTTPTransport):
    """The usual transport over connections that `backend` makes."""

    def __init__(self, backend: httpcore2.NetworkBackend, *, carries: bool = True) -> None:
        """Take the place of the pool that the base class would make."""
        self._pool = httpcore2.ConnectionPool(ssl_context=_trust(), network_backend=backend)
        self._carries = carries

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it in a span that ends where the answer begins."""
        with calling(request, carries=self._carries) as span:
            response = super().handle_request(request)
            tracing.answered(span, response.status_code)
        return response


@contextmanager
def calling(request: httpx2.Request, *, carries: bool = True) -> Iterator[Span]:
    """A span around a request, which is given our ids unless it has some of its own."""
    url = request.url
    with tracing.calling(request.method, url.scheme, url.host, url.port) as span:
        for name, value in correlation.headers().items() if carries else ():
            request.headers.setdefault(name, value)
        yield span


class CheckedBackend(httpcore2.NetworkBackend):
    """Makes connections, to public addresses only."""

    def __init__(self, patrol: Patrol, allow_private: bool) -> None:
        """Check with `patrol` while waiting; `allow_private` is for development and tests."""
        self.patrol = patrol
        self.allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first checked address that answers."""
        addresses = self.checked(host, port)
        each = (timeout or CONNECT_SECONDS) / max(1, len(addresses))
        refusals: list[OSError] = []
        for address in addresses:
            try:
                return PatientStream(connect(address, each, self.patrol), self.patrol)
            except OSError as error:
                refusals.append(error)
        late = refusals and all(isinstance(error, TimeoutError) for error in refusals)
        kind = httpcore2.ConnectTimeout if late else httpcore2.ConnectError
        raise kind(f"{host} cannot be reached: {refusals[0] if refusals else 'no address'}")

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        """Refuse."""
        raise BlockedAddress

    def checked(self, host: str, port: int) -> list[Address]:
        """The addresses of `host`; raises BlockedAddress if one of them is not public."""
        try:
            found = _resolve_in_thread(host, port, self.patrol)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"The name {host} cannot be resolved: {error}") from error
        if not self.allow_private and not all(is_public(address[0]) for _, address in found):
            raise BlockedAddress(f"{host} is not an address of the public internet.", details={"host": host})
        return found


class PatientStream(httpcore2.NetworkStream):
    """A connection whose waits are cut into slices."""

    def __init__(self, connection: socket.socket, patrol: Patrol) -> None:
        """Take over an open connection."""
        self.socket = connection
        self.patrol = patrol

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whatever comes first, at most `max_bytes`."""
        with _as(httpcore2.ReadTimeout, httpcore2.ReadError):
            return self._patiently(lambda: self.socket.recv(max_bytes), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`."""
        view = memoryview(buffer)
        with _as(httpcore2.WriteTimeout, httpcore2.WriteError):
            while view:
                view = view[self._patiently(partial(self.socket.send, view), timeout) :]

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Shake hands with the server under the name that was asked for."""
        try:
            with _as(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                secured = ssl_context.wrap_socket(
                    self.socket, server_hostname=server_hostname, do_handshake_on_connect=False
                )
                self.socket = secured
                self._patiently(secured.do_handshake, timeout)
        except BaseException:
            self.close()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What the pool asks about a connection."""
        known: dict[str, Callable[[], Any]] = {
            "ssl_object": lambda: self.socket if isinstance(self.socket, ssl.SSLSocket) else None,
            "client_addr": self.socket.getsockname,
            "server_addr": self.socket.getpeername,
            "socket": lambda: self.socket,
            "is_readable": lambda: _pending(self.socket),
        }
        return known[info]() if info in known else None

    def _patiently(self, act: Callable[[], T], timeout: float | None) -> T:
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            self.patrol()
            self.socket.settimeout(min(SLICE_SECONDS, max(0.001, until - time.monotonic())))
            try:
                return act()
            except TimeoutError:
                if time.monotonic() >= until:
                    raise


def resolve(host: str, port: int) -> list[Address]:
    """Ask the system for the addresses of `host`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def connect(address: Address, timeout: float, patrol: Patrol) -> socket.socket:
    """A connection to one address, waited for in slices."""
    family, target = address
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        state = connection.connect_ex(target)
        if state == errno.EINPROGRESS:
            _await_connection(connection, timeout, patrol)
            state = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state:
            raise OSError(state, os.strerror(state))  # noqa: TRY301 - closed below like any other
    except BaseException:
        connection.close()
        raise
    return connection


def _await_connection(connection: socket.socket, timeout: float, patrol: Patrol) -> None:
    until = time.monotonic() + timeout
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    while not poll.poll(SLICE_SECONDS * 1000):
        patrol()
        if time.monotonic() >= until:
            raise TimeoutError("timed out")


def _pending(connection: socket.socket) -> bool:
    """Whether the other side has said something, or hung up, before it was asked."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _resolve_in_thread(host: str, port: int, patrol: Patrol) -> list[Address]:
    """`resolve` in a thread that is left behind if it takes too long: it cannot be interrupted."""
    answers: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="resolve").start()
    until = time.monotonic() + LOOKUP_SECONDS
    while time.monotonic() < until:
        patrol()
        try:
            answer = answers.get(timeout=SLICE_SECONDS)
        except queue.Empty:
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer
    raise TimeoutError("timed out")


@contextmanager
def _as(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    """Translate what a socket raises into what httpcore2 expects of a stream."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise failure(str(error)) from error


@cache
def _trust() -> ssl.SSLContext:
    """Certificate authorities, read once: it takes 30 ms."""
    return httpx2.create_ssl_context(trust_env=False)
