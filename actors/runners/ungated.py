"""The part of a Context that only quality gates use, for contexts in which none is at work."""

from __future__ import annotations

from typing import Any, NoReturn

from actors.runners.base import JSON
from app.errors import PermanentError


class Ungated:
    """Drafts are kept and judged by the worker (actors/gatekeeper.py), never by an agent."""

    def drafts(self) -> list[JSON]:
        """There are none here."""
        return []

    def draft(self, number: int) -> NoReturn:
        """There is none."""
        del number
        _refuse()

    def keep_draft(self, number: int, content: JSON, **made: Any) -> NoReturn:
        """Not here."""
        del number, content, made
        _refuse()

    def judged_draft(self, number: int, report: JSON) -> NoReturn:
        """Not here."""
        del number, report
        _refuse()

    def judged(self, verdict: str, score: float | None) -> NoReturn:
        """Not here."""
        del verdict, score
        _refuse()


def _refuse() -> NoReturn:
    raise PermanentError("an agent does not judge itself: drafts belong to the gate of its definition")
