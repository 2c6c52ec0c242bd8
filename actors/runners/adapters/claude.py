"""Claude Code: `claude -p --output-format stream-json`, the prompt on standard input.

Known to fit 2.1.197 and 2.1.330. What is odd, and seen in both: a refused API call ends with
`subtype: success` and `is_error: true`; a session id is refused when it was used before; sessions belong to a
folder. Since some version between the two `modelUsage` counts the whole session, and
`model_usage_since_last_result` this run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from actors.runners.adapters.base import Adapter, Order, Reader, shortened, summary_of
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

PIECE = '{"type":"stream_event","event":{"type":"content_block_delta"'
AROUND_CHARS = 260  # of such a line, besides the text
CHARS_A_TOKEN = 5  # of text that streams; low, because what was metered is never taken back
COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
}
TOTALS = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheCreationInputTokens",
    "reasoning_tokens": "thinkingTokens",
}
STATUSES = {  # what a made-up message's `error` says where the result has no status
    "authentication_failed": 401,
    "oauth_org_not_allowed": 403,
    "billing_error": 402,
    "rate_limit": 429,
    "invalid_request": 400,
    "model_not_found": 404,
    "server_error": 500,
}
SYNTHETIC = "<synthetic>"  # the "model" of messages that the CLI made up itself


class ClaudeReader(Reader):
    """Reads `stream-json` with partial messages."""

    def __init__(self, order: Order, counters: JSON | None = None) -> None:
        """Nothing was heard yet."""
        super().__init__(order, counters)
        self.messages: dict[str, Spent] = {}
        self.streaming = ""
        self.streamed_chars = 0
        self.resets_at: float | None = None
        self.refused = ""

    def event_of(self, line: str) -> JSON | None:
        """Pieces of a message are many and all alike: they are not parsed, only measured."""
        if line.startswith(PIECE):
            self.streamed_chars += max(0, len(line) - AROUND_CHARS)
            return {"type": "piece"}
        return super().event_of(line)

    def on_piece(self, _: JSON) -> Iterator[Heard]:
        """Streamed text, as tokens that were surely used."""
        spent = self.messages.get(self.streaming)
        guessed = self.streamed_chars // CHARS_A_TOKEN
        if spent and guessed > spent.output_tokens + 50:
            yield self._count(self.streaming, replace(spent, output_tokens=guessed))
        else:
            yield Other("piece")

    def on_system(self, event: JSON) -> Iterator[Heard]:
        """The beginning, and waiting for the API."""
        if event["subtype"] == "init":
            version = event.get("claude_code_version")
            yield Session(session_id=event["session_id"], model=event.get("model"), version=version)
        elif event["subtype"] == "api_retry":
            status, seconds = event.get("error_status"), event.get("retry_delay_ms", 0) / 1000
            what = f"The API answered {status or 'nothing'} ({event.get('error')}); again in {seconds:g} s"
            yield ProviderRetry(what, {"status": status, "attempt": event.get("attempt")})
        else:
            yield Other(f"system/{event['subtype']}")

    def on_rate_limit_event(self, event: JSON) -> Iterator[Heard]:
        """How much of a subscription is used up."""
        info = event["rate_limit_info"]
        if info.get("status") == "allowed":
            return
        self.resets_at = float(info["resetsAt"]) if info.get("resetsAt") else None
        window = info.get("rateLimitType") or "usage"
        yield ProviderRetry(f"Subscription limit ({window}): {info.get('status')}", {"limit": info})

    def on_stream_event(self, event: JSON) -> Iterator[Heard]:
        """Exact figures of the message that streams."""
        inner = event["event"]
        if inner["type"] == "message_start":
            message = inner["message"]
            self.streaming, self.streamed_chars = message["id"], 0
            yield self._count(message["id"], _counted(message["model"], message["usage"]))
        elif inner["type"] == "message_delta" and self.streaming in self.messages:
            before = self.messages[self.streaming]
            counts = {ours: int(inner["usage"].get(theirs) or 0) for ours, theirs in COUNTS.items()}
            grown = {name: max(count, getattr(before, name)) for name, count in counts.items()}
            yield self._count(self.streaming, replace(before, **grown))
        else:
            yield Other(f"stream_event/{inner['type']}")

    def on_assistant(self, event: JSON) -> Iterator[Heard]:
        """What the model said and which tools it wants; one event for each block of a message."""
        message = event["message"]
        if message.get("model") == SYNTHETIC:
            self.refused = str(event.get("error") or self.refused)
            yield Other("synthetic")
            return
        if message["id"] not in self.messages:  # a sub-agent's, or an older CLI: not streamed
            yield self._count(message["id"], _counted(message["model"], message.get("usage") or {}))
        for block in message["content"]:
            if block["type"] == "text" and block["text"].strip():
                yield Text(block["text"])
            elif block["type"] == "tool_use":
                arguments = block.get("input") or {}
                yield ToolStarted(
                    call_id=block["id"],
                    name=block["name"],
                    arguments=arguments,
                    summary=summary_of(arguments),
                )

    def on_user(self, event: JSON) -> Iterator[Heard]:
        """What tools answered."""
        for block in event["message"]["content"]:
            if block["type"] == "tool_result":
                said = block.get("content")
                if isinstance(said, list):
                    said = " ".join(str(part.get("text", "")) for part in said)
                ok = not block.get("is_error")
                yield ToolEnded(call_id=block["tool_use_id"], ok=ok, summary=shortened(str(said or "")))

    def on_result(self, event: JSON) -> Iterator[Heard]:
        """The end, with the figures of the whole run."""
        totals, own = self._totals(event)
        for model, counts in own.items():
            amounts = {ours: max(0, int(counts.get(theirs) or 0)) for ours, theirs in TOTALS.items()}
            cost = Decimal(str(counts["costUSD"])) if counts.get("costUSD") is not None else None
            yield Spent(model=model, cost_usd=cost, reported=True, **amounts)
        reason = str(event.get("subtype") or "")
        errors = [str(error) for error in event.get("errors") or ()]
        structured = event.get("structured_output")
        yield Final(
            ok=not event.get("is_error") and reason == "success",
            text=str(event.get("result") or "; ".join(errors)),
            structured=structured if isinstance(structured, dict) else None,
            turns=event.get("num_turns"),
            status=event.get("api_error_status") or STATUSES.get(self.refused),
            reason=reason,
            retry_after=max(1.0, self.resets_at - time.time()) if self.resets_at else None,
            denials=tuple(one for one in event.get("permission_denials") or () if isinstance(one, dict)),
            counters=totals,
        )

    def _totals(self, event: JSON) -> tuple[dict[str, Any], dict[str, Any]]:
        """The figures by model as reported, and those of them that are this run's."""
        totals: dict[str, Any] = event.get("modelUsage") or {}
        since = event.get("model_usage_since_last_result")
        if isinstance(since, dict):
            return totals, since
        if not self.order.resume or not _counts_session(event, totals, self.counters):
            return totals, totals
        own = {model: _minus(counts, self.counters.get(model) or {}) for model, counts in totals.items()}
        return totals, own

    def _count(self, message_id: str, spent: Spent) -> Spent:
        """Keep what one message used; answers the sum for its model."""
        self.messages[message_id] = spent
        total = Spent(model=spent.model)
        for one in self.messages.values():
            if one.model == spent.model:
                total = replace(total, **{name: getattr(total, name) + getattr(one, name) for name in COUNTS})
        return total


def _listed(tools: Any) -> str:
    """Tools as one argument; a definition has them as a list or as text."""
    return tools if isinstance(tools, str) else ",".join(map(str, tools or ()))


def _counted(model: str, usage: JSON) -> Spent:
    counts: dict[str, Any] = {ours: int(usage.get(theirs) or 0) for ours, theirs in COUNTS.items()}
    return replace(Spent(model=model), **counts)


def _counts_session(event: JSON, totals: JSON, before: JSON) -> bool:
    """Whether `totals` go on from `before`: then they exceed this run's own `usage` by just that."""
    own = sum(int((event.get("usage") or {}).get(theirs) or 0) for theirs in COUNTS.values())
    return bool(before) and own <= _tokens(totals) - _tokens(before)


def _tokens(totals: JSON) -> int:
    return sum(
        int(counts.get(theirs) or 0) for counts in totals.values() for theirs in list(TOTALS.values())[:4]
    )


def _minus(counts: JSON, before: JSON) -> JSON:
    less = {theirs: (counts.get(theirs) or 0) - (before.get(theirs) or 0) for theirs in TOTALS.values()}
    if counts.get("costUSD") is not None:
        cost = Decimal(str(counts["costUSD"])) - Decimal(str(before.get("costUSD") or 0))
        less["costUSD"] = str(max(Decimal(0), cost))
    return less


class Claude(Adapter):
    """Claude Code."""

    name: ClassVar[str] = "claude"
    title: ClassVar[str] = "Claude Code"
    program: ClassVar[str] = "claude"
    provider: ClassVar[str] = "anthropic"
    package: ClassVar[str] = "@anthropic-ai/claude-code"
    least_version: ClassVar[tuple[int, ...]] = (2, 1)
    keys: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",  # and VERTEX: the cloud's own variables belong into the agent's `env`
        "CLAUDE_CODE_USE_VERTEX",
    )
    tokens: ClassVar[tuple[str, ...]] = ("CLAUDE_CODE_OAUTH_TOKEN",)
    settings: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_BASE_URL",
        "HTTPS_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
    )
    login_variable: ClassVar[str] = "CLAUDE_CONFIG_DIR"
    login_folder: ClassVar[str] = ".claude"
    login_files: ClassVar[tuple[str, ...]] = (".credentials.json",)
    way_in: ClassVar[str] = (
        "Set ANTHROPIC_API_KEY for the worker, or log in as its user with `claude /login`."
    )
    names_sessions: ClassVar[bool] = True
    reader: ClassVar[type[Reader]] = ClaudeReader
    lost_session: ClassVar[tuple[str, ...]] = ("No conversation found", "is already in use")

    def argv(self, order: Order) -> list[str]:
        """The argument list; the prompt comes by standard input."""
        config = order.config
        argv = [
            order.program,
            "-p",
            "--output-format",
            "stream-json",
            "--verbose",
            "--include-partial-messages",
        ]
        argv += ["--resume" if order.resume else "--session-id", str(order.session_id)]
        argv += ["--permission-mode", str(config.get("permission_mode") or "acceptEdits")]
        optional: list[tuple[str, Any]] = [
            ("--model", order.model),
            ("--max-turns", config.get("max_turns")),
            ("--max-budget-usd", None if order.budget_usd is None else f"{max(order.budget_usd, 1e-6):.6f}"),
            ("--append-system-prompt", order.instructions),
            ("--json-schema", order.output_schema and json.dumps(order.output_schema)),
            ("--tools", _listed(config.get("tools"))),
        ]
        argv += [str(word) for option, value in optional if value for word in (option, value)]
        for option, tools in (("--allowedTools", "allowed_tools"), ("--disallowedTools", "disallowed_tools")):
            if config.get(tools):
                argv += [option, _listed(config[tools])]
        return argv + order.extra

    def environment(self, order: Order) -> dict[str, str]:
        """Callboard decides about retries; a login is used where it lies."""
        ours = {
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        folder = order.account.folder or order.home / ".claude"
        return ours | {"CLAUDE_CONFIG_DIR": str(folder)}
