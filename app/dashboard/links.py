"""Who and what something is about, as words and addresses that several pages show."""

from __future__ import annotations

from typing import Any

from flask import current_app, url_for

from app.accounts import queries as people
from app.dashboard import actions
from app.dashboard.htmx import asked
from app.dashboard.session import asking
from app.errors import NotFound

# What notifications and deliveries are about: its page, and what that page calls its id.
_PAGES = {
    "job": ("job", "job_id"),
    "workflow": ("workflow", "workflow_id"),
    "schedule": ("schedule", "schedule_id"),
    "approval": ("approval", "approval_id"),
    "budget": ("budget", "budget_id"),
    "session": ("session", "session_id"),
}


def to(kind: str | None, subject_id: str | None) -> str:
    """The address of something's page; empty if it has none."""
    endpoint, name = _PAGES.get(kind or "", ("", ""))
    if not subject_id or f"dashboard.{endpoint}" not in current_app.view_functions:
        return ""
    named: dict[str, Any] = {name: subject_id}
    return url_for(f"dashboard.{endpoint}", **named)


def person(user_id: str | None) -> str:
    """Who that is, by e-mail where the account still exists; the one who asks is "you"."""
    if user_id == asking().user_id:
        return "you"
    try:
        found = people.user(actions.checked_id(user_id or ""))
    except NotFound:
        found = None
    return str(found["email"] if found else user_id or "nobody")


def page_number() -> int:
    """Which page of a list is asked for, from 0 on."""
    text = asked().get("page", "0")
    return min(int(text), 10_000) if text.isdecimal() and len(text) < 8 else 0


def before_id() -> str | None:
    """The last id of the page before, if the address names one."""
    text = asked().get("before")
    return actions.checked_id(text) if text else None
