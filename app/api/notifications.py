"""The inbox of whoever asks: what they were told, and, for admins, what all admins were told."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import JSON, When
from app.notify import inbox


class NotificationOut(BaseModel):
    """One thing that happened."""

    notification_id: str
    event: str
    severity: Literal["info", "success", "warning", "error"]
    title: str
    body: str
    link: str | None = Field(description="A path of the dashboard.")
    audience: str = Field(description="Your user id, or `admins`.")
    subject_type: str | None
    subject_id: str | None
    count: int = Field(description="How often it happened while it was counted together.")
    data: JSON
    unread: bool = Field(description="Also if it has counted up since you read it.")
    created_at: When
    updated_at: When


class NotificationsOut(BaseModel):
    """A page of the inbox, newest first."""

    notifications: list[NotificationOut]
    unread: int = Field(description=f"Among the newest {inbox.MOST_COUNTED:,}.")
    next_before: str | None = Field(description="Send it as `before` for the next page.")


class NotificationsQuery(Input):
    """Which notifications."""

    unread: bool = Field(False, description="Only those you have not read.")
    before: UUID | None = Field(None, description="`next_before` of the page before.")
    limit: int = Field(50, ge=1, le=100)


class ReadOut(BaseModel):
    """What is left to read."""

    unread: int


@op("GET", "/api/v1/notifications", verb="view_notifications", out=NotificationsOut)
def list_notifications(query: NotificationsQuery) -> dict[str, Any]:
    """Read your inbox, newest first; it is never emptied by reading."""
    who = current_principal()
    rows = inbox.page(
        who.user_id,
        is_admin=who.is_admin,
        unread=query.unread,
        before=str(query.before) if query.before else None,
        limit=query.limit,
    )
    return {
        "notifications": rows,
        "unread": inbox.unread(who.user_id, is_admin=who.is_admin),
        "next_before": rows[-1]["notification_id"] if len(rows) == query.limit else None,
    }


@op(
    "POST",
    "/api/v1/notifications/<notification_id>/read",
    verb="view_notifications",
    out=ReadOut,
    errors=(404,),
)
def read_notification(notification_id: UUID) -> dict[str, Any]:
    """Mark one as read, as far as it has counted now."""
    who = current_principal()
    inbox.mark_read(str(notification_id), who.user_id, is_admin=who.is_admin)
    return {"unread": inbox.unread(who.user_id, is_admin=who.is_admin)}


@op("POST", "/api/v1/notifications/read-all", verb="view_notifications", out=ReadOut)
def read_notifications() -> dict[str, Any]:
    """Mark all as read."""
    who = current_principal()
    inbox.mark_all_read(who.user_id, is_admin=who.is_admin)
    return {"unread": inbox.unread(who.user_id, is_admin=who.is_admin)}
