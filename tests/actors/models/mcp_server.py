"""A small MCP server: `python -m tests.actors.models.mcp_server` by standard input and output, with a port by HTTP."""

from __future__ import annotations

import os
import sys
import time

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("parcels")


@server.tool()
def weigh(parcel: str) -> str:
    """Weigh a parcel."""
    return f"{parcel}: {len(parcel)} kg"


@server.tool()
def lose(parcel: str) -> str:
    """Lose a parcel."""
    raise ToolError(f"{parcel} is lost")


@server.tool()
def variables() -> list[str]:
    """The names of the environment's variables."""
    return sorted(os.environ)


@server.tool()
def wait(seconds: float) -> str:
    """Take long."""
    time.sleep(seconds)
    return "waited"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
