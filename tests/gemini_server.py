"""A local server that speaks the part of the Gemini API that its CLI uses: streams, function calls, usage.

with gemini_model(UseTool("run_shell_command", {"command": "ls"}), Say("Done.")) as model:
    ... GOOGLE_GEMINI_BASE_URL=model.url ...
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from tests.model_server import Hang, Model, Refuse, Reply, Say, Speaker, UseTool, speaking


def gemini_model(*script: Reply) -> AbstractContextManager[Model]:
    """A model on a free port of 127.0.0.1 that gives the replies of `script` in turn."""
    return speaking(Gemini, *script)


class Gemini(Speaker):
    """`POST /v1beta/models/MODEL:generateContent`, `:streamGenerateContent` and `:countTokens`."""

    def reply(self, request: dict[str, Any]) -> None:
        """Answer with the next reply of the script; other paths do not exist."""
        verb = urlsplit(self.path).path.rpartition(":")[2]
        if verb == "countTokens":
            return self.send_json(200, {"totalTokens": len(str(request)) // 4})
        if verb not in {"generateContent", "streamGenerateContent"}:
            return self.refuse(Refuse(404, "NOT_FOUND", f"there is no {self.path}"))
        given = self.model.next_reply(request)
        if isinstance(given, Refuse):
            return self.refuse(given)
        if isinstance(given, Hang):
            self.begin_stream()
            return self.hold()
        if verb == "generateContent":
            return self.send_json(200, answer(given))
        self.begin_stream()
        return self.send_event(answer(given))

    def refuse(self, given: Refuse) -> None:
        """An error as the API words it."""
        error = {"code": given.status, "message": given.message, "status": given.kind}
        self.send_json(given.status, {"error": error}, given.headers)


def answer(given: Say | UseTool) -> dict[str, Any]:
    """A whole answer; `promptTokenCount` includes what was cached."""
    parts: list[dict[str, Any]] = [{"text": given.text}] if given.text else []
    if isinstance(given, UseTool):
        parts.append({"functionCall": {"name": given.name, "args": given.arguments}})
    sent = given.input_tokens + given.cached_tokens
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": sent,
            "cachedContentTokenCount": given.cached_tokens,
            "candidatesTokenCount": given.output_tokens,
            "totalTokenCount": sent + given.output_tokens,
        },
        "modelVersion": "gemini-2.5-pro",
    }
