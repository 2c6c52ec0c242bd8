"""On whose behalf a tool acts: a client of the API with the caller's own credential, bound for one message.

Tools never touch a room: what they do is an API call, so identity, role, scopes, limits, checks and the audit log
are the API's own (MCP-09), by HTTP as well as by stdio.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError

from app.client import CallFailed, Client

WAYS_OUT = {
    401: "Set a valid key: CALLBOARD_API_KEY for `callboard mcp`, the header Authorization: Bearer cb_… for /mcp.",
    403: "Ask an admin for a key with the role and scopes that this needs.",
    429: "Wait a minute, or ask less often: wait_for_task waits without being counted by the second.",
    503: "Try again in a few seconds.",
}


class Refused(ToolError):
    """The API said no; the text tells the model what to change."""

    def __init__(self, failed: CallFailed) -> None:
        """Keep status and code, so that a tool can make something of the refusals it expects."""
        super().__init__(sentence(failed))
        self.status = failed.status
        self.code = str(failed.problem.get("code", ""))


class Forbidden(Refused):
    """The caller may not do this, or see this."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and how much patience there is for them."""

    client: Client
    address: str
    """Of the pages, without a trailing slash."""
    headers: dict[str, str] = field(default_factory=dict)
    waits: BoundedSemaphore | None = None
    """Places for those that wait, where each keeps a thread from others; None: as many as like."""


_present: ContextVar[Caller] = ContextVar("mcp_caller")


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Let everything inside the block act for `caller`."""
    token = _present.set(caller)
    try:
        yield
    finally:
        _present.reset(token)


def present() -> Caller:
    """For whom the running tool acts."""
    return _present.get()


def ask(
    method: str,
    path: str,
    *,
    body: Any = None,
    query: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """One call of the API; answers its JSON. Raises Refused."""
    caller = present()
    try:
        return caller.client.call(
            method, path, body=body, query=query, headers={**caller.headers, **(headers or {})}
        )
    except CallFailed as failed:
        raise _refusal(failed) from failed


def download(path: str, most: int) -> bytes:
    """The bytes behind a path of the API; raises Refused, and ToolError if they are more than `most`."""
    caller = present()
    try:
        size = int(caller.client.ask("HEAD", path, headers=caller.headers).headers.get("Content-Length", 0))
        if size > most:
            raise ToolError(f"It has {size} bytes, and at most {most} are handed to a model: {page(path)}")
        return caller.client.ask("GET", path, headers=caller.headers).content
    except CallFailed as failed:
        raise _refusal(failed) from failed


def page(path: str) -> str:
    """The address of a page, for people."""
    return present().address + path


def _refusal(failed: CallFailed) -> Refused:
    return (Forbidden if failed.status == 403 else Refused)(failed)


def sentence(failed: CallFailed) -> str:
    """What went wrong, what exactly was wrong with the input, and the way out."""
    said = [failed.message.rstrip(". ") + "."]
    wrong = (f"{pointer.lstrip('/')}: {message}".rstrip(".") for pointer, message in failed.errors)
    said += [f"{each}." for each in wrong if each not in failed.message]
    if allowed := failed.problem.get("allowed_actions"):
        said.append(f"Possible instead: {', '.join(allowed)}.")
    if failed.status is None:
        said.append("Is the server running, and does CALLBOARD_URL lead to it?")
    if way_out := WAYS_OUT.get(failed.status or 0):
        said.append(way_out)
    return " ".join(said)


def given(**values: Any) -> dict[str, Any]:
    """Those that were given: what is None is left to the API."""
    return {name: value for name, value in values.items() if value is not None}
