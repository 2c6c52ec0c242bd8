"""The panel on an agent's page that says what it may do now: health, holds, places, rate, budget, providers, watchdog."""

from __future__ import annotations

from app.accounts.permissions import demand, own_only
from app.agents import registry
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.jobs import explain

REFRESH_MS = 5000


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


PANEL = Panel(name="agent_limits", template="agents/_limits.html", read=_limits)
