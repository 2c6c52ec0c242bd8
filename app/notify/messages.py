"""News, and what is sent of it: one message for each channel, the same at every try."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import uuid_utils.compat

from app import clock
from app.db import Row, dumps
from app.notify import addresses, events, setup

JSON = dict[str, Any]

MOST_PAYLOAD_BYTES = 20_000
MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class News:
    """One thing to tell."""

    event: events.Event
    title: str
    body: str = ""
    severity: str = "info"
    link: str | None = None
    audience: str
    subject: tuple[str, str] | None = None
    data: JSON = field(default_factory=dict)
    owner: str | None = None
    agent_id: str | None = None
    notification_id: str | None = None

    @property
    def address(self) -> str | None:
        """The link, in full as far as this process knows its public address."""
        return self.link and f"{setup.present().public_url}{self.link}"


def mail(news: News, to: str, *, owner: str | None = None, skipped: str | None = None) -> Row:
    """The delivery of `news` to one mail address; `skipped` says why it is not sent."""
    return _delivery(news, "email", to, _letter(news), lane="email", owner=owner, reason=skipped)


def chat(news: News, channel: str) -> Row:
    """The delivery of `news` to the chat of that name."""
    return _delivery(news, "chat", channel, _letter(news), lane=f"chat {channel}", owner=None)


def webhook(news: News, endpoint: Row) -> Row:
    """The delivery of `news` to one endpoint: {endpoint_id, url, owner}."""
    data = {
        "notification_id": news.notification_id,
        **_letter(news),
        "subject": news.subject and {"type": news.subject[0], "id": news.subject[1]},
        "agent_id": news.agent_id,
        "data": news.data,
    }
    url = endpoint["url"]
    made = _delivery(
        news,
        "webhook",
        url,
        envelope(news.event.name, data),
        lane=addresses.lane(url),
        owner=endpoint["owner"],
    )
    return made | {"endpoint_id": endpoint["endpoint_id"]}


def callback(news: News, url: str, payload: JSON) -> Row:
    """The delivery of `payload` to the address that a job or workflow named itself."""
    made = _delivery(
        news,
        "webhook",
        url,
        envelope(news.event.name, payload),
        lane=addresses.lane(url),
        owner=news.owner,
    )
    return made | {"callback": True}


def envelope(event: str, data: JSON) -> JSON:
    """The payload by the Standard Webhooks; the largest parts of `data` are left out, and named, until it fits."""
    parts: JSON = orjson.loads(dumps(data))
    whole = {"type": event, "timestamp": clock.iso(clock.now()), "data": parts}
    left_out: list[str] = []
    while len(orjson.dumps(whole)) > MOST_PAYLOAD_BYTES and len(parts) > bool(left_out):
        sizes = {name: len(orjson.dumps(part)) for name, part in parts.items() if name != "left_out"}
        largest = max(sizes, key=sizes.__getitem__)
        del parts[largest]
        left_out.append(largest[:100])
        parts["left_out"] = left_out[:MOST_NAMED]
    return whole


def _letter(news: News) -> JSON:
    """What mails and chats are written from."""
    return {"title": news.title, "body": news.body, "severity": news.severity, "link": news.address}


def _delivery(
    news: News,
    channel: str,
    target: str,
    payload: JSON,
    *,
    lane: str,
    owner: str | None,
    reason: str | None = None,
) -> Row:
    return {
        "delivery_id": str(uuid_utils.compat.uuid7()),
        "event": news.event.name,
        "channel": channel,
        "target": target,
        "lane": lane,
        "callback": False,
        "owner": owner,
        "subject_type": news.subject and news.subject[0],
        "subject_id": news.subject and news.subject[1],
        "payload": payload,
        "reason": reason,
    }
