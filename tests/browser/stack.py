"""A whole Callboard on a free port, started as `make run` starts it, and a few words with its API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import ROOT
from tests.waiting import until

EMAIL, PASSWORD = "admin@callboard.test", "a password for the browser"
API_KEY = "cb_browser0_" + "b" * 43
AGENTS = (ROOT / "tests" / "agents", ROOT / "tests" / "browser" / "agents")


@dataclass(frozen=True)
class Stack:
    """A running Callboard."""

    url: str
    home: Path

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Speak to the API as the admin."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]

    def submit(self, agent_id: str, parameters: dict[str, Any] | None = None, **more: Any) -> str:
        """Send a job in; answers its id."""
        order = {"agent_id": agent_id, "parameters": parameters or {}, **more}
        return str(self.call("POST", "/api/v1/jobs", order)["job_id"])

    def status(self, job_id: str) -> str:
        """Where a job is."""
        return str(self.call("GET", f"/api/v1/jobs/{job_id}/status")["status"])

    def settled(self, job_id: str, seconds: float = 30) -> str:
        """Where a job ended."""
        until(lambda: self.status(job_id) in ("completed", "failed", "cancelled"), seconds, 0.1)
        return self.status(job_id)


@contextmanager
def stack(**environ: str) -> Iterator[Stack]:
    """Start everything, wait until it is ready, and leave no process behind."""
    with tempfile.TemporaryDirectory(prefix="cb-browser-") as home, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        process = _start(port, Path(home), environ)
        try:
            running = Stack(f"http://127.0.0.1:{port}", Path(home))
            until(lambda: _is_ready(process, running), 120, 0.2)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def _start(port: int, home: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    mine = {
        "CALLBOARD_ENV": "test",
        "CALLBOARD_ADMIN_EMAIL": EMAIL,
        "CALLBOARD_ADMIN_PASSWORD": PASSWORD,
        "CALLBOARD_ADMIN_API_KEY": API_KEY,
        "SECRET_KEY": secrets.token_urlsafe(40),
        "AGENT_FOLDERS": ":".join(map(str, AGENTS)),
        "WEB_CONCURRENCY": "1",
        "WORKER_THREADS": "4",
        "RATE_LIMIT_PER_MINUTE": "0",
        "RATE_LIMIT_PER_HOUR": "0",
        "RATE_LIMIT_BURST_PER_SECOND": "0",
        # Pages ask often, so that tests need not wait; the client's own floor stays above what the server says.
        "POLL_RUNNING_MS": "500",
        "POLL_QUEUED_MS": "500",
        "POLL_RETRY_MS": "500",
        "POLL_MIN_MS": "200",
        "POLL_MAX_MS": "2000",
        "STATS_REFRESH_MS": "1000",
    }
    rest = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return subprocess.Popen(
        [sys.executable, "-m", "app", "up", "--port", str(port), "--home", str(home), "--stop-with-parent"],
        cwd=ROOT,
        env={**rest, **mine, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _is_ready(process: subprocess.Popen[bytes], running: Stack) -> bool:
    assert process.poll() is None, f"callboard up ended with {process.returncode}; see {running.home}/log"
    try:
        return running.call("GET", "/api/v1/workers")["workers"] != []
    except OSError:
        return False
