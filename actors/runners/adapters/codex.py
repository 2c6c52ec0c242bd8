"""Codex: `codex exec --json`, the prompt on standard input; sandboxed by itself.

Known to fit 0.169.0. What is odd: usage counts the whole thread; an item of type `error` is only a warning; the
stream names no model and, if it is cut off, no usage: both stand in the rollout file that Codex keeps.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from actors.runners.adapters.base import Adapter, Order, Reader, Record, shortened, summary_of
from actors.runners.adapters.heard import (
    Final,
    Heard,
    Other,
    ProviderRetry,
    Session,
    Spent,
    Text,
    ToolEnded,
    ToolStarted,
)
from actors.runners.base import JSON
from actors.runners.output import last_json_object

STATUS = re.compile(r"\bstatus:? (\d{3})\b")
SHELL = re.compile(r"^\S*\b(?:ba|z|da)?sh -l?c (?P<command>.+)$", re.DOTALL)
SCHEMA_FILE = "output-schema.json"
COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)
OPENAI = "https://api.openai.com/v1"


class CodexReader(Reader):
    """Reads the events of `exec --json`."""

    def __init__(self, order: Order, counters: JSON | None = None) -> None:
        """Nothing was heard yet."""
        super().__init__(order, counters)
        self.last_text = ""
        self.status: int | None = None

    def on_thread_started(self, event: JSON) -> Iterator[Heard]:
        """The session's id."""
        yield Session(session_id=event["thread_id"], model=self.order.model)

    def on_item_started(self, event: JSON) -> Iterator[Heard]:
        """A tool call, if the item is one."""
        item = event["item"]
        if named := _tool(item):
            name, arguments, summary = named
            yield ToolStarted(call_id=item["id"], name=name, arguments=arguments, summary=summary)
        else:
            yield Other(f"started/{item['type']}")

    def on_item_completed(self, event: JSON) -> Iterator[Heard]:
        """What the model said, a tool's end, a warning."""
        item = event["item"]
        if item["type"] == "agent_message":
            self.last_text = item["text"]
            yield Text(item["text"])
        elif item["type"] == "error":
            yield ProviderRetry(shortened(item["message"], 500), {"warning": True})
        elif _tool(item):
            ok = item.get("status", "completed") == "completed" and not item.get("exit_code")
            said = item.get("aggregated_output") or item.get("error") or item.get("status") or ""
            yield ToolEnded(call_id=item["id"], ok=ok, summary=shortened(str(said)))
        else:
            yield Other(f"completed/{item['type']}")

    def on_error(self, event: JSON) -> Iterator[Heard]:
        """The provider refused; Codex tries again or gives up next."""
        self._note_status(event["message"])
        yield ProviderRetry(shortened(event["message"], 500), {"status": self.status})

    def on_turn_completed(self, event: JSON) -> Iterator[Heard]:
        """The end. The usage is the thread's; what earlier runs used is taken off."""
        totals = {name: int(event["usage"].get(name) or 0) for name in COUNTS}
        yield self.spent(totals)
        wanted = self.order.output_schema is not None
        yield Final(
            ok=True,
            text=self.last_text,
            structured=last_json_object(self.last_text) if wanted else None,
            counters=totals,
        )

    def on_turn_failed(self, event: JSON) -> Iterator[Heard]:
        """The end, without a result."""
        said = event["error"]["message"]
        self._note_status(said)
        yield Final(ok=False, text=said, status=self.status, reason="turn.failed", counters=self.counters)

    def spent(self, totals: JSON, model: str | None = None) -> Spent:
        """This run's part of the thread's usage; its `input_tokens` include what was cached."""
        own = {
            name: max(0, int(totals.get(name) or 0) - int(self.counters.get(name) or 0)) for name in COUNTS
        }
        cached, written = own["cached_input_tokens"], own["cache_write_input_tokens"]
        return Spent(
            model=model or self.order.model or "",
            input_tokens=max(0, own["input_tokens"] - cached - written),
            output_tokens=own["output_tokens"],
            cache_read_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=own["reasoning_output_tokens"],
            reported=True,
        )

    def _note_status(self, said: str) -> None:
        if found := STATUS.search(said):
            self.status = int(found[1])


def _tool(item: JSON) -> tuple[str, JSON | str, str] | None:
    """Name, arguments and a summary of a tool call; None for other items."""
    kind = item["type"]
    if kind == "command_execution":
        command = _plain_command(str(item["command"]))
        return "shell", {"command": command}, shortened(command)
    if kind == "file_change":
        changes = item.get("changes") or []
        paths = ", ".join(str(change.get("path")) for change in changes)
        return "file_change", {"changes": changes}, shortened(paths)
    if kind == "mcp_tool_call":
        arguments = item.get("arguments") or {}
        return f"{item.get('server')}.{item.get('tool')}", arguments, summary_of(arguments)
    if kind == "web_search":
        return "web_search", {"query": item.get("query")}, shortened(str(item.get("query") or ""))
    return None


def _plain_command(command: str) -> str:
    """`ls` out of `/bin/bash -lc 'ls'`."""
    found = SHELL.match(command)
    if not found:
        return command
    try:
        words = shlex.split(found["command"])
    except ValueError:
        return command
    return words[0] if len(words) == 1 else found["command"]


class Codex(Adapter):
    """Codex."""

    name: ClassVar[str] = "codex"
    title: ClassVar[str] = "Codex"
    program: ClassVar[str] = "codex"
    provider: ClassVar[str] = "openai"
    package: ClassVar[str] = "@openai/codex"
    least_version: ClassVar[tuple[int, ...]] = (0, 100)
    keys: ClassVar[tuple[str, ...]] = ("CODEX_API_KEY", "OPENAI_API_KEY")
    settings: ClassVar[tuple[str, ...]] = ("OPENAI_BASE_URL", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
    login_variable: ClassVar[str] = "CODEX_HOME"
    login_folder: ClassVar[str] = ".codex"
    login_files: ClassVar[tuple[str, ...]] = ("auth.json",)
    way_in: ClassVar[str] = "Set OPENAI_API_KEY for the worker, or log in as its user with `codex login`."
    reader: ClassVar[type[Reader]] = CodexReader
    lost_session: ClassVar[tuple[str, ...]] = ("no rollout found", "thread/resume failed")

    def argv(self, order: Order) -> list[str]:
        """The argument list; the prompt comes by standard input."""
        argv = [order.program, "exec", *(["resume"] if order.resume else [])]
        argv += ["--json", "--skip-git-repo-check"]
        sandbox = str(order.config.get("permission_mode") or "workspace-write")
        if order.resume:  # knows no -s and no -C; the current folder is the same
            argv += ["-c", f"sandbox_mode={json.dumps(sandbox)}"]
        else:
            argv += ["-s", sandbox, "-C", str(order.workspace)]
        if order.model:
            argv += ["-m", order.model]
        if order.output_schema is not None:
            argv += ["--output-schema", str(order.home / SCHEMA_FILE)]
        for setting in self._settings(order):
            argv += ["-c", setting]
        return [*argv, *order.extra, *([str(order.session_id)] if order.resume else []), "-"]

    def _settings(self, order: Order) -> Iterator[str]:
        """With a key: a provider of our own, because the built-in one's retries cannot be set."""
        given = order.account.given
        key = next((name for name in self.keys if given.get(name)), None)
        if key is None:
            return
        url = given.get("OPENAI_BASE_URL") or OPENAI
        yield 'model_provider="callboard"'
        yield (
            'model_providers.callboard={name="OpenAI",wire_api="responses",'
            f'base_url={json.dumps(url)},env_key="{key}",request_max_retries=0,stream_max_retries=0}}'
        )

    def stdin(self, order: Order) -> str:
        """Instructions and task: there is no option for instructions."""
        return order.whole_prompt

    def environment(self, order: Order) -> dict[str, str]:
        """A login is used where it lies."""
        return {"CODEX_HOME": str(order.account.folder or _own_home(order))}

    def billing(self, folder: Path) -> str:
        """`codex login --with-api-key` keeps the key in the same file as a subscription's tokens."""
        try:
            kept = json.loads((folder / "auth.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "subscription"
        return "api" if kept.get("OPENAI_API_KEY") and not kept.get("tokens") else "subscription"

    def prepare(self, order: Order) -> None:
        """Its own home must be there before it starts; so must the schema."""
        _own_home(order).mkdir(parents=True, exist_ok=True)
        if order.output_schema is not None:
            (order.home / SCHEMA_FILE).write_text(json.dumps(order.output_schema), encoding="utf-8")

    def afterwards(self, order: Order, session_id: str | None) -> Record:
        """The model, and the usage of the thread, from its rollout file."""
        folder = (order.account.folder or _own_home(order)) / "sessions"
        found = sorted(folder.glob(f"**/rollout-*{session_id}.jsonl")) if session_id else []
        return _rollout(found[-1], order.model) if found else Record(model=order.model)


def _own_home(order: Order) -> Path:
    return order.home / ".codex"


def _rollout(path: Path, model: str | None) -> Record:
    """What the last lines of each kind say."""
    totals: JSON | None = None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if '"turn_context"' not in line and '"token_count"' not in line:
                continue
            try:
                payload = json.loads(line)["payload"]
                model = payload.get("model") or model
                totals = (payload.get("info") or {}).get("total_token_usage") or totals
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
    return Record(model=model, totals=totals and {name: int(totals.get(name) or 0) for name in COUNTS})
