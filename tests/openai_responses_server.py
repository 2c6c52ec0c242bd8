"""A local server that speaks the part of the OpenAI Responses API that Codex uses: streams, function calls, usage.

with responses_model(UseTool("exec_command", {"cmd": "ls"}), Say("Done.")) as model:
    ... base_url = model.url + "/v1" ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from tests.model_server import Hang, Model, Refuse, Reply, Say, Speaker, UseTool, speaking

_numbers = count(1)


def responses_model(*script: Reply) -> AbstractContextManager[Model]:
    """A model on a free port of 127.0.0.1 that gives the replies of `script` in turn."""
    return speaking(Responses, *script)


class Responses(Speaker):
    """`POST /v1/responses`, streaming."""

    def reply(self, request: dict[str, Any]) -> None:
        """Answer with the next reply of the script; other paths do not exist."""
        if urlsplit(self.path).path != "/v1/responses" or self.command != "POST":
            return self.refuse(Refuse(404, "invalid_request_error", f"there is no {self.path}"))
        given = self.model.next_reply(request)
        if isinstance(given, Refuse):
            return self.refuse(given)
        self.begin_stream()
        for event in events(given, str(request.get("model"))):
            self.send_event(event, str(event["type"]))
        return self.hold() if isinstance(given, Hang) else None

    def refuse(self, given: Refuse) -> None:
        """An error as the API words it."""
        self.send_json(given.status, {"error": {"type": given.kind, "message": given.message}}, given.headers)


def events(given: Say | UseTool | Hang, model: str) -> Iterator[dict[str, Any]]:
    """What the API sends for one response; of one that hangs, only the beginning."""
    response = {"id": f"resp_{next(_numbers):024}", "object": "response", "model": model, "output": []}
    yield {"type": "response.created", "response": response | {"status": "in_progress"}}
    if isinstance(given, Hang):
        return
    for index, item in enumerate(items(given)):
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {
        "type": "response.completed",
        "response": response | {"status": "completed", "usage": usage(given)},
    }


def items(given: Say | UseTool) -> list[dict[str, Any]]:
    """The output of a response."""
    text = {
        "type": "message",
        "role": "assistant",
        "id": f"msg_{next(_numbers):024}",
        "status": "completed",
        "content": [{"type": "output_text", "text": given.text, "annotations": []}],
    }
    said = [text] if given.text else []
    if isinstance(given, Say):
        return said
    call = {
        "type": "function_call",
        "id": f"fc_{next(_numbers):024}",
        "call_id": f"call_{next(_numbers):024}",
        "name": given.name,
        "arguments": json.dumps(given.arguments),
        "status": "completed",
    }
    return [*said, call]


def usage(given: Say | UseTool) -> dict[str, Any]:
    """The tokens of a response; `input_tokens` includes what was cached."""
    sent = given.input_tokens + given.cached_tokens
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": given.cached_tokens},
        "output_tokens": given.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + given.output_tokens,
    }
