"""Keeping what was found in a conversation as memories: nothing twice, and what changed in the place of what was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.db import Row, db
from app.sessions import access, facts, memory
from app.sessions.facts import Fact

AGENT = "memory-keeper"
MOST_KNOWN = 2_000


@dataclass(kw_only=True)
class Kept:
    """The keys of what became of the findings; `known` holds those that said nothing new."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)


def keep(session_id: str, found: Sequence[Fact], *, by: str, job_id: str) -> Kept:
    """Remember the findings, in one transaction of the caller's; doing it again changes nothing.

    A memory that a person stored under the same key stays as it is. Conflict for a paused or completed session.
    """
    access.open_to_content(session_id)
    known = {row["key"]: row for row in _known(session_id)}
    done = Kept()
    for fact in found:
        before = known.get(fact.key)
        if not _is_news(fact, before, known):
            done.known.append(fact.key)
            continue
        told = {"agent": AGENT, "job_id": job_id, "place": fact.place}
        known[fact.key] = memory.store(
            session_id,
            key=fact.key,
            content=fact.content,
            type=fact.type,
            tags=list(fact.tags),
            importance=fact.importance,
            metadata=told,
            by=by,
        )
        (done.changed if before else done.new).append(fact.key)
    return done


def _is_news(fact: Fact, before: Row | None, known: dict[str, Row]) -> bool:
    """Whether it says something that is not known, and nobody newer or of more weight said it."""
    if before is None:
        same = (row for row in known.values() if row["type"] == fact.type)
        return not any(facts.alike(row["content"], fact.content) for row in same)
    about = before["metadata"]
    if about.get("agent") != AGENT or int(about.get("place") or 0) > fact.place:
        return False
    return bool(before["content"] != fact.content)


def _known(session_id: str) -> list[Row]:
    return db.rows(
        """SELECT key, content, type, metadata FROM memories WHERE session_id = %(id)s
           ORDER BY updated_at DESC LIMIT %(most)s""",
        id=session_id,
        most=MOST_KNOWN,
    )
