"""Search over what there is, as far as the caller may see it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app import search
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input

Kind = Literal["jobs", "workflows", "schedules", "agents", "templates"]


class SearchQuery(Input):
    """What to look for, and where."""

    q: str = Field(min_length=1, max_length=search.LONGEST, description="Words, or the beginning of an id.")
    type: list[Kind] = Field([], description="May be repeated; left out: everything.")
    limit: int = Field(10, ge=1, le=search.MOST, description="Entries of each type.")


class Hit(BaseModel):
    """One thing that was found."""

    kind: str
    id: str
    title: str
    detail: str = Field(description="What it is, where the title does not say it.")
    status: str | None
    path: str = Field(description="Of its page.")


class SearchOut(BaseModel):
    """What was found, by type; the newest first."""

    q: str
    results: dict[str, list[Hit]]


@op("GET", "/api/v1/search", verb="view_self", out=SearchOut)
def get_search(query: SearchQuery) -> dict[str, Any]:
    """Find jobs, runs of workflows, schedules, agents and templates by words or the beginning of an id."""
    kinds = tuple(query.type)
    return {
        "q": query.q,
        "results": search.find(query.q, current_principal(), kinds=kinds, limit=query.limit),
    }
