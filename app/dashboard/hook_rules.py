"""GET /hook/<id>/rules/<id>: what a delivery becomes: the form of a rule, trying it, and the order of rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from app.agents import registry
from app.dashboard import actions, forms, hook_words, sessions_seen
from app.dashboard.hooks import MANAGE, done, found, shown
from app.db import Row, db
from app.errors import Conflict, Invalid, NotFound
from app.hooks import actions as hook_actions
from app.hooks import changes, matching, queries, reading, rules
from app.jobs.states import PRIORITIES
from app.sessions.commands import COMMANDS
from app.workflows import templates

JSON = dict[str, Any]
Typed = dict[str, Any]
Wrong = dict[str, str]

TEXTS = ("name", "events", "enabled", "kind", "agent_id", "parameters", "priority", "task_name", "tags",
         "job_session_id", "template", "inputs", "command", "session_id", "payload", "create", "delivery")  # fmt: skip
PARTS = ("path", "is", "value")
KINDS = {
    "job": "Submit a job",
    "workflow": "Start a workflow",
    "session": "Send a command to a session",
}
OBJECTS = {"job": "parameters", "workflow": "inputs", "session": "payload"}
SPARE_CONDITIONS = 2
TRIED = 20
"""Deliveries to choose from when a rule is tried."""
LONGEST_NAME = 200


def new(hook_id: str) -> str:
    """GET /hook/<hook_id>/new-rule."""
    hook = found(hook_id, MANAGE)
    start: Typed = {"kind": "session" if hook["provider"] == "session" else "job", "enabled": "on", "parameters": "{}",
             "inputs": "{}", "payload": "{}", "priority": "normal", "conditions": []}  # fmt: skip
    return _form(hook, None, start, {})


def adding(hook_id: str) -> AnyResponse:
    """POST /hook/<hook_id>/new-rule: the hook's page, or the form again: wrong, or tried (`do=try`)."""
    return _sent(found(hook_id, MANAGE), None)


def edit(hook_id: str, hook_rule_id: str) -> str:
    """GET /hook/<hook_id>/rules/<hook_rule_id>."""
    hook = found(hook_id, MANAGE)
    row = queries.rule(hook["hook_id"], actions.checked_id(hook_rule_id))
    return _form(hook, row, _as_typed(row), {})


def changing(hook_id: str, hook_rule_id: str) -> AnyResponse:
    """POST /hook/<hook_id>/rules/<hook_rule_id>."""
    hook = found(hook_id, MANAGE)
    return _sent(hook, queries.rule(hook["hook_id"], actions.checked_id(hook_rule_id)))


def _sent(hook: Row, row: Row | None) -> AnyResponse:
    typed, tries = _typed(), request.form.get("do") == "try"
    try:
        wish = _wish(typed)
        if tries:
            return make_response(_form(hook, row, typed, {}, tried=_tried(hook, typed, wish)))
        return _kept(hook, row, wish)
    except (Invalid, Conflict) as wrong:
        db.session.rollback()
        return make_response(_form(hook, row, typed, _complaints(typed, wrong)), 422)


def _kept(hook: Row, row: Row | None, wish: JSON) -> AnyResponse:
    who = hook_actions.owner(hook["owner"])
    if row is None:
        made = changes.add_rule(hook["hook_id"], who=who, **wish)
        words, action = "The rule holds from now on.", "hook.rule_added"
    else:
        made = changes.change_rule(hook["hook_id"], row["rule_id"], who=who, **wish)
        words, action = "The rule is changed.", "hook.rule_changed"
    return done(hook["hook_id"], action, words, rule_id=made["rule_id"], name=made["name"])


def _tried(hook: Row, typed: Typed, wish: JSON) -> JSON:
    """What the rule would do with a delivery of the past; nothing is done."""
    kept = queries.whole(actions.checked_id(typed["delivery"])) if typed["delivery"] else None
    if kept is None or kept["hook_id"] != hook["hook_id"]:
        raise Invalid("Choose a delivery to try it with.", [("/delivery", "choose one that came in here")])
    message = reading.again(kept["event"], kept["headers"], kept["body"], kept["external_id"])
    who = hook_actions.owner(hook["owner"])
    only = {name: wish[name] for name in ("events", "conditions", "action")}
    return rules.try_rule(hook, who=who, message=message, **only) | {"event": kept["event"]}


# -- what is typed


def _typed() -> Typed:
    lists = [request.form.getlist(f"condition_{part}") for part in PARTS]
    rows = [
        dict(zip(PARTS, (each.replace("\x00", "").strip() for each in row), strict=True))
        for row in zip(*lists, strict=False)
    ]
    return sessions_seen.typed(*TEXTS) | {"conditions": [row for row in rows if row["path"] or row["value"]]}


def _wish(typed: Typed) -> JSON:
    """What is typed as the room takes it; Invalid says what cannot even be read."""
    if not 1 <= len(typed["name"]) <= LONGEST_NAME:
        raise Invalid("The rule needs a name.", [("/name", f"must be 1 to {LONGEST_NAME} characters")])
    return {
        "name": typed["name"],
        "events": sessions_seen.words(typed["events"]),
        "conditions": [_condition(row) for row in typed["conditions"]],
        "action": _action(typed),
        "enabled": typed["enabled"] == "on",
    }


def _condition(row: dict[str, str]) -> JSON:
    return {"path": row["path"], "is": row["is"], "value": _value(row["is"], row["value"])}


def _value(verb: str, text: str) -> Any:
    """What is compared with: JSON where it is some (true, 5, "5"), else the text; of `in` a list."""
    if not text and verb == "exists":
        return None
    try:
        value = forms.json_value(text)
    except ValueError:
        value = text
    if verb == "in" and not isinstance(value, list):
        return sessions_seen.words(text)
    return text if verb in ("matches", "contains") and not isinstance(value, str) else value


def _action(typed: Typed) -> JSON:
    kind = typed["kind"]
    told = OBJECTS.get(kind)
    if told is None:
        raise Invalid("Choose what it does.", [("/kind", f"is not one of {', '.join(KINDS)}")])
    given = {told: forms.json_object(typed[told] or "{}", f"/{told}"), "kind": kind}
    return given | {name: value for name, value in _ACTIONS[kind](typed).items() if value}


_ACTIONS: dict[str, Callable[[Typed], JSON]] = {
    "job": lambda typed: {
        "agent_id": typed["agent_id"],
        "priority": typed["priority"],
        "tags": sessions_seen.words(typed["tags"]),
        "task_name": typed["task_name"],
        "session_id": typed["job_session_id"],
    },
    "workflow": lambda typed: {
        "template": typed["template"],
        "priority": typed["priority"],
        "tags": sessions_seen.words(typed["tags"]),
    },
    "session": lambda typed: {
        "command": typed["command"],
        "session_id": typed["session_id"],
        "create": typed["create"] == "on",
    },
}


def _as_typed(row: Row) -> Typed:
    """A rule as somebody would have typed it."""
    action = row["action"]
    plain = {name: str(action.get(name) or "") for name in TEXTS if name in action}
    objects = {
        name: json.dumps(action.get(name) or {}, indent=2, ensure_ascii=False) for name in OBJECTS.values()
    }
    conditions = [each | {"value": _shown(each.get("value"))} for each in row["conditions"]]
    return plain | objects | {
        "name": row["name"],
        "events": ", ".join(row["events"]),
        "enabled": "on" if row["enabled"] else "",
        "tags": ", ".join(action.get("tags") or ()),
        "create": "on" if action.get("create") else "",
        "job_session_id": action.get("session_id") or "" if action["kind"] == "job" else "",
        "conditions": conditions,
    }  # fmt: skip


def _shown(value: Any) -> str:
    """A value so that reading it again gives the same."""
    if value is None:
        return ""
    if isinstance(value, str) and _value("equals", value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _complaints(typed: Typed, wrong: Invalid | Conflict) -> Wrong:
    """Each complaint at its field: those of the action without their head, those of conditions by their number."""
    said: dict[str, list[str]] = {}
    for pointer, message in (wrong.fields if isinstance(wrong, Invalid) else ()) or [("", wrong.message)]:
        path = pointer.removeprefix("/action").strip("/").split("/")
        name, words = path[0], message
        if name == "conditions" and len(path) > 1:
            name, words = f"condition-{path[1]}", f"{' '.join(path[2:])} {message}".strip()
        elif name in OBJECTS.values() and len(path) > 1:
            words = f"{'/'.join(path[1:])}: {message}"
        elif name == "session_id" and typed["kind"] == "job":
            name = "job_session_id"
        said.setdefault(name, []).append(words)
    return {name: "; ".join(dict.fromkeys(messages)) for name, messages in said.items()}


def _form(hook: Row, row: Row | None, typed: Typed, wrong: Wrong, *, tried: JSON | None = None) -> str:
    spare = [dict.fromkeys(PARTS, "")] * SPARE_CONDITIONS
    past = [hook_words.delivery(each) for each in queries.deliveries(hook["hook_id"], limit=TRIED)]
    return render_template(
        "hooks/rule.html",
        hook=shown(hook),
        rule=row,
        typed=dict.fromkeys(TEXTS, "") | typed,
        wrong=wrong,
        conditions=[*typed["conditions"], *spare],
        verbs=list(matching.VERBS),
        kinds=KINDS,
        agents=registry.all_agents(),
        templates=templates.page(hook["owner"], False),
        commands=sorted(COMMANDS),
        priorities=PRIORITIES,
        past=past,
        tried=tried,
    )


# -- the order, and what is done to one


def act(hook_id: str, hook_rule_id: str, verb: str) -> AnyResponse:
    """POST /hook/<hook_id>/rules/<hook_rule_id>/<verb>: up, down, on, off or delete."""
    hook = found(hook_id, MANAGE)
    row = queries.rule(hook["hook_id"], actions.checked_id(hook_rule_id))
    if verb not in _VERBS:
        raise NotFound
    words = _VERBS[verb](hook, row)
    return done(hook["hook_id"], f"hook.rule_{_NOTED[verb]}", words, rule_id=row["rule_id"], name=row["name"])


def _move(hook: Row, row: Row, step: int) -> str:
    order = [each["rule_id"] for each in queries.rules(hook["hook_id"])]
    at = order.index(row["rule_id"])
    to = min(len(order) - 1, max(0, at + step))
    order[at], order[to] = order[to], order[at]
    changes.order_rules(hook["hook_id"], order)
    return f"{row['name']} is now number {to + 1}."


def _switch(hook: Row, row: Row, *, enabled: bool) -> str:
    changes.change_rule(
        hook["hook_id"], row["rule_id"], who=hook_actions.owner(hook["owner"]), enabled=enabled
    )
    return f"{row['name']} is {'on' if enabled else 'off'}."


def _delete(hook: Row, row: Row) -> str:
    changes.delete_rule(hook["hook_id"], row["rule_id"])
    return f"{row['name']} is deleted."


_VERBS: dict[str, Callable[[Row, Row], str]] = {
    "up": lambda hook, row: _move(hook, row, -1),
    "down": lambda hook, row: _move(hook, row, 1),
    "on": lambda hook, row: _switch(hook, row, enabled=True),
    "off": lambda hook, row: _switch(hook, row, enabled=False),
    "delete": _delete,
}
_NOTED = {"up": "moved", "down": "moved", "on": "changed", "off": "changed", "delete": "deleted"}
