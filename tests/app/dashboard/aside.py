"""Rooms spoken to between two requests, on a connection apart from the one that views use.

A view runs in the test's own thread; were the test inside `db.quick()`, the view would be, too, and would
commit each statement by itself.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from app import db as database
from app.jobs import artifacts as _artifacts
from app.jobs import dead_letters as _dead_letters
from app.jobs import lifecycle as _lifecycle
from app.jobs import timeline as _timeline
from tests import acting as _acting


class Aside:
    """A module (or object) whose functions are each called inside `db.quick()`."""

    def __init__(self, room: ModuleType | object) -> None:
        """Nothing is called before it is asked for."""
        self._room = room

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._room, name)

        def said(*values: Any, **named: Any) -> Any:
            with database.db.quick():
                return verb(*values, **named)

        return said


acting = Aside(_acting)
artifacts = Aside(_artifacts)
dead_letters = Aside(_dead_letters)
lifecycle = Aside(_lifecycle)
timeline = Aside(_timeline)
db = Aside(database.db)

agent, claim, claimed, job, status, submitted = (
    getattr(acting, name) for name in ("agent", "claim", "claimed", "job", "status", "submitted")
)
