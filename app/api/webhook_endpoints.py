"""Outgoing webhooks: endpoints with their secrets, and the secret that signs one's callbacks."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import demand, own_only
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import When
from app.db import Row
from app.errors import NotFound
from app.notify import endpoints, events, secrets

Url = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(max_length=200)]


class EndpointOut(BaseModel):
    """A URL that hears of events; its secret is not shown."""

    endpoint_id: str
    url: str
    description: str | None
    events: list[str] = Field(description="Empty: all. `workflow.*` is every event of workflows.")
    enabled: bool
    disabled_reason: str | None = Field(description="Set if Callboard switched it off.")
    failing_since: When | None = Field(description="Nothing got through since then.")
    previous_until: When | None = Field(description="Until then the old secret signs as well.")
    owner: str
    created_at: When
    updated_at: When


class FreshEndpointOut(EndpointOut):
    """An endpoint at the one moment its secret is shown."""

    secret: str


class EndpointsOut(BaseModel):
    """All endpoints, and the events there are."""

    endpoints: list[EndpointOut]
    total: int
    events: list[str]


class EndpointIn(Input):
    """A URL that is to hear of events."""

    url: Url = Field(description="https, or http; to a public address.")
    description: Description | None = None
    events: list[Pattern] = Field(default_factory=list, max_length=50, description="Left out: all.")
    enabled: bool = True


class EndpointPatch(Input):
    """What is to change; what is left out stays."""

    url: Url | None = None
    description: Description | None = None
    events: list[Pattern] | None = Field(None, max_length=50)
    enabled: bool | None = None


class TestOut(BaseModel):
    """The delivery of a test; look at it to see what came of it."""

    delivery_id: str


class SecretOut(BaseModel):
    """What signs the callbacks of your jobs and workflows."""

    secret: str


@op("GET", "/api/v1/webhook-endpoints", verb="view_deliveries", out=EndpointsOut)
def list_endpoints() -> dict[str, Any]:
    """List endpoints: your own, or all for admins."""
    found = endpoints.listing(own_only(current_principal(), "view_deliveries"))
    return {"endpoints": found, "total": len(found), "events": sorted(events.EVENTS)}


@op(
    "POST",
    "/api/v1/webhook-endpoints",
    verb="manage_webhooks",
    out=FreshEndpointOut,
    status=201,
    errors=(409,),
)
def create_endpoint(body: EndpointIn) -> Row:
    """Make an endpoint; its secret is shown this once.

    An admin's endpoint hears of everything, anybody else's of what its owner is told.
    """
    row = endpoints.create(
        body.url,
        owner=current_principal().user_id,
        wanted=body.events,
        description=body.description,
        enabled=body.enabled,
    )
    noted("endpoint.created", row["endpoint_id"])
    return row


@op(
    "GET",
    "/api/v1/webhook-endpoints/<endpoint_id>",
    verb="view_deliveries",
    out=EndpointOut,
    errors=(404,),
)
def get_endpoint(endpoint_id: UUID) -> Row:
    """Show an endpoint, without its secret."""
    return _managed(endpoint_id, "view_deliveries")


@op(
    "PATCH",
    "/api/v1/webhook-endpoints/<endpoint_id>",
    verb="manage_webhooks",
    out=EndpointOut,
    errors=(404,),
)
def change_endpoint(endpoint_id: UUID, body: EndpointPatch) -> Row:
    """Change an endpoint; switching it on again forgets why it was off."""
    _managed(endpoint_id, "manage_webhooks")
    given = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in given.items() if value is not None or name == "description"}
    row = endpoints.change(str(endpoint_id), **changes)
    noted("endpoint.changed", endpoint_id, {"changed": sorted(changes)})
    return row


@op("DELETE", "/api/v1/webhook-endpoints/<endpoint_id>", verb="manage_webhooks", status=204, errors=(404,))
def delete_endpoint(endpoint_id: UUID) -> None:
    """Delete an endpoint; what was on its way to it is skipped."""
    _managed(endpoint_id, "manage_webhooks")
    endpoints.remove(str(endpoint_id))
    noted("endpoint.deleted", endpoint_id)


@op(
    "POST",
    "/api/v1/webhook-endpoints/<endpoint_id>/rotate",
    verb="manage_webhooks",
    out=FreshEndpointOut,
    errors=(404,),
)
def rotate_endpoint(endpoint_id: UUID) -> Row:
    """Give it a new secret, shown this once; the old one signs as well for 24 hours."""
    _managed(endpoint_id, "manage_webhooks")
    row = endpoints.rotate(str(endpoint_id))
    noted("endpoint.rotated", endpoint_id)
    return row


@op(
    "POST",
    "/api/v1/webhook-endpoints/<endpoint_id>/test",
    verb="manage_webhooks",
    out=TestOut,
    status=202,
    errors=(404,),
)
def send_test_to_endpoint(endpoint_id: UUID) -> dict[str, Any]:
    """Send a `test` event to an endpoint."""
    _managed(endpoint_id, "manage_webhooks")
    delivery_id = endpoints.test(str(endpoint_id))
    noted("endpoint.tested", endpoint_id, {"delivery_id": delivery_id})
    return {"delivery_id": delivery_id}


# A GET would make the secret at its first use; nothing else is written.
@op("GET", "/api/v1/callback-secret", verb="manage_webhooks", out=SecretOut)
def get_callback_secret() -> dict[str, Any]:
    """Show what signs the callbacks of your jobs and workflows; it is made when it is first asked for."""
    return {"secret": secrets.of_callbacks(current_principal().user_id)}


@op("POST", "/api/v1/callback-secret/rotate", verb="manage_webhooks", out=SecretOut)
def rotate_callback_secret() -> dict[str, Any]:
    """Change what signs your callbacks; the old secret signs as well for 24 hours."""
    who = current_principal().user_id
    secret = secrets.rotate_callbacks(who)
    noted("callback_secret.rotated", who)
    return {"secret": secret}


def _managed(endpoint_id: UUID, verb: str) -> Row:
    """The endpoint, if the caller may `verb` it; what is somebody else's looks like what is not there."""
    row = endpoints.get(str(endpoint_id))
    try:
        demand(current_principal(), verb, row["owner"])
    except NotFound:
        raise NotFound(f"There is no endpoint {endpoint_id}.") from None
    return row
