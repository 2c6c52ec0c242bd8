"""The official MCP inspector from npm, installed once into a cache; its command line is a client of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.slow.npm import CACHE, npm

PACKAGE, VERSION = "@modelcontextprotocol/inspector", "2.12.0"


def installed() -> Path:
    """Its program, installed into the cache if it is not there yet."""
    folder = CACHE / "clis" / f"inspector-{VERSION}"
    program = folder / "node_modules" / ".bin" / "mcp-inspector"
    npm(folder, "install", "--prefix", str(folder), f"{PACKAGE}@{VERSION}", makes=program)
    return program


def asked(servers: Path, server: str, era: str, method: str, *words: str) -> Any:
    """What one method of a server answers; `servers` is a file with their configuration."""
    argv = [
        str(installed()),
        "--cli",
        "--config",
        str(servers),
        "--server",
        server,
        "--protocol-era",
        era,
        "--quiet",
    ]
    done = subprocess.run(
        [*argv, "--method", method, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
