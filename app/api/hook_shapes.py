"""What hooks take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.api.reading import Input
from app.api.shapes import JSON, When
from app.hooks.actions import Action

Provider = Literal["github", "standard", "session"]
Status = Literal["done", "ignored", "failed"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Words = Annotated[str, StringConstraints(max_length=200)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Network = Annotated[str, StringConstraints(min_length=1, max_length=50)]
Secret = Annotated[str, StringConstraints(min_length=16, max_length=200)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_WHOSE = "Yours, if the other side made it: text for GitHub, else `whsec_…`. Left out: one is made."


class HookOut(BaseModel):
    """An address that others call; its secret is not shown."""

    hook_id: str
    slug: str = Field(description="It is called at /hooks/<slug>.")
    url: str
    name: str
    provider: Provider
    owner: str = Field(description="In whose name its rules act.")
    ip_allowlist: list[str] = Field(description="Empty: everybody.")
    enabled: bool
    previous_until: When | None = Field(description="Until then the old secret counts as well.")
    last_received_at: When | None
    last_refused_at: When | None
    last_refusal: str | None = Field(description="Why the last one that was refused did not get in.")
    created_at: When
    updated_at: When


class FreshHookOut(HookOut):
    """A hook at the one moment its secret is shown."""

    secret: str


class HookLineOut(HookOut):
    """A hook in the list."""

    rules: int
    day: int = Field(description="Deliveries within the last 24 hours.")


class HooksOut(BaseModel):
    """All hooks that one may see."""

    hooks: list[HookLineOut]
    total: int


class HookIn(Input):
    """An address that others are to call."""

    slug: Slug = Field(description="`github` and `session` are for admins.")
    provider: Provider = "github"
    name: Words = ""
    ip_allowlist: list[Network] = Field(
        default_factory=list, max_length=50, description="Networks that may call it, like 192.0.2.0/24."
    )
    enabled: bool = True
    secret: Secret | None = Field(None, description=_WHOSE)


class HookPatch(Input):
    """What is to change; what is left out stays."""

    name: Words | None = None
    ip_allowlist: list[Network] | None = Field(None, max_length=50)
    enabled: bool | None = None


class HookRotateIn(Input):
    """A secret of one's own."""

    secret: Secret | None = Field(None, description=_WHOSE)


class HookCondition(Input):
    """What must hold of the body."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        description="Into the body: `pull_request.base.ref`, `commits[0].author.name`."
    )
    is_: Literal["equals", "not_equals", "contains", "matches", "exists", "in"] = Field(
        alias="is", description="`matches` is a pattern of RE2."
    )
    value: Any = None


class HookRuleIn(Input):
    """What deliveries of some events become."""

    name: Name
    events: list[Pattern] = Field(
        min_length=1, max_length=50, description="`push`, `pull_request.opened`, `issues.*`, `*`."
    )
    conditions: list[HookCondition] = Field(default_factory=list, max_length=20, description="All must hold.")
    action: Action
    enabled: bool = True


class HookRulePatch(Input):
    """What is to change; what is left out stays."""

    name: Name | None = None
    events: list[Pattern] | None = Field(None, min_length=1, max_length=50)
    conditions: list[HookCondition] | None = Field(None, max_length=20)
    action: Action | None = None
    enabled: bool | None = None


class HookRuleOut(BaseModel):
    """A rule of a hook."""

    rule_id: str
    hook_id: str
    place: int = Field(description="Rules run in this order.")
    name: str
    events: list[str]
    conditions: list[JSON]
    action: JSON
    enabled: bool
    created_at: When
    updated_at: When


class HookRulesOut(BaseModel):
    """All rules of a hook, in their order."""

    rules: list[HookRuleOut]


class HookOrderIn(Input):
    """In which order the rules are to run."""

    rule_ids: list[UUID] = Field(max_length=50, description="Each rule of the hook once.")


class HookTryIn(Input):
    """A rule, and what it is to be tried with: a delivery that was kept, or an event and a body."""

    events: list[Pattern] = Field(min_length=1, max_length=50)
    conditions: list[HookCondition] = Field(default_factory=list, max_length=20)
    action: Action
    delivery_id: UUID | None = None
    event: Pattern | None = None
    body: Any = None


class HookTriedOut(BaseModel):
    """What a rule would do; nothing was done."""

    fits: bool
    why: str | None = Field(description="Why it does not fit.")
    would: JSON | None = Field(None, description="The action with its placeholders replaced.")
    error: str | None = Field(None, description="Why it could not be carried out.")


class HookDeliveryOut(BaseModel):
    """One webhook that came in, and what became of it."""

    delivery_id: str
    position: int
    hook_id: str
    hook: str
    external_id: str = Field(description="X-GitHub-Delivery or webhook-id.")
    event: str
    status: Status = Field(
        description="done: rules took it; ignored: none did; failed: one of them could not."
    )
    results: list[JSON] = Field(
        description="Of each rule: rule_id, name, and job_id, workflow_id, ids or error."
    )
    times_received: int
    replay_of: str | None
    replayed_by: str | None
    ip: str | None
    size: int = Field(description="Bytes of the body.")
    received_at: When


class HookDeliveryDetailOut(HookDeliveryOut):
    """A delivery with all that came."""

    headers: dict[str, str]
    body: Any


class HookDeliveriesOut(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[HookDeliveryOut]
    next_cursor: int | None = Field(description="Send it as `cursor` for the next page.")


class HookDeliveriesQuery(Input):
    """Which deliveries."""

    status: Status | None = None
    event: Pattern | None = None
    cursor: int | None = Field(None, ge=1, le=2**62, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=100)


class ReceivedOut(BaseModel):
    """What became of a webhook; to a session's command, what the command answers."""

    hook: str | None = None
    delivery_id: str | None = None
    event: str | None = None
    status: Status | None = None
    duplicate: bool | None = Field(None, description="It had come before; this is what it led to then.")
    ok: bool | None = Field(None, description="This and what follows: of a command.")
    command: str | None = None
    session_id: str | None = None
    ids: list[str] | None = None
    result: JSON | None = None


class RelayQuery(Input):
    """From where on."""

    after: int = Field(0, ge=0, le=2**62, description="`cursor` of the last answer.")
    limit: int = Field(50, ge=1, le=100)
    hook: Slug | None = Field(None, description="Only what came to this hook.")


class RelayEvent(BaseModel):
    """One webhook as it came."""

    position: int
    delivery_id: str
    hook: str
    event: str
    headers: dict[str, str]
    body_base64: str = Field(description="The very bytes that were signed.")
    received_at: When
    replay_of: str | None


class RelayPoll(BaseModel):
    """When to ask again."""

    next_after_ms: int


class RelayOut(BaseModel):
    """What came in behind a position, in order."""

    events: list[RelayEvent]
    cursor: int = Field(description="Send it as `after` next time.")
    newest: int = Field(
        description="The position of the newest there is; less than `cursor` after a restore."
    )
    poll: RelayPoll
