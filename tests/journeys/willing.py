"""A model server that always answers what was asked for: an instance of the request's JSON Schema, or a text.

It speaks OpenAI's chat completions (tests/openai_server.py) and its video API, so that every agent that ships can be
run to its end. What it says is fixed; that it fits the agent's schema is checked here and by the product.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jsonschema import Draft202012Validator

from tests.model_server import Model, Say, speaking
from tests.openai_server import Chat

CLIP = b"\x00\x00\x00\x18ftypmp42" + b"frames" * 50


class Willing(Chat):
    """Answers every request with what fits; every clip is ready at once."""

    def reply(self, request: dict[str, Any]) -> None:
        """Chat as the protocol wants it, or a video."""
        if "/videos" in self.path:
            return self._video()
        if not self.path.endswith("/chat/completions"):
            return super().reply(request)
        self.model.asked.append(request)
        schema = schema_of(request)
        said = Say(json.dumps(instance(schema)) if schema else "All is well.")
        return self.stream(said, str(request.get("model")), request)

    def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
        """An order of a video is a form, not JSON."""
        if self.path.endswith("/videos"):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_json(200, {"id": "video_1", "status": "queued"})
        else:
            self.do_GET()

    def _video(self) -> None:
        if not self.path.endswith("/content"):
            return self.send_json(200, {"id": "video_1", "status": "completed", "progress": 100})
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(CLIP)))
        self.end_headers()
        self.wfile.write(CLIP)
        return None


@contextmanager
def willing() -> Iterator[Model]:
    """One on a free port."""
    with speaking(Willing, Say("")) as model:
        yield model


def schema_of(request: dict[str, Any]) -> dict[str, Any] | None:
    """The schema the answer must fit: by the protocol, or written into the instructions."""
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema: dict[str, Any] = wanted["json_schema"]["schema"]
        return schema
    for message in request.get("messages", []):
        text = message.get("content")
        if isinstance(text, str) and "JSON Schema" in text and "\n\n{" in text:
            told: dict[str, Any] = json.JSONDecoder().raw_decode(text[text.index("\n\n{") + 2 :])[0]
            return told
    return None


def instance(schema: dict[str, Any]) -> Any:
    """Something that fits the schema."""
    made = _made(schema)
    Draft202012Validator(schema).validate(made)
    return made


def _made(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    match kind if isinstance(kind, str) else kind[0]:
        case "object":
            return {name: _made(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [_made(schema.get("items", {"type": "string"}))]
        case "string":
            return "A sentence that says something. "[: schema.get("maxLength", 40)].strip()
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
    return None
