"""Parts of a Context for those that have no gate at work, or nobody to hand jobs to."""

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


class Alone:
    """A context in which nothing is delegated."""

    def delegate(self, agent_id: str, parameters: JSON, *, key: str = "", **given: Any) -> NoReturn:
        """Not here."""
        del agent_id, parameters, key, given
        _refuse_alone()

    def look_at_children(self, job_ids: list[str] | None = None) -> NoReturn:
        """Not here."""
        del job_ids
        _refuse_alone()

    def await_children(self, job_ids: list[str] | None = None, *, seconds: float | None = None) -> NoReturn:
        """Not here."""
        del job_ids, seconds
        _refuse_alone()


def _refuse_alone() -> NoReturn:
    raise PermanentError("jobs are delegated by an agent that Callboard runs; here it works alone")
