"""Prices of our own: what a model costs from a day on; they win over the list that came with the library."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import When
from app.providers import prices

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Usd = Annotated[Decimal, Field(ge=0, le=prices.MOST_USD, max_digits=12, decimal_places=6)]


class PriceOut(BaseModel):
    """US dollars for a million tokens."""

    provider_id: str
    model: str
    valid_from: date = Field(description="The first day (UTC) on which it holds.")
    input_usd: float
    output_usd: float
    cache_read_usd: float | None = Field(description="null: like input.")
    cache_write_usd: float | None = Field(description="null: like input.")
    changed_by: str
    changed_at: When


class PricesOut(BaseModel):
    """All prices of our own, the newest of each model first."""

    prices: list[PriceOut]
    total: int


class PriceIn(Input):
    """What a model costs from a day on."""

    provider_id: Name
    model: Name
    valid_from: date
    input_usd: Usd = Field(description="For a million tokens in.")
    output_usd: Usd = Field(description="For a million tokens out.")
    cache_read_usd: Usd | None = None
    cache_write_usd: Usd | None = None


class PriceQuery(Input):
    """Which price."""

    provider_id: Name
    model: Name
    valid_from: date


@op("GET", "/api/v1/prices", verb="view_providers", out=PricesOut)
def list_prices() -> dict[str, Any]:
    """List the prices of our own."""
    found = prices.listed()
    return {"prices": found, "total": len(found)}


@op("PUT", "/api/v1/prices", verb="manage_providers", out=PriceOut)
def put_price(body: PriceIn) -> dict[str, Any]:
    """Set what a model costs from a day on. What was used before keeps its cost."""
    given = body.model_dump()
    row = prices.put(**given, by=current_principal().user_id)
    _note("price.set", given)
    return row


@op("DELETE", "/api/v1/prices", verb="manage_providers", status=204, errors=(404,))
def remove_price(query: PriceQuery) -> None:
    """Take back a price of our own."""
    prices.remove(query.provider_id, query.model, query.valid_from)
    _note("price.removed", query.model_dump())


def _note(action: str, details: dict[str, Any]) -> None:
    what = f"{details['provider_id']}/{details['model']}"
    noted(action, what, {name: str(value) for name, value in details.items() if value is not None})
