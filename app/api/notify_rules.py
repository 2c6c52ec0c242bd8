"""Where news goes besides the inbox: rules, and the mail server and chats that are configured. For admins."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from flask import current_app
from pydantic import BaseModel, Field, StringConstraints

from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import AgentId
from app.api.noted import noted
from app.api.reading import Input
from app.api.shapes import MailAddress, When
from app.api.webhook_endpoints import TestOut
from app.db import Row
from app.errors import Invalid, NotFound
from app.notify import rules
from app.settings import Settings

Channel = Literal["email", "chat"]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Target = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class RuleOut(BaseModel):
    """Which event goes where."""

    rule_id: str
    event: str = Field(description="An event, a family like `workflow.*`, or `*`.")
    channel: Channel
    target: str = Field(description="A mail address, or the name of a chat.")
    agent_id: str | None = Field(description="Only of this agent.")
    enabled: bool
    created_by: str
    created_at: When


class RulesOut(BaseModel):
    """All rules, by event."""

    rules: list[RuleOut]
    total: int


class RuleIn(Input):
    """A new rule."""

    event: Pattern
    channel: Channel
    target: Target
    agent_id: AgentId | None = None
    enabled: bool = True


class RulePatch(Input):
    """What is to change; what is left out stays."""

    event: Pattern | None = None
    channel: Channel | None = None
    target: Target | None = None
    agent_id: AgentId | None = Field(None, description="null: of any agent.")
    enabled: bool | None = None


class ChannelOut(BaseModel):
    """A way to people."""

    name: str
    channel: Channel
    configured: bool
    missing: str | None = Field(description="What must be set before it works.")


class ChannelsOut(BaseModel):
    """The ways to people; their addresses are secrets and are not shown."""

    channels: list[ChannelOut]
    alert_emails: list[str] = Field(description="Who gets alerts without any rule.")


class ChannelTestIn(Input):
    """Where a test goes."""

    to: MailAddress | None = Field(None, description="With the channel `email`; left out: you.")


@op("GET", "/api/v1/notify-rules", verb="manage_notify", out=RulesOut)
def list_rules() -> dict[str, Any]:
    """List rules."""
    found = rules.listing()
    return {"rules": found, "total": len(found)}


@op("POST", "/api/v1/notify-rules", verb="manage_notify", out=RuleOut, status=201)
def create_rule(body: RuleIn) -> Row:
    """Make a rule: from now on such events go there too."""
    row = rules.create(by=current_principal().user_id, **body.model_dump())
    noted("rule.created", row["rule_id"], body.model_dump(exclude_unset=True))
    return row


@op("GET", "/api/v1/notify-rules/<rule_id>", verb="manage_notify", out=RuleOut, errors=(404,))
def get_rule(rule_id: UUID) -> Row:
    """Show a rule."""
    return rules.get(str(rule_id))


@op("PATCH", "/api/v1/notify-rules/<rule_id>", verb="manage_notify", out=RuleOut, errors=(404,))
def change_rule(rule_id: UUID, body: RulePatch) -> Row:
    """Change a rule."""
    given = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in given.items() if value is not None or name == "agent_id"}
    row = rules.change(str(rule_id), **changes)
    noted("rule.changed", str(rule_id), changes)
    return row


@op("DELETE", "/api/v1/notify-rules/<rule_id>", verb="manage_notify", status=204, errors=(404,))
def delete_rule(rule_id: UUID) -> None:
    """Delete a rule."""
    rules.remove(str(rule_id))
    noted("rule.deleted", str(rule_id), {})


@op("GET", "/api/v1/notify-channels", verb="manage_notify", out=ChannelsOut)
def list_channels() -> dict[str, Any]:
    """Show which ways to people are configured, and what the others lack."""
    told: Settings = current_app.config["CALLBOARD"]
    lacks = _mail_lacks(told)
    chats = {"slack": None if "slack" in told.chats else "SLACK_WEBHOOK_URL"} | dict.fromkeys(told.chats)
    return {
        "channels": [
            {"name": "email", "channel": "email", "configured": lacks is None, "missing": lacks},
            *(
                {"name": name, "channel": "chat", "configured": missing is None, "missing": missing}
                for name, missing in chats.items()
            ),
        ],
        "alert_emails": told.alert_emails,
    }


@op(
    "POST",
    "/api/v1/notify-channels/<name>/test",
    verb="manage_notify",
    out=TestOut,
    status=202,
    errors=(404,),
)
def send_test_to_channel(name: str, body: ChannelTestIn | None) -> dict[str, Any]:
    """Send a test by mail or into a chat; look at the delivery to see what came of it."""
    delivery_id = _tested(name, body)
    noted("notify.tested", delivery_id, {"channel": name})
    return {"delivery_id": delivery_id}


def _tested(name: str, body: ChannelTestIn | None) -> str:
    """The delivery of a test."""
    if name == "email":
        return rules.test("email", (body and body.to) or current_principal().email)
    try:
        return rules.test("chat", name)
    except Invalid:
        raise NotFound(f"There is no channel {name}.") from None


def _mail_lacks(told: Settings) -> str | None:
    if not told.smtp_host:
        return "SMTP_HOST"
    return None if told.smtp_from or "@" in told.smtp_user else "SMTP_FROM"
