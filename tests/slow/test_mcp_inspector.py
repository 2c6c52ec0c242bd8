"""MCP as strangers speak it: the official inspector over both transports, and a client that outlives the server."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.mcp.server import TOOLS
from app.settings import ROOT
from tests.app.mcp.model import by_http
from tests.journeys.product import API_KEY, Product, running
from tests.slow.real_inspector import asked
from tests.waiting import until


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """Callboard with its own servers and gunicorn."""
    with running(WEB_CONCURRENCY="2") as started:
        yield started


@pytest.fixture
def servers(product: Product, tmp_path: Path) -> Path:
    """A configuration as clients have it: one entry for each transport."""
    environ = {"CALLBOARD_URL": product.url, "CALLBOARD_API_KEY": API_KEY}
    program = {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-m", "app", "mcp"],
        "env": environ,
        "cwd": str(ROOT),
    }
    http = {"type": "http", "url": f"{product.url}/mcp", "headers": {"Authorization": f"Bearer {API_KEY}"}}
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"stdio": program, "http": http}}))
    return file


@pytest.mark.parametrize(("server", "era"), [("http", "modern"), ("http", "legacy"), ("stdio", "legacy")])
def test_the_inspector_lists_and_calls_tools(servers: Path, server: str, era: str) -> None:
    listed = asked(servers, server, era, "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == [name for _, name, _ in TOOLS]
    order = json.dumps({"agent_id": "test-echo", "parameters": {"text": "tides"}, "seconds": 20})
    ran = asked(servers, server, era, "tools/call", "--tool-name", "run_agent", "--tool-args-json", order)
    outcome = ran["structuredContent"]
    assert (outcome["done"], outcome["result"]["parameters"]) == (True, {"text": "tides"})
    read = asked(
        servers, server, era, "resources/read", "--uri", f"callboard://jobs/{outcome['task_id']}/result"
    )
    assert "tides" in read["contents"][0]["text"]


def test_a_client_goes_on_when_the_server_was_restarted(product: Product) -> None:
    async def used(client: Any, tool: str, **arguments: Any) -> Any:
        said = await client.call_tool(tool, arguments)
        assert not said.is_error, said.content
        return said.structured_content

    def restart() -> None:
        product.end("web", signal.SIGKILL)
        until(lambda: _well(product.url), 60, 0.1)

    async def whole() -> None:
        async with by_http(product.url, API_KEY, mode="2026-07-28") as client:
            made = await used(client, "create_task", agent_id="test-echo", parameters={"n": 1})
            await asyncio.to_thread(restart)
            assert (await used(client, "wait_for_task", task_id=made["task_id"]))["done"]

    asyncio.run(whole())


def _well(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz").status_code == 200
    except httpx2.HTTPError:
        return False
