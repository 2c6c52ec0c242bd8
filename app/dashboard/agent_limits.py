"""What an agent may do now: a panel on its page; and the form by which an admin gives it other limits."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, own_only
from app.agents import params, registry
from app.agents.registry import AgentRecord
from app.dashboard import actions, forms
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.db import db
from app.errors import Invalid
from app.jobs import explain

REFRESH_MS = 5000
LIMITS = ("max_concurrent_tasks", "rate_limit")
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "max_concurrent_tasks": {
            "type": "integer",
            "title": "Jobs at once",
            "minimum": 1,
            "maximum": 1000,
            "description": "Empty: no limit.",
        },
        "rate_limit": {
            "type": "string",
            "title": "Starts",
            "pattern": "^[1-9][0-9]{0,5}/(s|second|m|minute|h|hour|d|day)$",
            "examples": ["10/minute"],
            "description": "So many in a time, like 10/minute or 100/hour. Empty: no limit.",
        },
    },
}


def _limits(agent_id: str) -> Context:
    demand(asking(), "view_agents")
    agent = registry.get(agent_id)
    limited = agent.max_concurrent_tasks is not None
    return {
        "agent": agent,
        "holds": registry.holds(agent.agent_id),
        "taken": explain.places(agent.agent_id, own_only(asking(), "view_task")) if limited else None,
        "poll": every(REFRESH_MS),
    }


def page(agent_id: str) -> str:
    """GET /agents/<agent_id>/limits: its form."""
    demand(asking(), "configure_agent")
    agent = registry.get(agent_id)
    now = {name: getattr(agent, name) for name in LIMITS if getattr(agent, name) is not None}
    return _form(agent, forms.filled_with(_FORM, now), {})


def save(agent_id: str) -> AnyResponse:
    """POST /agents/<agent_id>/limits: to the agent's page, or the form again with what is wrong with it."""
    demand(asking(), "configure_agent")
    agent, typed = registry.get(agent_id), forms.typed(_FORM, request.form)
    try:
        read = forms.parameters(_FORM, typed)
        params.check(_FORM, read)
    except Invalid as wrong:
        return make_response(_form(agent, typed, forms.complaints(wrong)), 422)
    limits = {name: read.get(name) for name in LIMITS}
    registry.configure(agent.agent_id, {n: v for n, v in limits.items() if v != getattr(agent, n)})
    return _done(agent, "Its limits are changed; they outlive new versions of its file.", **limits)


def reset(agent_id: str) -> AnyResponse:
    """POST /agents/<agent_id>/limits/reset: its limits follow its file again."""
    demand(asking(), "configure_agent")
    agent = registry.get(agent_id)
    registry.configure(agent.agent_id, {}, LIMITS)
    return _done(agent, "Its limits are those of its file again.", as_defined=list(LIMITS))


def _done(agent: AgentRecord, words: str, **details: Any) -> AnyResponse:
    actions.noted("agent.configured", agent.agent_id, **details)
    db.session.commit()
    flash(f"{agent.agent_name}: {words}", "green")
    at_queues = (request.referrer or "").partition("?")[0].endswith(url_for("dashboard.queues"))
    back = url_for("dashboard.queues") if at_queues else url_for("dashboard.agent", agent_id=agent.agent_id)
    return redirect(back, 303)


def _form(agent: AgentRecord, typed: dict[str, str], wrong: dict[str, str]) -> str:
    defined = registry.defined_limits(registry.definition_of(agent.agent_id, agent.version))
    return render_template(
        "agents/limits.html",
        agent=agent,
        defined=defined,
        fields=forms.fields(_FORM, typed, wrong),
        wrong=wrong,
    )


PANEL = Panel(name="agent_limits", template="agents/_limits.html", read=_limits)
