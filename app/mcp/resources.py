"""Resources: what a model reads by address instead of by tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError

from app.mcp.caller import Refused, ask, download
from app.mcp.sessions import get_session
from app.mcp.tasks import job

P = ParamSpec("P")
R = TypeVar("R")

MOST_ARTIFACT_BYTES = 2_000_000
"""A larger file fills a model's memory; its page has it."""
MOST_LOG_LINES = 1000


def register(server: MCPServer[Any]) -> None:
    """Offer every resource of this module."""
    for uri, read, title, kind in RESOURCES:
        server.resource(uri, name=read.__name__, title=title, mime_type=kind)(_worded(read))


def task(task_id: str) -> str:
    """The status document of a task."""
    return _json(ask("GET", job(task_id, "status")))


def task_log(task_id: str) -> str:
    """The newest thousand lines of a task's log, oldest first."""
    found = ask("GET", job(task_id, "status"))
    after = max(0, found["log_cursor"] - MOST_LOG_LINES)
    told = ask("GET", job(task_id, "logs"), query={"after": after, "limit": MOST_LOG_LINES})
    lines = [f"{line['at']} {line['level']:7} {line['message']}" for line in told["logs"]]
    return "\n".join(lines) + "\n" if lines else "(nothing yet)\n"


def task_result(task_id: str) -> str:
    """The result of a finished task."""
    found = ask("GET", job(task_id))
    if not found["poll"]["terminal"]:
        raise ResourceError(
            f"{task_id} is {found['status']}: it has no result yet. The tool wait_for_task waits."
        )
    return _json({name: found.get(name) for name in ("task_id", "status", "result", "error", "verdict")})


def artifact(artifact_id: str) -> str | bytes:
    """A file that a task left: text as text, anything else as bytes."""
    data = download(f"/api/v1/artifacts/{_part(artifact_id)}", MOST_ARTIFACT_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def session(session_id: str) -> str:
    """A collaborative session with what was said, remembered, made and delegated in it."""
    return get_session(session_id).model_dump_json(indent=2)


def agent(agent_id: str) -> str:
    """An agent: what it takes, what it answers, its limits and its health."""
    return _json(ask("GET", f"/api/v1/agents/{_part(agent_id)}"))


RESOURCES: tuple[tuple[str, Callable[..., str | bytes], str, str], ...] = (
    ("callboard://jobs/{task_id}", task, "A task", "application/json"),
    ("callboard://jobs/{task_id}/log", task_log, "A task's log", "text/plain"),
    ("callboard://jobs/{task_id}/result", task_result, "A task's result", "application/json"),
    ("callboard://artifacts/{artifact_id}", artifact, "A file", "application/octet-stream"),
    ("callboard://sessions/{session_id}", session, "A session", "application/json"),
    ("callboard://agents/{agent_id}", agent, "An agent", "application/json"),
)


def _worded(read: Callable[P, R]) -> Callable[P, R]:
    """The same, with refusals as resources say them."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(*args, **kwargs)
        except ToolError as refused:
            missing = isinstance(refused, Refused) and refused.status == 404
            raise (ResourceNotFoundError if missing else ResourceError)(str(refused)) from refused

    return reading


def _part(text: str) -> str:
    return quote(text, safe="")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
