"""Webhooks that come in: the public door, and hooks with their rules and what came to them.

The door answers 202 for what is new, 200 for what had come before and for GitHub's ping. It reads a body only where
the hook takes calls from that address, and tells nobody why a signature does not fit.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import request

from app.accounts.permissions import Principal, demand, own_only
from app.api import limits
from app.api.answers import Answer
from app.api.auth import current_principal, settings
from app.api.errors import Unreadable
from app.api.glue import op
from app.api.hook_shapes import (
    FreshHookOut,
    HookCondition,
    HookDeliveriesOut,
    HookDeliveriesQuery,
    HookDeliveryDetailOut,
    HookIn,
    HookOrderIn,
    HookOut,
    HookPatch,
    HookRotateIn,
    HookRuleIn,
    HookRuleOut,
    HookRulePatch,
    HookRulesOut,
    HooksOut,
    HookTriedOut,
    HookTryIn,
    ReceivedOut,
    Slug,
)
from app.api.noted import noted
from app.db import Row, db
from app.errors import NotFound
from app.hooks import actions, changes, queries, reading, receiving, replaying, rules
from app.hooks.receiving import Elsewhere, Forged, Outside, Received
from app.observe import logs, metrics

log = logs.get(__name__)

LARGEST_OF_GITHUB = 25_000_000
"""Bytes; GitHub sends no more. All other hooks take MAX_BODY_BYTES."""
_REFUSALS = (400, 401, 403, 404, 413, 415, 422, 429)


@op(
    "POST",
    "/hooks/<slug>",
    public=True,
    bare=True,
    out=ReceivedOut,
    status=202,
    also={200: ReceivedOut, 201: ReceivedOut, 207: ReceivedOut},
    errors=(*_REFUSALS, 409),
)
def receive_webhook(slug: Slug) -> Answer:
    """Take a webhook: signed, not by a token, as the hook's provider does it.

    What a session's command answers is answered here as well.
    """
    return taken(slug)


@op(
    "POST",
    "/api/v1/webhooks/github",
    public=True,
    bare=True,
    out=ReceivedOut,
    status=202,
    also={200: ReceivedOut},
    errors=_REFUSALS,
)
def receive_github_webhook() -> Answer:
    """Take a webhook of GitHub's: the same as /hooks/github."""
    return taken("github")


def taken(slug: str) -> Answer:
    """What is answered to a webhook; raises what became of it otherwise."""
    limits.spend_hook(slug)
    try:
        with db.quick():
            hook = receiving.admit(slug, ip=request.remote_addr, outside=outside())
        body = _body(hook)  # however slowly it comes: nothing of the database is held meanwhile
        headers = dict(request.headers.items())
        with db.transaction():
            received = receiving.receive(
                slug, headers=headers, body=body, ip=request.remote_addr, outside=outside()
            )
    except (Forged, Elsewhere) as refused:
        note_refusal(refused)
        raise
    metrics.count(
        metrics.HOOK_DELIVERIES, received.provider, "duplicate" if received.duplicate else received.status
    )
    return _answer(received)


def note_refusal(refused: receiving.Refused) -> None:
    """Write down that somebody was not let in, once what they brought is rolled back."""
    hook = refused.hook
    log.warning("hook.refused", hook=hook["slug"], reason=refused.reason, ip=request.remote_addr)
    metrics.count(metrics.HOOK_DELIVERIES, hook["provider"], f"refused_{refused.reason}")
    with db.transaction():
        receiving.note_refusal(refused)


def outside() -> Outside:
    """What the settings say of webhooks that come in."""
    now = settings()
    return Outside(secret=now.webhook_secret, networks=now.webhook_ip_allowlist, admin_email=now.admin_email)


@op("GET", "/api/v1/hooks", verb="view_hooks", out=HooksOut)
def list_hooks() -> dict[str, Any]:
    """List hooks: your own, or all for admins."""
    found = [_shown(row) for row in queries.page(own_only(current_principal(), "view_hooks"))]
    return {"hooks": found, "total": len(found)}


@op("POST", "/api/v1/hooks", verb="manage_hooks", out=FreshHookOut, status=201, errors=(409,))
def create_hook(body: HookIn) -> Row:
    """Make a hook; its secret is shown this once, and its rules act in your name."""
    row = changes.create(who=current_principal(), **body.model_dump())
    noted("hook.created", row["hook_id"], {"slug": row["slug"], "provider": row["provider"]})
    return _shown(row)


@op("GET", "/api/v1/hooks/<hook_id>", verb="view_hooks", out=HookOut, errors=(404,))
def get_hook(hook_id: UUID) -> Row:
    """Show a hook, without its secret."""
    return _shown(_seen(hook_id))


@op("PATCH", "/api/v1/hooks/<hook_id>", verb="manage_hooks", out=HookOut, errors=(404,))
def change_hook(hook_id: UUID, body: HookPatch) -> Row:
    """Change a hook's name, its networks, or whether it takes anything."""
    _seen(hook_id, "manage_hooks")
    given = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    row = changes.change(str(hook_id), **given)
    noted("hook.changed", hook_id, {"changed": sorted(given)})
    return _shown(row)


@op("DELETE", "/api/v1/hooks/<hook_id>", verb="manage_hooks", status=204, errors=(404,))
def delete_hook(hook_id: UUID) -> None:
    """Delete a hook with its rules and what came in; jobs and workflows stay."""
    row = _seen(hook_id, "manage_hooks")
    changes.delete(str(hook_id))
    noted("hook.deleted", hook_id, {"slug": row["slug"]})


@op("POST", "/api/v1/hooks/<hook_id>/rotate", verb="manage_hooks", out=FreshHookOut, errors=(404,))
def rotate_hook(hook_id: UUID, body: HookRotateIn | None) -> Row:
    """Give it a new secret, shown this once; the old one counts for 24 hours more."""
    _seen(hook_id, "manage_hooks")
    row = changes.rotate(str(hook_id), secret=body.secret if body else None)
    noted("hook.rotated", hook_id)
    return _shown(row)


@op("GET", "/api/v1/hooks/<hook_id>/rules", verb="view_hooks", out=HookRulesOut, errors=(404,))
def list_hook_rules(hook_id: UUID) -> dict[str, Any]:
    """List the rules of a hook, in the order in which they run."""
    _seen(hook_id)
    return {"rules": queries.rules(str(hook_id))}


@op(
    "POST",
    "/api/v1/hooks/<hook_id>/rules",
    verb="manage_hooks",
    out=HookRuleOut,
    status=201,
    errors=(404, 409),
)
def add_hook_rule(hook_id: UUID, body: HookRuleIn) -> Row:
    """Add a rule behind the others: what fits its events and conditions becomes what its action says."""
    who = _acting(_seen(hook_id, "manage_hooks"))
    row = changes.add_rule(str(hook_id), who=who, **_plain(body))
    noted("hook.rule_added", hook_id, {"rule_id": row["rule_id"], "name": row["name"]})
    return row


@op("PUT", "/api/v1/hooks/<hook_id>/rules/order", verb="manage_hooks", out=HookRulesOut, errors=(404,))
def order_hook_rules(hook_id: UUID, body: HookOrderIn) -> dict[str, Any]:
    """Say in which order the rules run."""
    _seen(hook_id, "manage_hooks")
    ordered = changes.order_rules(str(hook_id), [str(each) for each in body.rule_ids])
    noted("hook.rules_ordered", hook_id)
    return {"rules": ordered}


@op("POST", "/api/v1/hooks/<hook_id>/rules/try", verb="manage_hooks", out=HookTriedOut, errors=(404,))
def try_hook_rule(hook_id: UUID, body: HookTryIn) -> dict[str, Any]:
    """Say what a rule would do with a delivery, or with an event and a body; nothing is done or kept."""
    hook = _seen(hook_id, "manage_hooks")
    return rules.try_rule(
        hook,
        who=_acting(hook),
        events=body.events,
        conditions=_conditions(body.conditions),
        action=body.action.model_dump(),
        message=_sample(hook, body),
    )


@op("GET", "/api/v1/hooks/<hook_id>/rules/<rule_id>", verb="view_hooks", out=HookRuleOut, errors=(404,))
def get_hook_rule(hook_id: UUID, rule_id: UUID) -> Row:
    """Show a rule."""
    _seen(hook_id)
    return queries.rule(str(hook_id), str(rule_id))


@op("PATCH", "/api/v1/hooks/<hook_id>/rules/<rule_id>", verb="manage_hooks", out=HookRuleOut, errors=(404,))
def change_hook_rule(hook_id: UUID, rule_id: UUID, body: HookRulePatch) -> Row:
    """Change a rule; another action replaces the old one as a whole."""
    who = _acting(_seen(hook_id, "manage_hooks"))
    given = _plain(body, unset=False)
    row = changes.change_rule(str(hook_id), str(rule_id), who=who, **given)
    noted("hook.rule_changed", hook_id, {"rule_id": str(rule_id), "changed": sorted(given)})
    return row


@op("DELETE", "/api/v1/hooks/<hook_id>/rules/<rule_id>", verb="manage_hooks", status=204, errors=(404,))
def delete_hook_rule(hook_id: UUID, rule_id: UUID) -> None:
    """Delete a rule."""
    _seen(hook_id, "manage_hooks")
    changes.delete_rule(str(hook_id), str(rule_id))
    noted("hook.rule_deleted", hook_id, {"rule_id": str(rule_id)})


@op("GET", "/api/v1/hooks/<hook_id>/deliveries", verb="view_hooks", out=HookDeliveriesOut, errors=(404,))
def list_hook_deliveries(hook_id: UUID, query: HookDeliveriesQuery) -> dict[str, Any]:
    """List what came in, newest first."""
    _seen(hook_id)
    rows = queries.deliveries(
        str(hook_id), status=query.status, event=query.event, before=query.cursor, limit=query.limit
    )
    return {"deliveries": rows, "next_cursor": rows[-1]["position"] if len(rows) == query.limit else None}


@op(
    "GET",
    "/api/v1/hooks/<hook_id>/deliveries/<delivery_id>",
    verb="view_hooks",
    out=HookDeliveryDetailOut,
    errors=(404,),
)
def get_hook_delivery(hook_id: UUID, delivery_id: UUID) -> Row:
    """Show what came in, with its headers and its body."""
    _seen(hook_id)
    return queries.delivery(str(hook_id), str(delivery_id))


@op(
    "POST",
    "/api/v1/hooks/<hook_id>/deliveries/<delivery_id>/replay",
    verb="manage_hooks",
    out=HookDeliveryDetailOut,
    status=201,
    errors=(404, 409),
    idempotent=True,
)
def replay_hook_delivery(hook_id: UUID, delivery_id: UUID) -> Row:
    """Run the rules, as they are now, for a delivery once more; the relay hands it on again as well."""
    _seen(hook_id, "manage_hooks")
    queries.delivery(str(hook_id), str(delivery_id))
    row = replaying.replay(str(delivery_id), by=current_principal().user_id)
    noted("hook.replayed", hook_id, {"delivery_id": str(delivery_id), "new": row["delivery_id"]})
    return row


def _body(hook: Row) -> bytes:
    """The raw body; more than the hook takes is refused before it is read, as far as its length is told."""
    request.max_content_length = (
        LARGEST_OF_GITHUB if hook["provider"] == "github" else settings().max_body_bytes
    )
    return request.get_data(cache=False)


def _answer(received: Received) -> Answer:
    if received.answer is not None:
        status, body = received.answer
        return Answer(body, status)
    return Answer(
        {name: getattr(received, name) for name in ("hook", "delivery_id", "event", "status", "duplicate")},
        200 if received.duplicate or received.event == reading.PING else 202,
    )


def _seen(hook_id: UUID, verb: str = "view_hooks") -> Row:
    """The hook, if the caller may `verb` it; what is somebody else's looks like what is not there."""
    row = queries.get(str(hook_id))
    try:
        demand(current_principal(), verb, row["owner"])
    except NotFound:
        raise NotFound(f"There is no hook {hook_id}.") from None
    return row


def _acting(hook: Row) -> Principal:
    """In whose name its rules act: its owner, also when an admin writes them."""
    return actions.owner(hook["owner"])


def _shown(row: Row) -> Row:
    return row | {"url": f"{settings().public_url}/hooks/{row['slug']}"}


def _conditions(given: list[HookCondition]) -> list[dict[str, Any]]:
    return [each.model_dump(by_alias=True) for each in given]


def _plain(body: HookRuleIn | HookRulePatch, *, unset: bool = True) -> dict[str, Any]:
    given = body.model_dump(exclude_unset=not unset)
    kept = {name: value for name, value in given.items() if value is not None}
    if body.conditions is not None and "conditions" in kept:
        kept["conditions"] = _conditions(body.conditions)
    if body.action is not None and "action" in kept:
        kept["action"] = body.action.model_dump()
    return kept


def _sample(hook: Row, body: HookTryIn) -> reading.Message:
    """What a rule is tried with; raises NotFound, Unreadable."""
    if body.delivery_id is not None:
        kept = queries.delivery(hook["hook_id"], str(body.delivery_id))
        return reading.Message(external_id=kept["external_id"], event=kept["event"], body=kept["body"])
    if body.event is None:
        raise Unreadable("Say what to try it with.", [("/delivery_id", "or event and body")])
    return reading.Message(external_id="a-trial", event=body.event, body=body.body)
