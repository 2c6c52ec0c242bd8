"""Whether the agents could run here: asked of their runners, kept in the registry for everybody to see."""

from __future__ import annotations

from actors.runners import get as runner_named
from app.agents import registry


def note_health(pools: tuple[str, ...], *, http_allow_private: bool = False) -> None:
    """Ask the runner of each agent of `pools` and write down what it says."""
    found: dict[str, tuple[str, str | None]] = {}
    registry.forget()
    for agent in registry.all_agents():
        if agent.pool in pools:
            health = runner_named(agent.runner).health(
                agent.runner_config | {"http_allow_private": http_allow_private}
            )
            found[agent.agent_id] = (health.status, health.reason)
    registry.note_health(found)
