"""Providers: the model services, in which order they are asked, their limits, breakers and health."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.answers import Answer
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import JSON, When
from app.jobs import upkeep
from app.providers import catalogue, prices, queries

Status = Literal["off", "open", "waking", "probing", "unavailable", "degraded", "ready", "unknown"]
Limit = Field(None, ge=1, le=catalogue.LARGEST_LIMIT, description="null: no limit.")


class GaugeOut(BaseModel):
    """A pool that all workers share."""

    limit: int | None = Field(description="null: no limit.")
    used: int | None = Field(description="How much of it is used now; a debt shows as more than the limit.")


class PoolsOut(BaseModel):
    """The three pools of a provider."""

    requests: GaugeOut = Field(description="In a minute.")
    tokens: GaugeOut = Field(description="In a minute.")
    calls: GaugeOut = Field(description="At once.")


class BreakerOut(BaseModel):
    """Whether a provider is left alone after failures."""

    state: Literal["closed", "open", "half_open"]
    open_until: When | None
    opened_at: When | None
    failures: int = Field(description="In a row.")
    trips: int = Field(description="Openings in a row; each doubles the pause.")
    error_class: str | None = Field(description="throttle, overload, transport, quota or auth.")
    last_error: str | None
    last_failed_at: When | None
    last_ok_at: When | None


class ProviderHealthOut(BaseModel):
    """What a worker found when it looked, once a minute."""

    status: Literal["ready", "degraded", "unavailable", "unknown"]
    reason: str | None
    checked_at: When | None


class ProviderOut(BaseModel):
    """A service that answers with a model. Its key is never here: only the name of its variable."""

    provider_id: str
    title: str
    kind: Literal["openai", "anthropic"] = Field(description="The protocol it speaks.")
    base_url: str
    key_name: str | None = Field(description="The variable of the workers' environment with its key.")
    model: str = Field(description="Asked for unless the agent names another.")
    billing: Literal["api", "subscription", "local"]
    demo: bool = Field(description="Only for agents that name it; its answers are not for use.")
    position: int | None = Field(description="Place in the common order; null: only for agents that name it.")
    enabled: bool
    source: Literal["settings", "admin"]
    status: Status = Field(description="In one word, from all of the following.")
    changed_by_admin: list[str] = Field(description="What later starts do not fill from the settings.")
    pools: PoolsOut
    breaker: BreakerOut
    health: ProviderHealthOut
    updated_at: When


class ProvidersOut(BaseModel):
    """All providers, in the common order; then those that answer only to their name."""

    providers: list[ProviderOut]
    total: int


class ProviderIn(Input):
    """A provider of one's own: anything that speaks OpenAI's chat completions, or Anthropic's messages."""

    provider_id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=50)
    base_url: str = Field(max_length=500, description="Like https://models.example.org/v1.")
    model: str = Field(min_length=1, max_length=200)
    title: str | None = Field(None, min_length=1, max_length=100)
    kind: Literal["openai", "anthropic"] = "openai"
    key_name: str | None = Field(
        None, max_length=100, description="Name of a variable of the workers' environment; never the key."
    )
    billing: Literal["api", "subscription", "local"] = "api"
    enabled: bool = True
    requests_per_minute: int | None = Limit
    tokens_per_minute: int | None = Limit
    max_concurrent: int | None = Limit


class ProviderPatch(Input):
    """What is to change; null lifts a limit, and takes the place in the order or the key away."""

    title: str = Field("", max_length=100)
    kind: Literal["openai", "anthropic"] = "openai"
    base_url: str = Field("", max_length=500)
    key_name: str | None = Field(None, max_length=100)
    model: str = Field("", max_length=200)
    billing: Literal["api", "subscription", "local"] = "api"
    enabled: bool = True
    position: int | None = Field(None, ge=1, le=1000, description="Place in the common order, from 1.")
    requests_per_minute: int | None = Limit
    tokens_per_minute: int | None = Limit
    max_concurrent: int | None = Limit


class ModelOut(BaseModel):
    """A model that agents can be answered by."""

    model: str
    provider_id: str
    provider: str
    status: Status
    reason: str | None
    demo: bool
    billing: str
    price: JSON | None = Field(
        description="Dollars for a million tokens: input_usd, output_usd, and whose list says so; null: unknown."
    )


class ModelsOut(BaseModel):
    """Models by the order in which they are asked."""

    models: list[ModelOut]
    total: int


@op("GET", "/api/v1/providers", verb="view_providers", out=ProvidersOut)
def list_providers() -> dict[str, Any]:
    """List providers with their limits, breakers and health."""
    found = [queries.public(row) for row in queries.every()]
    return {"providers": found, "total": len(found)}


@op("POST", "/api/v1/providers", verb="manage_providers", out=ProviderOut, status=201, errors=(409,))
def add_provider(body: ProviderIn) -> Answer:
    """Add a provider of your own, at the end of the common order."""
    given = body.model_dump(exclude_unset=True, exclude_none=True)
    provider_id = given.pop("provider_id")
    row = catalogue.add(provider_id, given)
    noted("provider.added", provider_id, given)
    return Answer(queries.public(row), headers={"Location": f"/api/v1/providers/{provider_id}"})


@op("GET", "/api/v1/providers/<provider_id>", verb="view_providers", out=ProviderOut, errors=(404,))
def get_provider(provider_id: str) -> dict[str, Any]:
    """Show a provider."""
    return queries.public(queries.get(provider_id))


@op(
    "PATCH",
    "/api/v1/providers/<provider_id>",
    verb="manage_providers",
    out=ProviderOut,
    errors=(404, 409),
)
def change_provider(provider_id: str, body: ProviderPatch) -> dict[str, Any]:
    """Change a provider; what is left out stays. No later start undoes it, and jobs held for it are tried again."""
    given = body.model_dump(exclude_unset=True)
    catalogue.change(provider_id, {name: value for name, value in given.items() if name != "position"})
    if "position" in given:
        catalogue.place(provider_id, body.position)
    upkeep.lift_recovered()
    noted("provider.changed", provider_id, given)
    return queries.public(queries.get(provider_id))


@op("DELETE", "/api/v1/providers/<provider_id>", verb="manage_providers", status=204, errors=(404, 409))
def remove_provider(provider_id: str) -> None:
    """Remove a provider of your own; those that come with Callboard can only be switched off."""
    catalogue.remove(provider_id)
    noted("provider.removed", provider_id)


@op(
    "POST",
    "/api/v1/providers/<provider_id>/reset",
    verb="manage_providers",
    out=ProviderOut,
    errors=(404,),
)
def reset_provider(provider_id: str) -> dict[str, Any]:
    """Close a provider's breaker and fill its pools, because you know that it is well again."""
    row = catalogue.reset(provider_id)
    upkeep.lift_recovered()
    noted("provider.reset", provider_id)
    return queries.public(row)


@op("GET", "/api/v1/models", verb="view_providers", out=ModelsOut)
def list_models() -> dict[str, Any]:
    """List the models of all providers with their health and price."""
    found = [_model(row) for row in queries.every()]
    return {"models": found, "total": len(found)}


def _model(row: dict[str, Any]) -> dict[str, Any]:
    status = queries.condition(row, row["now"])
    return {
        "model": row["model"],
        "provider_id": row["provider_id"],
        "provider": row["title"],
        "status": status,
        "reason": queries.reason(row, row["now"]),
        "demo": row["demo"],
        "billing": row["billing"],
        "price": prices.told(row["provider_id"], row["model"], row["billing"]),
    }
