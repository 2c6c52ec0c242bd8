"""The one address for commands to sessions: by an API key or token, or signed as webhooks are.

A signature is one of two. Standard Webhooks sign id, time and body: a delivery is kept beside the hook's others, and
the same `webhook-id` again gets the same answer. X-Hub-Signature-256 signs the body alone; so that nobody can send it
twice within a day, commands that change something then need a `request_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import orjson
from flask import Response, g, request

from app.accounts import queries as accounts
from app.accounts.permissions import Principal
from app.api import limits
from app.api.answers import Answer, dumps
from app.api.auth import authenticate, current_principal, settings
from app.api.errors import problem_for
from app.api.glue import op
from app.api.hooks import note_refusal, outside
from app.api.session_shapes import CommandOut
from app.db import AWAY, Row
from app.errors import Forbidden, Invalid, NotFound, Unauthenticated
from app.hooks import actions, receiving, signatures
from app.hooks.receiving import Elsewhere, Forged
from app.sessions import commands
from app.sessions.shapes import Envelope

JSON = dict[str, Any]
SLUG = "session"
STANDARD, HUB = "webhook-signature", "x-hub-signature-256"
NEEDS_NO_ID = ("query_memories",)
NOBODY = (
    "Send an API key as `Authorization: Bearer …`, or sign the request: webhook-id, webhook-timestamp and "
    "webhook-signature, or X-Hub-Signature-256 (docs/webhook-commands.md)."
)


def let_in() -> Principal:
    """Who sends the command; raises Unauthenticated, Forged, Forbidden or Elsewhere."""
    if request.headers.get("Authorization") or request.headers.get("X-API-Key"):
        if not receiving.within(request.remote_addr, settings().webhook_ip_allowlist):
            raise Forbidden("Webhooks are not taken from your address.")
        return authenticate()
    limits.spend_hook(SLUG)
    body = request.get_data()
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not {STANDARD, HUB} & set(headers):
        raise Unauthenticated(NOBODY)
    owner = actions.owner(_owner(headers, body))
    g.principal = replace(owner, key_id=f"hook:{SLUG}")  # so that it has limits of its own
    g.signed_by = STANDARD if STANDARD in headers else HUB
    return cast(Principal, g.principal)


def told(error: Exception) -> Response:
    """A problem document that also is what senders of commands expect: {error: {code, message}}."""
    if isinstance(error, Forged | Elsewhere):
        with suppress(*AWAY):
            note_refusal(error)
    answer = problem_for(error)
    document = orjson.loads(answer.get_data())
    document["error"] = {"code": document["code"], "message": document["detail"]}
    answer.set_data(dumps(document))
    return answer


@op(
    "POST",
    "/api/v1/webhooks/session",
    verb="join_session",
    out=CommandOut,
    also={201: CommandOut, 207: CommandOut},
    errors=(404, 409),
    idempotent=True,
    admit=let_in,
    told=told,
)
def take_session_command(body: Envelope) -> Answer:
    """Carry out a command in a session.

    There are create_session, conversation_batch, store_memory, query_memories, delegate_task, add_artifact,
    batch_workflow, update_session, pause_session, resume_session and complete_session. 201 if something was made, else 200; 207 for a batch of which each part was tried by itself. Instead of a token the
    request may be signed with the secret of the hook `session` or with WEBHOOK_SECRET: as Standard Webhooks do it, not
    more than five minutes ago, or by X-Hub-Signature-256. The same `request_id` (or `webhook-id`) again gets the same
    answer and does nothing. Errors are problems that also carry `error: {code, message}`.
    """
    signed_by = g.get("signed_by")
    if signed_by == STANDARD:
        return _delivered()
    if signed_by == HUB:
        _demand_id(body)
    done = commands.carry_out(body.model_dump(mode="json", exclude_unset=True), current_principal())
    return _answer(done.status, done.body, again=done.replayed)


def _delivered() -> Answer:
    """What the hook `session` answers, where the delivery is kept; by now the body is known to be sound."""
    received = receiving.receive(
        SLUG,
        headers=dict(request.headers.items()),
        body=request.get_data(),
        ip=request.remote_addr,
        outside=outside(),
    )
    status, body = received.answer or (200, {})
    return _answer(status, body, again=received.duplicate)


def _answer(status: int, body: JSON, *, again: bool) -> Answer:
    return Answer(body, status, {"Idempotency-Replayed": "true"} if again else {})


def _owner(headers: Mapping[str, str], body: bytes) -> str:
    """In whose name a signed request acts; raises Forged or Elsewhere, and Unauthenticated if there is nobody at all."""
    around = outside()
    try:
        hook = receiving.admit(SLUG, ip=request.remote_addr, outside=around)
    except NotFound:
        raise Unauthenticated("Nobody here knows a secret that signs commands; send an API key.") from None
    if STANDARD in headers:
        return str(receiving.verify(hook, headers=headers, body=body, outside=around)["owner"])
    if why := signatures.why_not(signatures.GITHUB, headers, body, _secrets(hook, around.secret)):
        raise Forged(hook, why)
    return str(hook["owner"] if hook["hook_id"] else _first_admin())


def _secrets(hook: Row, shared: str) -> list[str]:
    return [*(signatures.of(hook) if hook["hook_id"] else ()), *((shared,) if shared else ())]


def _first_admin() -> str:
    row = accounts.user_by_email(settings().admin_email)
    if row is None:
        raise Unauthenticated("There is no first admin whom WEBHOOK_SECRET could act for.")
    return str(row["user_id"])


def _demand_id(body: Envelope) -> None:
    """What is signed without a time could be sent again by whoever saw it."""
    if body.request_id is None and commands.named(body.command) not in NEEDS_NO_ID:
        words = "is required with X-Hub-Signature-256, so that nobody can send the command a second time"
        raise Invalid(f"request_id {words}", [("/request_id", words)])
