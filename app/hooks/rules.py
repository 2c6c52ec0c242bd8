"""What becomes of a delivery: every enabled rule that fits it, in order; one that fails is noted, and others go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg2

from app.accounts.permissions import Principal
from app.db import AWAY, Row, db
from app.errors import CallboardError
from app.hooks import actions, changes, matching, queries
from app.hooks.actions import Occasion
from app.hooks.reading import PING, Message
from app.observe import logs

log = logs.get(__name__)


def run(hook: Row, message: Message, delivery_id: str) -> tuple[str, list[dict[str, Any]]]:
    """Do what the rules say: (done, ignored or failed; and for each rule that fits {rule_id, name, …} or an error).

    In the transaction of the caller, each rule in a savepoint of its own.
    """
    fitting = [each for each in queries.rules(hook["hook_id"]) if each["enabled"] and _fits(each, message)]
    if not fitting:
        return "ignored", []
    try:
        who = actions.owner(hook["owner"])
    except CallboardError as why:
        return "failed", [_said(each, {"error": why.message}) for each in fitting]
    occasion = Occasion(
        who=who,
        hook=hook["slug"],
        delivery_id=delivery_id,
        external_id=message.external_id,
        event=message.event,
        body=message.body,
    )
    results = [_said(each, _do(each, occasion)) for each in fitting]
    return "failed" if any("error" in each for each in results) else "done", results


def try_rule(
    hook: Row,
    *,
    who: Principal,
    events: list[str],
    conditions: list[dict[str, Any]],
    action: dict[str, Any],
    message: Message,
) -> dict[str, Any]:
    """What a rule would do with a message, without doing it: {fits, why, would?, error?}.

    `who` is the hook's owner; raises Invalid for a rule that could not be kept.
    """
    kept = changes.checked_rule(who, events, conditions, action)
    if not matching.event_fits(events, message.event):
        return {"fits": False, "why": f"the event is {message.event}"}
    if failing := matching.failing(conditions, message.body):
        return {"fits": False, "why": f"not so: {matching.said(failing)}"}
    occasion = Occasion(
        who=who,
        hook=hook["slug"],
        delivery_id="",
        external_id=message.external_id,
        event=message.event,
        body=message.body,
    )
    try:
        return {"fits": True, "why": None, "would": actions.try_out(kept, occasion)}
    except CallboardError as wrong:
        return {"fits": True, "why": None, "error": wrong.message}


def _fits(rule: Row, message: Message) -> bool:
    """A ping says only that somebody can reach us; only a rule that names it hears of it."""
    patterns = [each for each in rule["events"] if each != "*"] if message.event == PING else rule["events"]
    return (
        matching.event_fits(patterns, message.event)
        and matching.failing(rule["conditions"], message.body) is None
    )


def _do(rule: Row, occasion: Occasion) -> dict[str, Any]:
    db.run("SAVEPOINT one_rule")
    try:
        made = actions.carry_out(rule["action"], replace(occasion, rule_id=rule["rule_id"]))
    except AWAY:
        raise
    except (CallboardError, psycopg2.Error) as why:
        db.run("ROLLBACK TO SAVEPOINT one_rule")
        log.warning("hook.rule_failed", hook=occasion.hook, rule_id=rule["rule_id"], error=type(why).__name__)
        return {"error": why.message if isinstance(why, CallboardError) else "a value cannot be stored"}
    db.run("RELEASE SAVEPOINT one_rule")
    return made


def _said(rule: Row, made: dict[str, Any]) -> dict[str, Any]:
    return {"rule_id": rule["rule_id"], "name": rule["name"], **made}
