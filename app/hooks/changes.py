"""Making, changing and removing hooks and their rules. Who may, the doors ask; they also write the audit log."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final

import uuid_utils.compat

from app.accounts.permissions import Principal
from app.db import Row, as_json, db
from app.errors import Conflict, Invalid
from app.hooks import actions, matching, queries, signatures

PROVIDERS: Final = ("github", "standard", "session")
SHARED: Final = {"github": "github", "session": "session"}
"""Slugs, with their providers, that WEBHOOK_SECRET may open: only admins have hooks with these names."""
MOST_HOOKS = 50
MOST_RULES = 50
MOST_NETWORKS = 50
SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def create(
    slug: str,
    *,
    who: Principal,
    provider: str = "github",
    name: str = "",
    ip_allowlist: Sequence[str] = (),
    enabled: bool = True,
    secret: str | None = None,
) -> Row:
    """A new hook of `who` with its `secret`, which is shown this once; raises Invalid, Conflict."""
    _demand_fit(slug, provider, who, ip_allowlist, secret)
    _leave_room(who.user_id)
    hook_id, secret = str(uuid_utils.compat.uuid7()), secret or signatures.fresh(provider)
    row = db.row(
        f"""INSERT INTO hooks (hook_id, slug, name, provider, owner, secret, ip_allowlist, enabled)
            VALUES (%(id)s, %(slug)s, %(name)s, %(provider)s, %(owner)s, %(secret)s, %(networks)s, %(enabled)s)
            ON CONFLICT (slug) DO NOTHING RETURNING {queries.COLUMNS}""",
        id=hook_id,
        slug=slug,
        name=name,
        provider=provider,
        owner=who.user_id,
        secret=signatures.sealed(hook_id, secret),
        networks=list(ip_allowlist),
        enabled=enabled,
    )
    if row is None:
        raise Conflict(f"The address /hooks/{slug} is taken; choose another slug.")
    return row | {"secret": secret}


def change(hook_id: str, **values: Any) -> Row:
    """Change name, ip_allowlist or enabled; slug and provider stay, as the other side knows them. Raises NotFound."""
    after = queries.get(hook_id) | values
    if wrong := _wrong_networks(after["ip_allowlist"]):
        raise Invalid("The hook does not fit.", wrong)
    row = db.row(
        f"""UPDATE hooks SET name = %(name)s, ip_allowlist = %(networks)s, enabled = %(enabled)s,
                updated_at = clock_timestamp() WHERE hook_id = %(id)s RETURNING {queries.COLUMNS}""",
        id=hook_id,
        name=after["name"],
        networks=list(after["ip_allowlist"]),
        enabled=after["enabled"],
    )
    assert row is not None
    return row


def rotate(hook_id: str, *, secret: str | None = None) -> Row:
    """A new `secret`, shown this once; the old one counts for 24 hours more. Raises NotFound, Invalid."""
    provider = queries.get(hook_id)["provider"]
    if secret and (said := signatures.complaint(provider, secret)):
        raise Invalid("The secret does not fit.", [("/secret", said)])
    secret = secret or signatures.fresh(provider)
    row = db.row(
        f"""UPDATE hooks SET previous_secret = secret, secret = %(secret)s, updated_at = clock_timestamp(),
                previous_until = clock_timestamp() + %(hours)s * interval '1 hour'
            WHERE hook_id = %(id)s RETURNING {queries.COLUMNS}""",
        id=hook_id,
        secret=signatures.sealed(hook_id, secret),
        hours=signatures.OVERLAP_HOURS,
    )
    assert row is not None
    return row | {"secret": secret}


def delete(hook_id: str) -> None:
    """Forget a hook with its rules and what came in; jobs and runs stay. Raises NotFound."""
    queries.get(hook_id)
    db.run("DELETE FROM hooks WHERE hook_id = %(id)s", id=hook_id)


def add_rule(
    hook_id: str,
    *,
    who: Principal,
    name: str,
    events: list[str],
    action: dict[str, Any],
    conditions: list[dict[str, Any]] | None = None,
    enabled: bool = True,
) -> Row:
    """A new rule behind the others; `who` is the hook's owner, in whose name it will act. Raises Invalid, Conflict."""
    kept = _checked(who, events, conditions or [], action)
    queries.get(hook_id)
    if len(queries.rules(hook_id)) >= MOST_RULES:
        raise Conflict(f"A hook can have {MOST_RULES} rules; delete one first.")
    row = db.row(
        f"""INSERT INTO hook_rules (rule_id, hook_id, place, name, events, conditions, action, enabled)
            VALUES (%(id)s, %(hook)s,
                    (SELECT coalesce(max(place), 0) + 1 FROM hook_rules WHERE hook_id = %(hook)s),
                    %(name)s, %(events)s, %(conditions)s, %(action)s, %(enabled)s) RETURNING {queries.RULE}""",
        id=str(uuid_utils.compat.uuid7()),
        hook=hook_id,
        name=name,
        events=events,
        conditions=as_json(conditions or []),
        action=as_json(kept),
        enabled=enabled,
    )
    assert row is not None
    return row


def change_rule(hook_id: str, rule_id: str, *, who: Principal, **values: Any) -> Row:
    """Change name, events, conditions, action or enabled; what is left out stays. Raises NotFound, Invalid."""
    after = queries.rule(hook_id, rule_id) | values
    kept = after["action"]
    if values.keys() & {"events", "conditions", "action"}:
        kept = _checked(who, after["events"], after["conditions"], after["action"])
    row = db.row(
        f"""UPDATE hook_rules SET name = %(name)s, events = %(events)s, conditions = %(conditions)s,
                action = %(action)s, enabled = %(enabled)s, updated_at = clock_timestamp()
            WHERE rule_id = %(id)s RETURNING {queries.RULE}""",
        id=rule_id,
        name=after["name"],
        events=after["events"],
        conditions=as_json(after["conditions"]),
        action=as_json(kept),
        enabled=after["enabled"],
    )
    assert row is not None
    return row


def delete_rule(hook_id: str, rule_id: str) -> None:
    """Forget a rule; raises NotFound."""
    queries.rule(hook_id, rule_id)
    db.run("DELETE FROM hook_rules WHERE rule_id = %(id)s", id=rule_id)


def order_rules(hook_id: str, rule_ids: Sequence[str]) -> list[Row]:
    """Put the rules into this order; Invalid unless each of them is named once."""
    known = {each["rule_id"] for each in queries.rules(hook_id)}
    if len(rule_ids) != len(known) or set(rule_ids) != known:
        raise Invalid("Name each rule of the hook once.", [("/rule_ids", "must be all rules of the hook")])
    db.run(
        """UPDATE hook_rules r SET place = n.place, updated_at = clock_timestamp()
           FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS n(rule_id, place) WHERE r.rule_id = n.rule_id""",
        ids=list(rule_ids),
    )
    return queries.rules(hook_id)


def checked_rule(
    who: Principal, events: list[str], conditions: list[dict[str, Any]], action: dict[str, Any]
) -> dict[str, Any]:
    """The action of a rule as it would be kept; raises Invalid with all that is wrong with the rule."""
    return _checked(who, events, conditions, action)


def _checked(
    who: Principal, events: list[str], conditions: list[dict[str, Any]], action: dict[str, Any]
) -> dict[str, Any]:
    wrong = matching.complaints(events, conditions)
    kept: dict[str, Any] = {}
    try:
        kept = actions.checked(action, who)
    except Invalid as unfit:
        wrong += unfit.fields
    if wrong:
        raise Invalid(f"The rule does not fit: {wrong[0][0]} {wrong[0][1]}", wrong)
    return kept


def _demand_fit(
    slug: str, provider: str, who: Principal, networks: Sequence[str], secret: str | None
) -> None:
    wrong = _wrong_networks(networks)
    if not SLUG.fullmatch(slug):
        wrong.append(("/slug", "must be small letters, digits and -, at most 63, and not begin with -"))
    if provider not in PROVIDERS:
        wrong.append(("/provider", f"is not one of {', '.join(PROVIDERS)}"))
    elif slug in SHARED and SHARED[slug] != provider:
        wrong.append(("/provider", f"the hook {slug} is one of {SHARED[slug]}"))
    if slug in SHARED and not who.is_admin:
        wrong.append(("/slug", "is for admins; choose another"))
    if secret and provider in PROVIDERS and (said := signatures.complaint(provider, secret)):
        wrong.append(("/secret", said))
    if wrong:
        raise Invalid(f"The hook does not fit: {wrong[0][0]} {wrong[0][1]}", wrong)


def _wrong_networks(networks: Sequence[str]) -> list[tuple[str, str]]:
    wrong = [("/ip_allowlist", f"at most {MOST_NETWORKS}")] if len(networks) > MOST_NETWORKS else []
    for n, each in enumerate(networks):
        try:
            ipaddress.ip_network(each)
        except ValueError as said:
            wrong.append((f"/ip_allowlist/{n}", f"is no network: {said}"))
    return wrong


def _leave_room(owner: str) -> None:
    if db.value("SELECT count(*) FROM hooks WHERE owner = %(owner)s", owner=owner) >= MOST_HOOKS:
        raise Conflict(f"There can be {MOST_HOOKS} hooks of one person; delete one first.")
