"""News into chats, by Apprise: Slack, Discord, Teams, Telegram and what else it knows.

Apprise is loaded with the first message: it takes half a second and 14 MB. The address of a chat is a secret and
stands in the settings only; nothing that Apprise says of it leaves this module.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.db import Row
from app.notify.deliveries import Outcome

_LOGGER = "apprise"


def send(taken: Row, chats: dict[str, str]) -> Outcome:
    """Post the message into the chat that the delivery names."""
    name = taken["target"]
    address = chats.get(name)
    if address is None:
        variable = "SLACK_WEBHOOK_URL" if name == "slack" else f"NOTIFY_CHANNELS with {name}=address"
        return Outcome(skipped=f"not configured: set {variable}")
    chat = _open(address)
    if chat is None:
        return Outcome(skipped=f"not configured: the address of {name} is none that Apprise knows")
    with _overheard() as said:
        sent = chat.notify(**_message(taken["payload"]))
    if sent:
        return Outcome(delivered=True)
    return Outcome(error=_without(address, " ".join(said)) or "The chat did not take the message.")


def _open(address: str) -> Any:
    import apprise

    # Both log addresses.
    logging.getLogger(_LOGGER).setLevel(logging.WARNING)
    logging.getLogger(_LOGGER).propagate = False
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    ours = apprise.AppriseAsset(
        app_id="Callboard", app_desc="Callboard", image_url_mask="", image_url_logo=""
    )
    try:
        return apprise.Apprise.instantiate(address, asset=ours, suppress_exceptions=True)
    except TypeError:
        return None


def _message(told: dict[str, Any]) -> dict[str, Any]:
    import apprise

    kinds = {"success": "success", "warning": "warning", "error": "failure"}
    return {
        "title": told["title"],
        "body": "\n\n".join(part for part in (told["body"], told["link"]) if part) or told["title"],
        "notify_type": apprise.NotifyType(kinds.get(told["severity"], "info")),
        "body_format": apprise.NotifyFormat.TEXT,
    }


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What Apprise complains of in this thread; it answers no more than yes or no."""
    here, said = threading.get_ident(), list[str]()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == here:
                said.append(record.getMessage())

    ear, logger = Ear(logging.WARNING), logging.getLogger(_LOGGER)
    logger.addHandler(ear)
    try:
        yield said
    finally:
        logger.removeHandler(ear)


def _without(address: str, text: str) -> str:
    """`text` without any part of the address that could be a key."""
    _, _, rest = address.partition("://")
    for part in sorted(
        {p for p in rest.replace("?", "/").replace("@", "/").replace("&", "/").split("/") if len(p) > 3},
        key=len,
    ):
        text = text.replace(part, "…")
    return text[:500]
