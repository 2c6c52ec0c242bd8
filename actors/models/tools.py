"""The tools of MCP servers, for as long as one attempt runs (imports mcp and pydantic_ai).

A server is entered and left by one task on the loop; the calls come from the attempt's thread, one after another.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

from actors.models import loop
from actors.models.guarded import guarded_client
from actors.models.wish import Server, Wish
from actors.runners.base import JSON, Context, Work
from actors.runners.environment import asked_for, environment
from actors.runners.http import checked_url, with_secrets
from actors.runners.order import find_program
from actors.spans import tool_span
from app.db import storable
from app.errors import JobError, PermanentError, TemporaryError
from app.observe.tracing import failed

MOST_ANSWER_CHARS = 100_000
SUMMARY_CHARS = 200
STDERR_CHARS = 2_000
UNNAMEABLE = re.compile(r"[^a-zA-Z0-9_-]+")
LONGEST_NAME = 64


@dataclass(frozen=True)
class Tool:
    """A tool as the model sees it, and whom to ask."""

    definition: ToolDefinition
    name: str
    client: Client


@dataclass
class Toolbox:
    """Every tool of an attempt."""

    context: Context
    seconds: float
    tools: dict[str, Tool] = field(default_factory=dict)

    @property
    def definitions(self) -> list[ToolDefinition]:
        """What is offered to the model."""
        return [tool.definition for tool in self.tools.values()]

    def use(self, call: ToolCallPart) -> tuple[bool, str]:
        """Do what the model asks for: whether it went well, and what to tell it."""
        tool = self.tools.get(call.tool_name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return False, f"There is no tool {call.tool_name}; there are: {known}."
        try:
            arguments = call.args_as_dict(raise_if_invalid=True)
        except ValueError as wrong:
            return False, f"The arguments are no JSON object: {wrong}"
        self.context.tool_started(call.tool_call_id, call.tool_name, arguments, brief(arguments))
        ok, answer = False, "stopped"
        try:
            with tool_span(call.tool_name, call.tool_call_id) as span:
                ok, answer = loop.run(self._ask(tool, arguments), self.context.stop_due)
                if not ok:
                    failed(span, "tool_error")
        finally:
            self.context.tool_ended(call.tool_call_id, ok=ok, summary=answer[:SUMMARY_CHARS])
        return ok, answer

    async def _ask(self, tool: Tool, arguments: JSON) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(self.seconds):
                said = await tool.client.call_tool(tool.name, arguments)
        except TimeoutError:
            return False, f"The tool did not answer within {self.seconds:g} s."
        except Exception as error:  # noqa: BLE001 - whatever a server breaks with, the model may try something else
            cause = innermost(error)
            return False, f"The tool failed: {cause or type(cause).__name__}"
        return not said.is_error, storable(worded(said))


@contextmanager
def toolbox(wish: Wish, work: Work, context: Context) -> Iterator[Toolbox]:
    """The tools of all servers the definition names; they are ended afterwards."""
    box = Toolbox(context, wish.tool_seconds)
    visit = Visit(wish, work, context, box)
    errand = loop.Errand(visit.stay())
    try:
        visit.await_ready(errand)
        yield box
    finally:
        visit.leave(errand)


class Visit:
    """The stay at all servers: one task enters them, waits, and leaves them."""

    def __init__(self, wish: Wish, work: Work, context: Context, box: Toolbox) -> None:
        """Nothing is started yet."""
        self.wish, self.work, self.context, self.box = wish, work, context, box
        self.ready = threading.Event()
        self.over = asyncio.Event()
        self.environment = environment(work, context.workspace)  # on the worker's thread: it makes a folder

    def await_ready(self, errand: loop.Errand[None]) -> None:
        """Wait until every server has told its tools; raises what came between."""
        while not self.ready.wait(loop.SLICE_SECONDS):
            if errand.over:
                errand.wait(lambda: None)
            self.context.stop_due()

    def leave(self, errand: loop.Errand[None]) -> None:
        """End the servers."""
        loop.running_loop().call_soon_threadsafe(self.over.set)
        if not errand.ended_within(loop.FAREWELL_SECONDS):
            errand.cancel()

    async def stay(self) -> None:
        """Enter each server, collect its tools, and keep them open until it is over."""
        async with AsyncExitStack() as stack:
            for name, server in self.wish.servers.items():
                await self._enter(stack, name, server)
            self.ready.set()
            await self.over.wait()

    async def _enter(self, stack: AsyncExitStack, name: str, server: Server) -> None:
        errors = self.context.workspace / f"mcp-{UNNAMEABLE.sub('-', name)}.log"
        own = AsyncExitStack()
        try:
            async with asyncio.timeout(self.wish.start_seconds):
                client = await own.enter_async_context(Client(await self._transport(own, server, errors)))
                found = await everything(client)
        except Exception as error:
            await own.aclose()
            refusal = self._refusal(name, error, errors)
            if not server.optional:
                raise refusal from error
            self.context.event("tool", refusal.message, level="warning", server=name)
            return
        stack.push_async_exit(own)
        self._collect(name, server, client, found)

    async def _transport(self, own: AsyncExitStack, server: Server, errors: Path) -> Any:
        if server.command is not None:
            log: TextIO = own.enter_context(errors.open("w", encoding="utf-8", errors="replace"))
            return stdio_client(self._program(server.command, server), errlog=log)
        allow_private = bool(self.work.config.get("http_allow_private"))
        client = guarded_client(headers_of(server), self.wish.tool_seconds, allow_private=allow_private)
        await own.enter_async_context(client)
        return streamable_http_client(url_of(server), http_client=client)

    def _program(self, command: list[str], server: Server) -> StdioServerParameters:
        env = self.environment | asked_for({"env": server.env}, "env")
        program = find_program(command[0], env["PATH"])
        return StdioServerParameters(command=program, args=command[1:], env=env, cwd=self.context.workspace)

    def _refusal(self, name: str, error: Exception, errors: Path) -> JobError:
        error = innermost(error)
        why = f"The MCP server {name} cannot be used: {error or type(error).__name__}"
        said = errors.read_text(errors="replace")[-STDERR_CHARS:].strip() if errors.exists() else ""
        details: JSON = {"server": name} | ({"stderr": said} if said else {})
        kind = PermanentError if isinstance(error, (PermanentError, FileNotFoundError)) else TemporaryError
        return kind(why, details=details)

    def _collect(self, name: str, server: Server, client: Client, found: list[Any]) -> None:
        for tool in found:
            if server.only is not None and tool.name not in server.only:
                continue
            shown = UNNAMEABLE.sub("_", f"{name}__{tool.name}")[:LONGEST_NAME]
            definition = ToolDefinition(
                name=shown,
                description=tool.description or tool.name,
                parameters_json_schema=tool.input_schema,
                strict=False,  # as the server wrote it: otherwise a free object would have to stay empty
            )
            self.box.tools[shown] = Tool(definition, tool.name, client)


async def everything(client: Client) -> list[Any]:
    """All tools of a server, page by page."""
    found, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


def innermost(error: Exception) -> Exception:
    """What is behind the groups that tasks wrap their errors in."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def url_of(server: Server) -> str:
    """Where the server is; raises PermanentError if that is not set, or no address."""
    url = server.url or asked_for({"env": [server.url_env]}, "env").get(str(server.url_env), "")
    if not url:
        raise PermanentError(f"set {server.url_env} for the worker")
    return str(checked_url(url))


def headers_of(server: Server) -> dict[str, str]:
    """Its headers with their secrets."""
    secrets = asked_for({"secrets": server.secrets}, "secrets")
    return {name: with_secrets(value, secrets) for name, value in server.headers.items()}


def worded(said: CallToolResult) -> str:
    """The answer of a tool as text, at most 100,000 characters."""
    parts = [part.text if isinstance(part, TextContent) else f"[{part.type}]" for part in said.content]
    text = "\n".join(parts)
    if not text and said.structured_content is not None:
        text = json.dumps(said.structured_content, ensure_ascii=False)
    return (
        text
        if len(text) <= MOST_ANSWER_CHARS
        else text[:MOST_ANSWER_CHARS] + "\n[cut: the answer was longer]"
    )


def brief(arguments: JSON) -> str:
    """Arguments on one short line."""
    text = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return text if len(text) <= SUMMARY_CHARS else text[:SUMMARY_CHARS] + "…"
