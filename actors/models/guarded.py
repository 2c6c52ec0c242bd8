"""An asynchronous client that calls public addresses only: the guard of actors/runners/outbound.py, on the loop.

The name is resolved once, every address is checked, and the connection goes to a checked one; TLS keeps the name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from actors.runners.outbound import CONNECT_SECONDS, USER_AGENT, CheckedBackend, calling
from app.observe.tracing import answered


def guarded_client(headers: dict[str, str], seconds: float, *, allow_private: bool) -> httpx2.AsyncClient:
    """A client without redirects and proxies; `seconds` is for each wait."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(GuardedBackend(allow_private=allow_private)),
        timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT} | headers,
    )


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The usual transport over connections that `backend` makes."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        """Take the place of the pool that the base class would make."""
        super().__init__(trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False), network_backend=backend
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it with our ids, in a span that ends where the answer begins."""
        with calling(request) as span:
            response = await super().handle_async_request(request)
            answered(span, response.status_code)
        return response


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Makes connections, to public addresses only."""

    def __init__(self, *, allow_private: bool) -> None:
        """`allow_private` is for development and tests."""
        self._checks = CheckedBackend(lambda: None, allow_private)
        self._connects = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first checked address that answers; raises BlockedAddress."""
        addresses = await asyncio.to_thread(self._checks.checked, host, port)
        each = (timeout or CONNECT_SECONDS) / max(1, len(addresses))
        refusals: list[Exception] = []
        for _, address in addresses:
            try:
                return await self._connects.connect_tcp(
                    address[0], port, each, local_address=local_address, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refusals.append(error)
        raise refusals[0] if refusals else httpcore2.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._connects.sleep(seconds)
