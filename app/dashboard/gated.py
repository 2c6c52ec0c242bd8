"""Which gate an agent's results go through, and where in a result that gate finds the text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from app.agents import registry
from app.errors import Invalid, NotFound
from app.quality import gates


@lru_cache(maxsize=1024)
def _declared(agent_id: str, version: str) -> str | dict[str, Any] | None:
    """What a definition says of its gate; a version never changes."""
    return registry.definition_of(agent_id, version).ours.gate


def gate_of(agent_id: str, version: str | None) -> str | dict[str, Any] | None:
    """The name of the gate that a version of an agent has, or the gate that is written in it; None for none."""
    try:
        return _declared(agent_id, version or "")
    except (NotFound, Invalid):  # it is gone, or was written for an older Callboard
        return None


def users() -> dict[str, list[str]]:
    """The agents that name a gate, by its name."""
    found: dict[str, list[str]] = {}
    for agent in registry.all_agents():
        gate = gate_of(agent.agent_id, agent.version)
        if isinstance(gate, str):
            found.setdefault(gate, []).append(agent.agent_id)
    return found


def text_at(agent_id: str, version: str | None, judged_by: dict[str, Any] | None = None) -> str | None:
    """The path of the text in the agent's results, by the gate that judged one if that has a name; None: the usual place."""
    name = (judged_by or {}).get("name")
    gate = str(name) if name else gate_of(agent_id, version)
    if isinstance(gate, str):
        try:
            gate = gates.named(gate, (judged_by or {}).get("version"), archived=True)["definition"]
        except NotFound:
            return None
    path = (gate or {}).get("of") if isinstance(gate, dict) else None
    return path if isinstance(path, str) else None
