"""A local server that speaks the chat completions of OpenAI: real HTTP, real server-sent events, a script of replies.

    with chat_model(Refuse(429, "rate_limit_exceeded", "slow down"), Say("Done.")) as model:
        ... base_url = model.url + "/v1" ...

`python -m tests.openai_server` serves one slow answer again and again and prints its address, for tests that kill it.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from tests.model_server import Hang, Model, Refuse, Say, Speaker, UseTool, speaking

_numbers = count(1)
PIECE = 12


@dataclass(frozen=True)
class Uncounted:
    """Text without a word on usage, as old servers have it."""

    text: str


@dataclass(frozen=True)
class Limited:
    """The model was cut off by the limit of its answer."""

    text: str


@dataclass(frozen=True)
class Slow:
    """Text whose pieces come with a pause between them."""

    text: str
    pause_seconds: float = 0.05


@dataclass(frozen=True)
class Cut:
    """The stream begins with this text; then the connection is reset, or just ends (`politely`)."""

    text: str
    politely: bool = False


@dataclass(frozen=True)
class Garbage:
    """The stream holds something that is no JSON."""

    text: str = "Well"


@dataclass(frozen=True)
class Silence:
    """The request is taken and nothing is ever said."""


@dataclass(frozen=True)
class Filtered:
    """A content filter stopped the model."""


@dataclass(frozen=True)
class Embed:
    """Embeddings of whatever is sent: by its words, where those of `SYNONYMS` are one.

    A text with `refuses` is refused; an answer that `trickles` never ends.
    """

    refuses: str = ""
    trickles: bool = False


SYNONYMS = {"boat": "vessel", "ship": "vessel", "arrives": "comes", "dawn": "morning", "sunrise": "morning"}
DIMENSIONS = 256


def embedded(text: str) -> list[float]:
    """Numbers for a text, the same each time: each word says for each number whether it is more or less."""
    numbers = [0.0] * DIMENSIONS
    for word in re.findall(r"[a-z]{4,}", text.lower()):
        bits = int.from_bytes(hashlib.shake_128(SYNONYMS.get(word, word).encode()).digest(DIMENSIONS // 8))
        numbers = [number + (1 if bits >> place & 1 else -1) for place, number in enumerate(numbers)]
    return [number + 0.01 for number in numbers]


ChatReply = (
    Embed | Say | UseTool | Refuse | Hang | Uncounted | Limited | Slow | Cut | Garbage | Silence | Filtered
)


def chat_model(*script: ChatReply) -> AbstractContextManager[Model]:
    """A model on a free port of 127.0.0.1 that gives the replies of `script` in turn, the last again and again."""
    return speaking(Chat, *script)


class Chat(Speaker):
    """`POST /v1/chat/completions`, streaming; `POST /v1/embeddings`; `GET /v1/models`."""

    def reply(self, request: dict[str, Any]) -> None:
        """Answer with the next reply of the script; other paths do not exist."""
        path = urlsplit(self.path).path
        if path == "/v1/models":
            return self.send_json(200, {"object": "list", "data": [{"id": "test-model", "object": "model"}]})
        if path == "/v1/embeddings":
            return self.embed(request)
        if path != "/v1/chat/completions":
            return self.refuse(Refuse(404, "not_found", f"there is no {path}"))
        given: Any = self.model.next_reply(request | {"authorization": self.headers.get("Authorization")})
        if isinstance(given, Refuse):
            return self.refuse(given)
        if isinstance(given, Silence):
            return self.hold()
        return self.stream(given, str(request.get("model")), request)

    def trickle(self) -> None:
        """A blank now and then, until the client hangs up."""
        self.begin_stream()
        while not self.model.over.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()

    def embed(self, request: dict[str, Any]) -> None:
        """The embeddings of one or several texts."""
        given: Any = self.model.next_reply(request | {"authorization": self.headers.get("Authorization")})
        if isinstance(given, Refuse):
            self.refuse(given)
            return
        if given.trickles:
            self.trickle()
            return
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        if given.refuses and any(given.refuses in text for text in texts):
            self.refuse(Refuse(400, "invalid_request_error", "this cannot be embedded"))
            return
        data = [
            {"object": "embedding", "index": n, "embedding": embedded(text)} for n, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        self.send_json(
            200,
            {
                "object": "list",
                "data": data[::-1],  # their order is not promised; `index` says it
                "model": request["model"],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            },
        )

    def refuse(self, given: Refuse) -> None:
        """An error as the API words it."""
        error = {"message": given.message, "type": given.kind, "code": given.kind, "param": None}
        self.send_json(given.status, {"error": error}, given.headers)

    def stream(self, given: Any, model: str, request: dict[str, Any]) -> None:
        """The chunks of one answer, and how they end."""
        self.begin_stream()
        for chunk in chunks(given, model, request):
            self.send_event(chunk)
            if isinstance(given, Slow):
                self.model.over.wait(given.pause_seconds)
        if isinstance(given, Hang):
            self.hold()
        elif isinstance(given, Garbage):
            self.wfile.write(b'data: {"choices": [{"delta": {"cont\n\n')
        elif isinstance(given, Cut):
            self.break_off(given)
        else:
            self.wfile.write(b"data: [DONE]\n\n")

    def break_off(self, given: Cut) -> None:
        """End in the middle of an event, with or without a reset."""
        self.wfile.write(b'data: {"choices": [{"del')
        self.wfile.flush()
        if not given.politely:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def chunks(given: Any, model: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the API sends for one answer; of one that breaks off, only the beginning."""
    head = {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": model,
    }

    def choice(delta: dict[str, Any], end: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}

    yield choice({"role": "assistant", "content": ""})
    for delta in deltas(given):
        yield choice(delta)
    if isinstance(given, Hang | Cut | Garbage):
        return
    yield choice({}, finish_reason(given))
    if isinstance(given, Say | UseTool | Slow | Limited) and request.get("stream_options", {}).get(
        "include_usage"
    ):
        yield head | {"choices": [], "usage": usage(given)}


def deltas(given: Any) -> Iterator[dict[str, Any]]:
    """The pieces of an answer."""
    text = getattr(given, "text", "")
    for at in range(0, len(text), PIECE):
        yield {"content": text[at : at + PIECE]}
    if isinstance(given, UseTool):
        arguments = json.dumps(given.arguments)
        call = {"index": 0, "id": f"call_{next(_numbers)}", "type": "function"}
        yield {"tool_calls": [call | {"function": {"name": given.name, "arguments": ""}}]}
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}


def finish_reason(given: Any) -> str:
    """Why the model stopped."""
    if isinstance(given, Filtered):
        return "content_filter"
    if isinstance(given, Limited):
        return "length"
    return "tool_calls" if isinstance(given, UseTool) else "stop"


def usage(given: Any) -> dict[str, Any]:
    """The tokens of an answer; `prompt_tokens` counts what was cached as well."""
    if not isinstance(given, Say | UseTool):
        return {"prompt_tokens": 500, "completion_tokens": 900, "total_tokens": 1400}
    return {
        "prompt_tokens": given.input_tokens,
        "completion_tokens": given.output_tokens,
        "total_tokens": given.input_tokens + given.output_tokens,
        "prompt_tokens_details": {"cached_tokens": given.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


if __name__ == "__main__":
    with chat_model(Slow("word " * 2000, 0.05)) as served:
        print(served.url, flush=True)
        sys.stdin.read()
