"""GET /agents: who can be asked, whether they can run now, and how to ask them."""

from __future__ import annotations

import json
from itertools import groupby
from pprint import pformat
from typing import Any

from flask import render_template

from app.accounts.permissions import demand, may
from app.agents import importing, registry, versions
from app.agents.registry import AgentRecord
from app.dashboard import agent_figures, agent_limits, forms
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking, settings

REFRESH_MS = 15_000
BY_TEAM = "team"


def page() -> str:
    """GET /agents."""
    demand(asking(), "view_agents")
    agents = registry.all_agents()
    return render_template(
        "agents/page.html",
        listing=LISTING.embed({"sort": _sort()} if _sort() != BY_TEAM else None),
        count=len(agents),
        problems=importing.problems() if may(asking(), "configure_agent") else [],
    )


def _listing() -> Context:
    demand(asking(), "view_agents")
    lines = agent_figures.lines(registry.all_agents(), asking())
    if _sort() == BY_TEAM:
        teams = groupby(lines, key=lambda line: line["agent"].team)
        groups = [(team_name(team), list(found)) for team, found in teams]
    else:
        groups = [("", agent_figures.in_order(lines, _sort()))] if lines else []
    return {
        "groups": groups,
        "sort": _sort(),
        "columns": agent_figures.COLUMNS,
        "poll": every(REFRESH_MS),
    }


def _sort() -> str:
    word = asked().get("sort", BY_TEAM)
    return word if word in agent_figures.ORDERS else BY_TEAM


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
        curl=_curl(agent.agent_id, _example(agent)),
        limits=agent_limits.PANEL.embed(agent_id=agent.agent_id),
        python=_python(agent.agent_id, _example(agent)),
        versions=versions.listing(agent.agent_id, 20),
        problems=importing.problems(agent.agent_id) if may(asking(), "configure_agent") else [],
    )


def _example(agent: AgentRecord) -> dict[str, Any]:
    """Parameters to show how it is called: its own example, or something for each that must be there."""
    if agent.example is not None:
        return agent.example
    rules = forms.rules_of(agent.schema)
    return {name: _sample(rules.get(name, {})) for name in agent.schema.get("required", ())}


def _sample(rule: dict[str, Any]) -> Any:
    if "default" in rule or "enum" in rule:
        return rule.get("default", rule.get("enum", [None])[0])
    samples = {"string": "…", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    return samples.get(str(rule.get("type")), "…")


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
        for name, rule in forms.rules_of(schema).items()
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


def _python(agent_id: str, example: dict[str, Any]) -> str:
    order = pformat({"agent_id": agent_id, "parameters": example}, width=80, indent=4, sort_dicts=False)
    return render_template("agents/usage.txt", base=repr(settings().public_url), order=order)


LISTING = Panel(name="agents", template="agents/_list.html", read=_listing)
