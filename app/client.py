"""The Python client: submit work to a Callboard server, watch it, and read what came out.

from app.client import Client

callboard = Client("http://127.0.0.1:8000", key="cb_…")
job = callboard.submit("researcher", {"topic": "Tides"})
print(callboard.wait(job.job_id).result)
"""

from __future__ import annotations

import os
from typing import Any

import httpx2

JSON = dict[str, Any]
LOCAL = "http://127.0.0.1:8000"


class CallFailed(Exception):
    """The server refused, or could not be reached."""

    def __init__(self, message: str, *, status: int | None = None, problem: JSON | None = None) -> None:
        """`status` is None when no answer came; `problem` is the server's problem document."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.problem = problem or {}


class Client:
    """A connection to one server in one person's name."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Left out, `url` is CALLBOARD_URL (else this machine) and `key` is CALLBOARD_API_KEY; `timeout` in seconds."""
        self.url = (url or os.environ.get("CALLBOARD_URL") or LOCAL).rstrip("/")
        key = key or os.environ.get("CALLBOARD_API_KEY")
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = httpx2.Client(base_url=self.url, headers=headers, transport=transport, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: JSON | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request; answers the JSON of a good answer, None for an empty one. Raises CallFailed."""
        try:
            answer = self._http.request(
                method,
                path,
                json=body,
                params={k: v for k, v in (query or {}).items() if v is not None},
                headers=headers,
            )
        except httpx2.HTTPError as away:
            raise CallFailed(f"no answer from {self.url}: {away}") from away
        if answer.is_error:
            raise _refusal(answer)
        return answer.json() if answer.content else None


def _refusal(answer: httpx2.Response) -> CallFailed:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    said = problem.get("detail") or problem.get("title") or f"HTTP {answer.status_code}"
    return CallFailed(str(said), status=answer.status_code, problem=problem)
