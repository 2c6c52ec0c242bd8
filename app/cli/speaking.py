"""What the commands have in common: on whose behalf they act, what they note, and how they say JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from app import clock
from app.errors import NotFound

as_json = click.option("--json", "wants_json", is_flag=True, help="Answer everything as JSON.")


def user_id(email: str | None) -> str:
    """The id of the user to act for; None means the first admin."""
    from app.accounts import queries
    from app.cli.configured import settings

    wanted = email or settings().admin_email
    found = queries.user_by_email(wanted)
    if found is None:
        raise NotFound(f"there is no user {wanted}: say with --as on whose behalf")
    return str(found["user_id"])


def record(action: str, subject: str, *, by: str, **details: object) -> None:
    """Write into the audit log that somebody did it here."""
    from app import audit

    audit.record(action, actor=by, subject=subject, details={"via": "cli", **details})


def in_json(value: Any) -> str:
    """JSON for people and programs, with times as the API writes them."""
    return json.dumps(value, indent=2, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return clock.iso(value) or "" if isinstance(value, datetime) else str(value)


def harmless(text: str) -> str:
    """What others wrote, without what commands a terminal or turns the direction of writing; lines stay lines."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
