"""A model as the server sees it: the SDK's client, over HTTP or over the standard streams of `callboard mcp`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from app.settings import ROOT

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """Somebody who calls tools with their own key; each call is a connection of its own."""

    url: str
    key: str
    user_id: str = ""
    mode: str = "2026-07-28"

    def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; answers its structured content and fails the test if it refused."""
        said = self.call(tool, arguments)
        assert not said.is_error, said.content
        assert said.structured_content is not None
        return said.structured_content

    def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must refuse; answers what it says."""
        said = self.call(tool, arguments)
        assert said.is_error, said.structured_content
        return said.content[0].text  # type: ignore[union-attr]

    def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool."""
        return self.within(lambda client: client.call_tool(tool, arguments))

    def within(self, act: Callable[[Client], Awaitable[T]], **options: Any) -> T:
        """Do something with a connected client."""

        async def whole() -> T:
            async with by_http(self.url, self.key, mode=self.mode, **options) as client:
                return await act(client)

        return asyncio.run(whole())


@asynccontextmanager
async def by_http(url: str, key: str, **options: Any) -> AsyncIterator[Client]:
    """A client of /mcp."""
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=60))
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        yield await stack.enter_async_context(Client(transport, **options))


@asynccontextmanager
async def by_stdio(
    url: str, key: str, errors: Any, *, environ: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client of `callboard mcp`, started as desktop clients start it."""
    given = {"PATH": os.environ["PATH"], "CALLBOARD_URL": url, "CALLBOARD_API_KEY": key} | (environ or {})
    program = StdioServerParameters(command=sys.executable, args=["-m", "app", "mcp"], env=given, cwd=ROOT)
    async with Client(stdio_client(program, errlog=errors), **options) as client:
        yield client
