"""Letting a caller of another door in as the API does: /mcp asks here, and then calls the API in their name."""

from __future__ import annotations

from flask import Response

from app.api import limits
from app.api.auth import authenticate
from app.api.errors import problem_for
from app.db import db


def refusal() -> Response | None:
    """Why the present caller may not come in, as a problem document; None for one who is known and not too fast."""
    try:
        with db.quick():
            authenticate()
        limits.spend_poll()
    except Exception as error:  # noqa: BLE001 - the door's edge: problem_for logs what nobody foresaw
        return problem_for(error)
    return None
