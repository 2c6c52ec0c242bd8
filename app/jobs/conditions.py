"""The conditions of a list of jobs that may name several values: SQL for each, with its values apart.

A condition of one value is an equality, because then the index that begins with its column also gives the order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from app.db import literal

if TYPE_CHECKING:
    from app.jobs.queries import Filter

COMPARED = (">=", "<=", ">", "<")

# By the field of a Filter: the column, and how a text becomes its type.
_ANY_OF = {
    "agents": ("agent_id", "::text[]"),
    "priorities": ("priority_rank", "::int[]"),
    "pools": ("pool", "::text[]"),
    "verdicts": ("verdict", "::text[]"),
    "submitters": ("submitted_by", "::text[]"),
    "workflows": ("workflow_id", "::uuid[]"),
    "schedules": ("schedule_id", "::uuid[]"),
}
_NONE_OF = {
    "not_agents": "agent_id <> ALL(%(not_agents)s)",
    "not_pools": "pool <> ALL(%(not_pools)s)",
    "not_tags": "NOT tags && %(not_tags)s::text[]",
}
_LISTS_SHOW = re.compile(r"[0-9a-fA-F]{8}")
_WHOLE_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BEGINNING, _WHOLE = "01", 36  # of a UUIDv7, until 2039


class _Said:
    """Conditions and their values, gathered."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: dict[str, Any] = {}

    def place(self, value: Any) -> str:
        """Keep a value; answers its place in the SQL."""
        name = f"further_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


def further(chosen: Filter) -> tuple[list[str], dict[str, Any]]:
    """The SQL of those conditions of `chosen` that may be said of several values, and the values."""
    said = _Said()
    for name, (column, kind) in _ANY_OF.items():
        if wanted := getattr(chosen, name):
            place = said.place(list(wanted)) + kind
            said.parts.append(f"{column} = ({place})[1]" if len(wanted) == 1 else f"{column} = ANY({place})")
    for name, sql in _NONE_OF.items():
        if unwanted := getattr(chosen, name):
            said.parts.append(sql)
            said.values[name] = list(unwanted)
    for some in chosen.tags:
        # The second half is for the index.
        said.parts.append(f"tags && {said.place(list(some))}::text[] AND tags <> '{{}}'")
    said.parts += [_text(said, word, in_errors=chosen.in_errors) for word in chosen.texts]
    said.parts += [_error(said, some, in_messages=chosen.in_errors) for some in chosen.errors]
    if chosen.ids:
        said.parts.append("(" + " OR ".join(_id(said, part) for part in chosen.ids) + ")")
    if chosen.cost and chosen.cost[0] in COMPARED:
        said.parts.append(f"(usage->>'cost_usd')::float {chosen.cost[0]} {said.place(chosen.cost[1])}")
    return said.parts, said.values


def _text(said: _Said, word: str, *, in_errors: bool) -> str:
    if is_whole(word):
        return f"jobs.job_id = {said.place(word)}::uuid"
    like = said.place(f"%{literal(word)}%")
    places = [f"task_name ILIKE {like}", f"agent_id ILIKE {like}"]
    places.append(f"job_id::text LIKE {said.place(literal(word.lower()) + '%')}")
    if _LISTS_SHOW.fullmatch(word):
        places.append(f"right(job_id::text, 8) = {said.place(word.lower())}")
    if in_errors:
        places.append(f"error->>'message' ILIKE {like}")
    return "(" + " OR ".join(places) + ")"


def _error(said: _Said, some: tuple[str, ...], *, in_messages: bool) -> str:
    likes = said.place([f"%{literal(part)}%" for part in some])
    message = f" OR error->>'message' ILIKE ANY({likes})" if in_messages else ""
    return f"error IS NOT NULL AND (error->>'type' ILIKE ANY({likes}){message})"


def _id(said: _Said, part: str) -> str:
    """A whole id, its beginning as a range of the primary key, or its end."""
    if len(part) == _WHOLE:
        return f"jobs.job_id = {said.place(part)}::uuid"
    if part.startswith(_BEGINNING):
        digits = part.replace("-", "")[:32]
        least, most = said.place(digits.ljust(32, "0")), said.place(digits.ljust(32, "f"))
        return f"jobs.job_id BETWEEN {least}::uuid AND {most}::uuid"
    return f"right(jobs.job_id::text, {said.place(len(part))}) = {said.place(part)}"


def is_whole(text: str) -> bool:
    """Whether it is a job's whole id."""
    return bool(_WHOLE_ID.fullmatch(text))


def is_ending(part: str) -> bool:
    """Whether a part of an id is looked for at the end of ids, which no index knows."""
    return len(part) != _WHOLE and not part.startswith(_BEGINNING)
