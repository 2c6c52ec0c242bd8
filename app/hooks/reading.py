"""What a provider's request says: the id under which it is the same again, the event, and the body as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from app.db import storable
from app.errors import CallboardError, Invalid, Malformed
from app.hooks.signatures import GITHUB

LONGEST_ID = 200
LONGEST_EVENT = 200
MOST_HEADERS, LONGEST_HEADER = 60, 4000
_FORM = "application/x-www-form-urlencoded"
PING = "ping"
SESSION = "session"
# Who carried it here, and what opens something elsewhere, are nobody's business who forwards it.
_LEFT_OUT = {
    "accept-encoding", "authorization", "connection", "content-length", "cookie", "expect", "forwarded", "host",
    "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "via", "x-api-key",
}  # fmt: skip


class NotJson(CallboardError):
    """Send JSON, as Content-Type: application/json; GitHub's webhooks may also be a form."""

    code = "not_json"
    status = 415


@dataclass(frozen=True, kw_only=True)
class Message:
    """One delivery as it was understood."""

    external_id: str
    event: str
    body: Any


def message(provider: str, headers: Mapping[str, str], body: bytes) -> Message:
    """What came, by `headers` with small names; raises NotJson, Malformed, Invalid."""
    github = provider == GITHUB
    said = _json(headers.get("content-type", ""), body, form=github)
    external_id = headers.get("x-github-delivery" if github else "webhook-id", "")
    if not 1 <= len(external_id) <= LONGEST_ID or not external_id.isprintable():
        name = "X-GitHub-Delivery" if github else "webhook-id"
        raise Invalid(f"{name} must be 1 to {LONGEST_ID} printable characters", [(f"/{name}", "is required")])
    return Message(
        external_id=external_id,
        event=_of_github(headers, said)
        if github
        else _typed(said, "command" if provider == SESSION else "type"),
        body=said,
    )


def again(event: str, headers: Mapping[str, str], body: bytes, external_id: str) -> Message:
    """What a kept delivery says."""
    said = _json(headers.get("content-type", ""), body, form=True)
    return Message(external_id=external_id, event=event, body=said)


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are kept, and handed on by the relay."""
    wanted = {
        storable(name.lower()): storable(value)
        for name, value in headers.items()
        if name.lower() not in _LEFT_OUT and not name.lower().startswith(("x-forwarded-", "x-real-"))
    }
    return dict(
        [(name, value) for name, value in wanted.items() if len(value) <= LONGEST_HEADER][:MOST_HEADERS]
    )


def _json(content_type: str, body: bytes, *, form: bool) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if form and kind == _FORM:
        body = _payload(body)
    elif kind != "application/json" and not kind.endswith("+json"):
        raise NotJson
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        raise Malformed(f"The body is not JSON: {wrong}.") from wrong


def _payload(body: bytes) -> bytes:
    try:
        (text,) = parse_qs(body.decode(), max_num_fields=10).get("payload", [])
    except ValueError as wrong:  # not UTF-8, many fields, or not one payload
        raise Malformed("The form needs one field `payload`.") from wrong
    return text.encode()


def _of_github(headers: Mapping[str, str], body: Any) -> str:
    name = headers.get("x-github-event", "")
    action = body.get("action") if isinstance(body, dict) else None
    return _event(
        f"{name}.{action}" if name and isinstance(action, str) and action else name, "X-GitHub-Event"
    )


def _typed(body: Any, name: str) -> str:
    said = body.get(name) if isinstance(body, dict) else None
    return _event(said if isinstance(said, str) and said else "message", name)


def _event(name: str, pointer: str) -> str:
    if not 1 <= len(name) <= LONGEST_EVENT or not name.isprintable():
        raise Invalid(
            f"{pointer} must be 1 to {LONGEST_EVENT} printable characters", [(f"/{pointer}", "is required")]
        )
    return name
