"""What is sent of notifications: every mail, chat message, webhook and callback, with every try."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import demand, own_only
from app.api.auth import current_principal
from app.api.errors import Unreadable
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import JSON, When
from app.db import Row
from app.errors import NotFound
from app.notify import deliveries

Status = Literal["pending", "delivered", "failed", "skipped"]
Channel = Literal["email", "chat", "webhook"]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class DeliveryOut(BaseModel):
    """One message on its way to one address."""

    delivery_id: str = Field(description="For webhooks the `webhook-id`, the same at every try.")
    notification_id: str | None
    endpoint_id: str | None
    event: str
    channel: Channel
    target: str = Field(description="An address; for chats the name of the channel.")
    callback: bool = Field(description="A job or workflow named the address itself.")
    owner: str | None
    subject_type: str | None
    subject_id: str | None
    status: Status = Field(description="skipped: it was never sent; the reason says why.")
    reason: str | None = Field(description="While it is pending, why the last try failed.")
    attempts: int
    next_at: When | None = Field(description="When it is tried next, or given up on its present courier.")
    lease_until: When | None = Field(description="Set while a courier has it in hand.")
    created_at: When
    finished_at: When | None


class AttemptOut(BaseModel):
    """One try."""

    number: int
    at: When
    duration_ms: int | None = Field(description="null: it is under way.")
    status_code: int | None = Field(description="Of HTTP or SMTP.")
    error: str | None
    response: str | None = Field(description="The beginning of what was answered.")


class DeliveryDetailOut(DeliveryOut):
    """A delivery with what was sent and every try."""

    payload: JSON
    tries: list[AttemptOut]


class DeliveriesOut(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryOut]
    next_before: str | None = Field(description="Send it as `before` for the next page.")


class DeliveriesQuery(Input):
    """Which deliveries."""

    status: Status | None = None
    channel: Channel | None = None
    event: Word | None = None
    endpoint_id: UUID | None = None
    notification_id: UUID | None = None
    subject_type: Word | None = None
    subject_id: Word | None = None
    before: UUID | None = Field(None, description="`next_before` of the page before.")
    limit: int = Field(50, ge=1, le=100)


@op("GET", "/api/v1/deliveries", verb="view_deliveries", out=DeliveriesOut)
def list_deliveries(query: DeliveriesQuery) -> dict[str, Any]:
    """List deliveries, newest first: your own, or all for admins."""
    rows = deliveries.page(
        owner=own_only(current_principal(), "view_deliveries"),
        status=query.status,
        channel=query.channel,
        event=query.event,
        endpoint_id=str(query.endpoint_id) if query.endpoint_id else None,
        notification_id=str(query.notification_id) if query.notification_id else None,
        subject=_subject(query),
        before=str(query.before) if query.before else None,
        limit=query.limit,
    )
    last = rows[-1]["delivery_id"] if len(rows) == query.limit else None
    return {"deliveries": rows, "next_before": last}


@op("GET", "/api/v1/deliveries/<delivery_id>", verb="view_deliveries", out=DeliveryDetailOut, errors=(404,))
def get_delivery(delivery_id: UUID) -> dict[str, Any]:
    """Show a delivery with its payload and every try."""
    return _detail(_visible(delivery_id, "view_deliveries"))


@op(
    "POST",
    "/api/v1/deliveries/<delivery_id>/redeliver",
    verb="manage_webhooks",
    out=DeliveryDetailOut,
    status=202,
    errors=(404,),
)
def redeliver(delivery_id: UUID) -> dict[str, Any]:
    """Send it again at once, whatever became of it: the same message with the same id, so receivers can tell."""
    _visible(delivery_id, "manage_webhooks")
    row = deliveries.redeliver(str(delivery_id))
    noted("delivery.redelivered", delivery_id)
    return _detail(row)


def _subject(query: DeliveriesQuery) -> tuple[str, str] | None:
    if (query.subject_type is None) != (query.subject_id is None):
        raise Unreadable("The query cannot be read.", [("/subject_id", "goes together with subject_type")])
    return (query.subject_type, query.subject_id) if query.subject_type and query.subject_id else None


def _visible(delivery_id: UUID, verb: str) -> Row:
    """The delivery, if the caller may `verb` it; what is somebody else's looks like what is not there."""
    row = deliveries.get(str(delivery_id))
    try:
        demand(current_principal(), verb, row["owner"])
    except NotFound:
        raise NotFound(f"There is no delivery {delivery_id}.") from None
    return row


def _detail(row: Row) -> dict[str, Any]:
    return row | {"tries": deliveries.attempts(row["delivery_id"])}
