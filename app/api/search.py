"""Search over what there is, as far as the caller may see it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app import search
from app.api.auth import current_principal, settings
from app.api.glue import op
from app.api.reading import Input

Kind = Literal[
    "jobs", "workflows", "schedules", "agents", "templates", "sessions", "memories", "messages", "artifacts"
]


class SearchQuery(Input):
    """What to look for, and where."""

    q: str = Field(min_length=1, max_length=search.LONGEST, description="Words, or the beginning of an id.")
    type: list[Kind] = Field([], description="May be repeated; left out: everything.")
    limit: int = Field(10, ge=1, le=search.MOST, description="Entries of each type.")
    session_id: str | None = Field(
        None, min_length=1, max_length=100, description="Find only this session and what is in it."
    )
    semantic: bool = Field(
        False,
        description="Find what is in sessions also by its meaning; by words alone where EMBEDDING_MODEL is not set.",
    )


class Hit(BaseModel):
    """One thing that was found."""

    kind: str
    id: str
    title: str
    detail: str = Field(description="What it is, where the title does not say it.")
    status: str | None
    path: str = Field(description="Of its page.")
    excerpt: str = Field(
        description="Of what was said or written in a session; what fits stands between [[ and ]]."
    )


class SearchOut(BaseModel):
    """What was found, by type; the newest first, in sessions what fits best."""

    q: str
    results: dict[str, list[Hit]]
    semantic: bool = Field(description="Whether what is in sessions was also looked for by its meaning.")
    note: str = Field(description="Why it was not, though that was asked for; else empty.")


@op("GET", "/api/v1/search", verb="view_self", out=SearchOut)
def get_search(query: SearchQuery) -> dict[str, Any]:
    """Find jobs, runs, schedules, agents, templates, sessions, and what was said, remembered and made in them, by words."""
    asked = search.Question()
    if query.semantic:
        asked = search.question(query.q, settings().embedding_model, settings().secret)
    results = search.find(
        query.q,
        current_principal(),
        kinds=tuple(query.type),
        limit=query.limit,
        session_id=query.session_id,
        meant=asked.meant,
    )
    return {"q": query.q, "results": results, "semantic": asked.meant is not None, "note": asked.note}


class SuggestQuery(Input):
    """What was typed so far."""

    q: str = Field(min_length=1, max_length=search.LONGEST)


class SuggestOut(BaseModel):
    """What may be meant, the likeliest first; often nothing."""

    q: str
    suggestions: list[str]


@op("GET", "/api/v1/search/suggest", verb="view_self", out=SuggestOut)
def get_search_suggestions(query: SuggestQuery) -> dict[str, Any]:
    """Complete the last word from sessions that you may read, or put right words that occur nowhere in them."""
    return {"q": query.q, "suggestions": search.suggest(query.q, current_principal())}
