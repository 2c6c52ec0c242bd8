"""A local server that speaks the Anthropic Messages API: streams, tool use, usage, errors, token counts.

with anthropic_model(UseTool("Bash", {"command": "ls"}), Say("Done.")) as model:
    ... ANTHROPIC_BASE_URL=model.url ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from tests.model_server import Hang, Model, Refuse, Reply, Say, Speaker, UseTool, speaking

_numbers = count(1)


def anthropic_model(*script: Reply) -> AbstractContextManager[Model]:
    """A model on a free port of 127.0.0.1 that gives the replies of `script` in turn."""
    return speaking(Anthropic, *script)


class Anthropic(Speaker):
    """`POST /v1/messages`, streaming or not, and `/v1/messages/count_tokens`."""

    def reply(self, request: dict[str, Any]) -> None:
        """Answer with the next reply of the script; other paths do not exist."""
        path = urlsplit(self.path).path
        if path == "/v1/messages/count_tokens":
            return self.send_json(200, {"input_tokens": len(str(request.get("messages", ""))) // 4})
        if path != "/v1/messages":
            return self.refuse(Refuse(404, "not_found_error", f"there is no {path}"))
        given = self.model.next_reply(request)
        if isinstance(given, Refuse):
            return self.refuse(given)
        if request.get("stream"):
            return self.stream(given, str(request.get("model")))
        return self.whole(given, str(request.get("model")))

    def refuse(self, given: Refuse) -> None:
        """An error as the API words it."""
        error = {"type": given.kind, "message": given.message}
        self.send_json(given.status, {"type": "error", "error": error}, given.headers)

    def whole(self, given: Say | UseTool | Hang, model: str) -> None:
        """A message that is not streamed."""
        if isinstance(given, Hang):
            return self.hold()
        ends = {"stop_reason": stop_reason(given), "stop_sequence": None, "content": blocks(given)}
        return self.send_json(200, begun(given, model) | ends | {"usage": usage(given, given.output_tokens)})

    def stream(self, given: Say | UseTool | Hang, model: str) -> None:
        """The events of one message."""
        self.begin_stream()
        for event in events(given, model):
            self.send_event(event, str(event["type"]))
        if isinstance(given, Hang):
            self.hold()


def events(given: Say | UseTool | Hang, model: str) -> Iterator[dict[str, Any]]:
    """What the API sends for one message; of one that hangs, only the beginning."""
    yield {"type": "message_start", "message": begun(given, model)}
    for index, block in enumerate(blocks(given)):
        yield from block_events(index, block, cut=isinstance(given, Hang))
    if not isinstance(given, Hang):
        delta = {"stop_reason": stop_reason(given), "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": given.output_tokens}}
        yield {"type": "message_stop"}


def block_events(index: int, block: dict[str, Any], *, cut: bool) -> Iterator[dict[str, Any]]:
    """One content block in pieces."""
    import json

    if block["type"] == "text":
        start, pieces = (
            {"type": "text", "text": ""},
            [
                {"type": "text_delta", "text": block["text"][at : at + 20]}
                for at in range(0, len(block["text"]), 20)
            ],
        )
    else:
        start = block | {"input": {}}
        pieces = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for piece in pieces:
        yield {"type": "content_block_delta", "index": index, "delta": piece}
    if not cut:
        yield {"type": "content_block_stop", "index": index}


def blocks(given: Say | UseTool | Hang) -> list[dict[str, Any]]:
    """The content of a message."""
    text = [{"type": "text", "text": given.text}] if given.text else []
    if not isinstance(given, UseTool):
        return text
    tool = {"type": "tool_use", "id": f"toolu_{next(_numbers):024}", "name": given.name}
    return [*text, tool | {"input": given.arguments}]


def begun(given: Say | UseTool | Hang, model: str) -> dict[str, Any]:
    """A message before its first token."""
    return {
        "id": f"msg_{next(_numbers):024}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(given, 1),
    }


def usage(given: Say | UseTool | Hang, output_tokens: int) -> dict[str, Any]:
    """The tokens of a message; `input_tokens` leaves out what was cached."""
    hangs = isinstance(given, Hang)
    return {
        "input_tokens": 700 if hangs else given.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0 if hangs else given.cached_tokens,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def stop_reason(given: Say | UseTool | Hang) -> str:
    """Why the model stopped."""
    return "tool_use" if isinstance(given, UseTool) else "end_turn"
