"""What hooks received and what became of it, in words and links; the list of it on the page of a hook."""

from __future__ import annotations

import json
from typing import Any

from flask import url_for

from app.accounts.permissions import demand
from app.dashboard import actions, links
from app.dashboard.htmx import Context, Panel, asked, every, number
from app.dashboard.session import asking
from app.dashboard.words import Look, look
from app.db import Row
from app.hooks import queries

REFRESH_MS = 5_000
LISTED = 30
LONGEST_EVENT = 200
OUTCOMES = {
    "done": Look("Taken", "check", "green"),
    "ignored": Look("No rule fits", "dash", "grey"),
    "failed": Look("Failed", "cross", "red"),
}


def rule(row: Row) -> Row:
    """A rule as its list says it."""
    return row | {
        "says": [_condition(each) for each in row["conditions"]],
        "does": does(row["action"]),
    }


def _condition(each: dict[str, Any]) -> str:
    """A condition in words: `pull_request.draft equals false`."""
    value = "" if each.get("value") is None else f" {json.dumps(each['value'], ensure_ascii=False)}"
    return f"{each['path']} {each['is'].replace('_', ' ')}{value}"


def does(action: dict[str, Any]) -> str:
    """What a rule makes of a delivery: `a job for copywriter`."""
    if action["kind"] == "job":
        where = f", in the session {action['session_id']}" if action.get("session_id") else ""
        return f"a job for {action['agent_id']}{where}"
    if action["kind"] == "workflow":
        return f"a run of the workflow {action['template']}"
    return f"the command {action['command']} to the session {action['session_id']}"


def delivery(row: Row) -> Row:
    """A delivery with what became of it."""
    return row | {
        "look": look(row["status"], OUTCOMES),
        "became": [became(each) for each in row["results"]],
        "href": url_for("dashboard.hook_delivery", hook_id=row["hook_id"], incoming_id=row["delivery_id"]),
        "replayed": links.person(row["replayed_by"]) if row["replayed_by"] else "",
    }


def became(result: Row) -> Row:
    """What one rule made of it: {rule, words, href, error}."""
    told = {"rule": result.get("name", ""), "words": "", "href": "", "error": result.get("error", "")}
    for kind in ("job", "workflow", "session"):
        if subject := result.get(f"{kind}_id"):
            words = f"{kind} {subject}" if kind == "session" else f"{kind} {str(subject)[-8:]}"
            return told | {"words": words, "href": links.to(kind, subject)}
    return told


def wanted() -> dict[str, str]:
    """What of it the address asks for; unknown words are ignored."""
    found = {
        "status": asked().get("status", ""),
        "event": asked().get("event", "").replace("\x00", "").strip(),
    }
    found["event"] = found["event"][:LONGEST_EVENT]
    if found["status"] not in OUTCOMES:
        found["status"] = ""
    before = {"before": asked()["before"]} if number(asked().get("before")) else {}
    return {name: word for name, word in found.items() if word} | before


def _came(hook_id: str) -> Context:
    row = queries.get(actions.checked_id(hook_id))
    demand(asking(), "view_hooks", row["owner"])
    only, before = wanted(), number(asked().get("before")) or None
    rows = queries.deliveries(
        row["hook_id"], status=only.get("status"), event=only.get("event"), before=before, limit=LISTED + 1
    )
    return {
        "deliveries": [delivery(each) for each in rows[:LISTED]],
        "hook_id": row["hook_id"],
        "next": rows[LISTED - 1]["position"] if len(rows) > LISTED else None,
        "before": before,
        "wanted": {name: word for name, word in only.items() if name != "before"},
        "provider": row["provider"],
        "poll": every(REFRESH_MS),
    }


CAME = Panel(name="hook_deliveries", template="hooks/_came.html", read=_came)
