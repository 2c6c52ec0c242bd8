"""Saved views: filters of the list of jobs under a name, one's own or shared with everybody."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts import views
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_filter import understood
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import When
from app.db import Row

PAGE = "jobs"


class SavedViewIn(Input):
    """A filter to be kept; one of your own of the same name is replaced."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=views.LONGEST_NAME)]
    filter: Annotated[str, StringConstraints(max_length=1000)] = Field(
        description="In the language of `filter` of `GET /api/v1/jobs`: `status:failed since:today`."
    )
    shared: bool = Field(False, description="With everybody; for admins.")


class SavedViewOut(BaseModel):
    """A filter under a name."""

    view_id: str
    name: str
    filter: str
    shared: bool
    mine: bool
    owner: str = Field(description="The e-mail address of whoever saved it.")
    created_at: When
    page: str = Field(description="Where it opens in the dashboard.")


class SavedViewsOut(BaseModel):
    """All that you can open, your own first."""

    saved_views: list[SavedViewOut]
    total: int


@op("GET", "/api/v1/saved-views", verb="view_self", out=SavedViewsOut)
def list_saved_views() -> dict[str, Any]:
    """List your saved views and those that are shared with you."""
    found = [_shown(row) for row in views.listing(current_principal(), PAGE)]
    return {"saved_views": found, "total": len(found)}


@op("POST", "/api/v1/saved-views", verb="save_view", out=SavedViewOut, status=201, errors=(409,))
def save_view(body: SavedViewIn) -> dict[str, Any]:
    """Save a filter under a name; a name of your own that is there already gets the new filter."""
    text = str(understood(body.filter))
    row = views.save(
        current_principal(), page=PAGE, name=body.name, query=urlencode({"q": text}), shared=body.shared
    )
    noted("view.saved", row["view_id"], {"shared": body.shared})
    return _shown(row)


@op("DELETE", "/api/v1/saved-views/<view_id>", verb="save_view", status=204, errors=(404,))
def delete_saved_view(view_id: UUID) -> None:
    """Delete a saved view; one that is shared can also be deleted by any admin."""
    views.delete(current_principal(), str(view_id))
    noted("view.deleted", view_id)


def _shown(row: Row) -> dict[str, Any]:
    text = parse_qs(row["query"]).get("q", [""])[0]
    names = ("view_id", "name", "shared", "mine", "owner", "created_at")
    return {name: row[name] for name in names} | {"filter": text, "page": f"/jobs?{row['query']}"}
