"""When to poll again, as the settings and the answers' headers say it."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from app.polling.hints import Pace


def pace() -> Pace:
    """How fast clients should poll here."""
    return cast(Pace, current_app.config["PACE"])


def come_back(poll: dict[str, Any]) -> dict[str, str]:
    """A poll hint as headers, for 200 and 304 alike; none when nothing will change any more."""
    milliseconds = poll["next_after_ms"]
    if milliseconds is None:
        return {}
    return {"Retry-After": str(max(1, round(milliseconds / 1000))), "X-Poll-After-Ms": str(milliseconds)}
