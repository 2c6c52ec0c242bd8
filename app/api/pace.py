"""The settings' poll intervals, as the rooms want them."""

from __future__ import annotations

from typing import cast

from flask import current_app

from app.polling.hints import Pace


def pace() -> Pace:
    """How fast clients should poll here."""
    return cast(Pace, current_app.config["PACE"])
