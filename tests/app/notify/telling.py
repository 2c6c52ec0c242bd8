"""Short ways to tell and to look, each in its own transaction."""

from __future__ import annotations

from typing import Any

from app.accounts import users
from app.db import Row, db
from app.notify import outbox


def tell(event: str = "job.completed", **told: Any) -> str:
    """Tell Ada of something."""
    with db.transaction():
        return outbox.tell(event, **({"title": "A thing", "audience": "ada"} | told))


def sent() -> list[Row]:
    """Every delivery, in the order they were made."""
    with db.quick():
        return db.rows("SELECT * FROM deliveries ORDER BY delivery_id")


def targets() -> list[tuple[str, str]]:
    """Channel and target of every delivery."""
    return sorted((row["channel"], row["target"]) for row in sent())


def only() -> Row:
    """The one delivery there is."""
    (row,) = sent()
    return row


def notifications() -> list[Row]:
    """Every notification, in order."""
    with db.quick():
        return db.rows("SELECT * FROM notifications ORDER BY notification_id")


def user(name: str, role: str = "user") -> str:
    """The id of a new user."""
    with db.transaction():
        return str(users.create(f"{name}@example.org", None, role=role, name=name)["user_id"])
