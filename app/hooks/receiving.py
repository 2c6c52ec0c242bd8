"""A webhook comes in: let in by address and signature, kept once, and made into work by the hook's rules.

One transaction: the delivery and all that it leads to are there together or not at all. The same delivery again is
answered with what it led to the first time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import uuid_utils.compat

from app import audit
from app.agents import secrecy
from app.db import Row, db, dumps
from app.errors import Forbidden, NotFound, Unauthenticated
from app.hooks import actions, keeping, reading, rules, signatures
from app.hooks.changes import SHARED
from app.observe import logs
from app.sessions import commands

log = logs.get(__name__)

QUIET_SECONDS = 10
"""A hook notes refusals at most so often: forging must not cost a write each time."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What the settings say of webhooks that come in."""

    secret: str = ""
    """Opens the hooks of changes.SHARED, whether they have a row or not."""
    networks: tuple[str, ...] = ()
    """Where webhooks may come from at all; empty: from everywhere."""
    admin_email: str = ""
    """Whose a hook is that the secret makes."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of a delivery."""

    hook: str
    provider: str
    delivery_id: str
    event: str
    status: str
    duplicate: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)
    answer: tuple[int, Any] | None = None
    """Of a session's command: the status and body that belong to it."""


class Forged(Unauthenticated):
    """The signature does not fit."""

    def __init__(self, hook: Row, why: str) -> None:
        """`why` is for the owner; the caller reads the docstring."""
        super().__init__()
        self.hook, self.why, self.reason = hook, why, "signature"


class Elsewhere(Forbidden):
    """Webhooks are not taken from your address."""

    def __init__(self, hook: Row, ip: str | None) -> None:
        """The owner hears which address it was."""
        super().__init__()
        self.hook, self.why, self.reason = hook, f"it came from {ip}, which is not allowed", "address"


Refused = Forged | Elsewhere


def admit(slug: str, *, ip: str | None, outside: Outside = Outside()) -> Row:
    """The hook at an address, if it takes calls from `ip`, before anything of the body is read.

    Raises NotFound (also for one that is switched off) and Elsewhere.
    """
    hook = db.row(
        """SELECT hook_id::text, slug, provider, owner, ip_allowlist, enabled, secret,
                  CASE WHEN previous_until > clock_timestamp() THEN previous_secret END AS previous
           FROM hooks WHERE slug = %(slug)s FOR KEY SHARE""",
        slug=slug,
    )
    if hook is None and slug in SHARED and outside.secret:
        hook = {"hook_id": None, "slug": slug, "provider": SHARED[slug], "ip_allowlist": [], "enabled": True}
    if hook is None or not hook["enabled"]:
        raise NotFound("There is no hook at this address.")
    if not (within(ip, outside.networks) and within(ip, hook["ip_allowlist"])):
        raise Elsewhere(hook, ip)
    return hook


def verify(hook: Row, *, headers: Mapping[str, str], body: bytes, outside: Outside = Outside()) -> Row:
    """The hook, if somebody who knows a secret of it signed the body; raises Forged.

    One that only WEBHOOK_SECRET opened so far gets its row here.
    """
    known = signatures.of(hook) if hook["hook_id"] else []
    if hook["slug"] in SHARED and outside.secret:
        known.append(outside.secret)
    if why := signatures.why_not(hook["provider"], headers, body, known):
        raise Forged(hook, why)
    return hook if hook["hook_id"] else _made(hook, outside)


def receive(
    slug: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    ip: str | None,
    outside: Outside = Outside(),
) -> Received:
    """Take what came to /hooks/<slug>, in the caller's transaction.

    Raises NotFound, Elsewhere, Forged, NotJson, Malformed, Invalid; of a session's command whatever it raises. After a
    Forged or Elsewhere the caller rolls back and calls `note_refusal`.
    """
    small = {name.lower(): value for name, value in headers.items()}
    hook = verify(admit(slug, ip=ip, outside=outside), headers=small, body=body, outside=outside)
    message = reading.message(hook["provider"], small, body)
    before = keeping.again(hook["hook_id"], message.external_id)
    if before is not None:
        log.info(
            "hook.received_again", hook=slug, delivery_id=before["delivery_id"], event_name=before["event"]
        )
        return _received(hook, before, duplicate=True)
    row = _do(hook, message)
    keeping.keep(
        row["delivery_id"], hook, message, headers=reading.kept(small), body=_kept(hook, message, body), status=row["status"],
        results=row["results"], ip=ip,
    )  # fmt: skip
    log.info(
        "hook.received",
        hook=slug,
        delivery_id=row["delivery_id"],
        event_name=row["event"],
        status=row["status"],
    )
    return _received(hook, row)


def note_refusal(refused: Refused) -> None:
    """Tell the hook's owner, at most every QUIET_SECONDS, and count it."""
    if not refused.hook["hook_id"]:
        return
    db.run(
        """UPDATE hooks SET last_refused_at = clock_timestamp(), last_refusal = %(why)s
           WHERE hook_id = %(id)s AND (last_refused_at IS NULL OR last_refused_at < clock_timestamp()
               - %(quiet)s * interval '1 s')""",
        id=refused.hook["hook_id"],
        why=refused.why[:200],
        quiet=QUIET_SECONDS,
    )


def _do(hook: Row, message: reading.Message) -> Row:
    delivery_id = keeping.new_id()
    if hook["provider"] == reading.SESSION:
        status, results = _command(hook, message)
    else:
        status, results = rules.run(hook, message, delivery_id)
    return {"delivery_id": delivery_id, "event": message.event, "status": status, "results": results}


def _command(hook: Row, message: reading.Message) -> tuple[str, list[dict[str, Any]]]:
    done = commands.carry_out(message.body, actions.owner(hook["owner"]))
    return "done", [{"status": done.status, "body": done.body}]


def _kept(hook: Row, message: reading.Message, body: bytes) -> bytes:
    """The body as it came; of a session's command without what the agents it hands work to call secret."""
    secret = frozenset(commands.secret_places(message.body)) if hook["provider"] == reading.SESSION else ()
    if not secret:
        return body
    shallow = orjson.loads(dumps(message.body))  # ends where nobody looks for secrets any more
    return dumps(secrecy.masked(shallow, secret)).encode()


def _received(hook: Row, row: Row, *, duplicate: bool = False) -> Received:
    first = row["results"][0] if hook["provider"] == reading.SESSION else None
    return Received(
        hook=hook["slug"],
        provider=hook["provider"],
        delivery_id=row["delivery_id"],
        event=row["event"],
        status=row["status"],
        duplicate=duplicate,
        results=row["results"],
        answer=(first["status"], first["body"]) if first else None,
    )


def _made(hook: Row, outside: Outside) -> Row:
    """The row of a hook that WEBHOOK_SECRET opened for the first time; it is the first admin's."""
    hook_id, slug = str(uuid_utils.compat.uuid7()), hook["slug"]
    owner = db.value(
        "SELECT user_id::text FROM users WHERE email = lower(%(email)s)", email=outside.admin_email
    )
    if owner is None:
        raise Unauthenticated("There is no first admin whom WEBHOOK_SECRET could act for; see ADMIN_EMAIL.")
    made = db.run(
        """INSERT INTO hooks (hook_id, slug, name, provider, owner, secret)
           VALUES (%(id)s, %(slug)s, 'By WEBHOOK_SECRET', %(provider)s, %(owner)s, %(secret)s)
           ON CONFLICT (slug) DO NOTHING""",
        id=hook_id,
        slug=slug,
        provider=SHARED[slug],
        owner=owner,
        secret=signatures.sealed(hook_id, signatures.fresh(SHARED[slug])),
    )
    if made:
        details = {"slug": slug, "provider": SHARED[slug], "by": "WEBHOOK_SECRET"}
        audit.record("hook.created", actor=owner, subject=hook_id, details=details)
    return admit(slug, ip=None, outside=Outside(secret=outside.secret))


def within(ip: str | None, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the networks; in none is everywhere."""
    wanted = [ipaddress.ip_network(each) for each in networks]
    if not wanted:
        return True
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in each for each in wanted)
