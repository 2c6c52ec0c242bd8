"""GET /agents: who can be asked, whether they can run now, and how to ask them."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from flask import render_template

from app.accounts.permissions import demand
from app.agents import registry
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking, settings

REFRESH_MS = 15_000


def page() -> str:
    """GET /agents."""
    demand(asking(), "view_agents")
    agents = registry.all_agents()
    return render_template("agents/page.html", listing=LISTING.embed(), count=len(agents))


def _listing() -> Context:
    demand(asking(), "view_agents")
    teams = groupby(registry.all_agents(), key=lambda agent: agent.team)
    return {"teams": [(team_name(team), list(agents)) for team, agents in teams], "poll": every(REFRESH_MS)}


def team_name(team: str) -> str:
    """`MARKETING_TEAM` as people say it: `Marketing team`."""
    return team.replace("_", " ").capitalize()


def detail(agent_id: str) -> str:
    """GET /agents/<agent_id>: what it does, what it takes, an example that runs, and the command for it."""
    demand(asking(), "view_agents")
    agent = registry.get(agent_id)
    return render_template(
        "agents/detail.html",
        agent=agent,
        team=team_name(agent.team),
        rows=_rows(agent.schema),
        curl=_curl(agent.agent_id, agent.example or {}),
    )


def _rows(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema as lines of a table."""
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "type": _type(rule),
            "required": name in required,
            "default": json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else "",
            "description": rule.get("description", ""),
            "limits": _limits(rule),
        }
        for name, rule in schema.get("properties", {}).items()
    ]


def _type(rule: dict[str, Any]) -> str:
    kind = rule.get("type", "any")
    if kind == "array":
        return f"list of {rule.get('items', {}).get('type', 'any')}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _limits(rule: dict[str, Any]) -> str:
    """What the value must fit, in words."""
    said = [", ".join(str(choice) for choice in rule["enum"])] if "enum" in rule else []
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "maxItems": "at most {} entries",
        "pattern": "matches {}",
    }
    return "; ".join(
        said + [text.format(rule[name]) for name, text in words.items() if rule.get(name) not in (None, 1)]
    )


def _curl(agent_id: str, example: dict[str, Any]) -> str:
    body = json.dumps({"agent_id": agent_id, "parameters": example}, indent=2, ensure_ascii=False).replace(
        "'", "'\\''"
    )
    return (
        f"curl -sS {settings().public_url}/api/v1/jobs \\\n"
        '  -H "Authorization: Bearer $CALLBOARD_API_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )


LISTING = Panel(name="agents", template="agents/_list.html", read=_listing)
