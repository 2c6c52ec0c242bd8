"""Agents: what can be run, what it takes, and whether it could run now."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from app import audit
from app.agents import registry
from app.api import conditional
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import JSON, When

# A rate of nothing would hold an agent's jobs back for ever; `enabled: false` says that better.
Rate = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}/(s|second|m|minute|h|hour|d|day)$")]


class AgentsQuery(Input):
    """Which agents."""

    team: Annotated[str, StringConstraints(max_length=50)] | None = None


class Health(BaseModel):
    """Whether an agent could run now, and if not why."""

    status: str
    reason: str | None


class AgentOut(BaseModel):
    """What can be run."""

    agent_id: str
    agent_name: str
    team: str
    pool: str
    runner: str
    description: str
    schema_: JSON = Field(alias="schema", description="JSON Schema of its parameters.")
    output_schema: JSON | None
    example: JSON | None = Field(description="Parameters that work.")
    max_concurrent_tasks: int | None = Field(description="null: no limit.")
    rate_limit: str | None = Field(description="Like 10/minute; null: no limit.")
    max_retries: int
    retry_strategy: str
    timeout_seconds: int | None
    budget: JSON | None = Field(description="Of each job: usd, tokens, minutes; null: none of its own.")
    watchdog: JSON | None = Field(description="mode, stall_seconds, repeats.")
    providers: list[str] | None = Field(description="Its own chain of models; null: the common one.")
    effects: list[str] = Field(
        description="What it does to the world outside; policies may ask people first."
    )
    aliases: list[str] = Field(description="Other names it answers to.")
    source: str = Field(description="catalog, import, plugin:…, or the folder it is read from.")
    enabled: bool
    version: str = Field(description="Of the definition; GET …/versions lists all.")
    health: Health
    last_heartbeat: When | None


class AgentsOut(BaseModel):
    """All agents, by team."""

    agents: list[AgentOut]
    total: int


class AgentPatch(Input):
    """What is to change; null lifts a limit."""

    enabled: bool = Field(True, description="false: its jobs wait.")
    max_concurrent_tasks: int | None = Field(None, ge=1, le=1000)
    rate_limit: Rate | None = None
    as_defined: list[Literal["max_concurrent_tasks", "rate_limit"]] = Field(
        default_factory=list, max_length=2, description="Limits that are to follow the definition again."
    )


class AgentGone(BaseModel):
    """What became of an agent that nobody wants any more."""

    agent_id: str
    outcome: Literal["removed", "retired"] = Field(
        description="retired: it has jobs, which keep it; it was switched off."
    )


class SchemaOut(BaseModel):
    """What an agent takes."""

    agent_id: str
    schema_: JSON = Field(alias="schema")
    example: JSON | None


class AgentHealthOut(BaseModel):
    """Whether an agent could run now."""

    agent_id: str
    status: str
    reason: str | None
    last_heartbeat: When | None


class AgentDocsOut(BaseModel):
    """What its author wrote."""

    agent_id: str
    description: str
    instructions: str = Field(description="Markdown.")
    example: JSON | None


@op("GET", "/api/v1/agents", verb="view_agents", out=AgentsOut)
def list_agents(query: AgentsQuery) -> dict[str, Any]:
    """List agents."""
    found = [registry.public(agent) for agent in registry.all_agents(query.team)]
    return {"agents": found, "total": len(found)}


@op("GET", "/api/v1/agents/<agent_id>", verb="view_agents", out=AgentOut, errors=(404,))
def get_agent(agent_id: str) -> dict[str, Any]:
    """Show an agent."""
    return registry.public(registry.get(agent_id))


@op("PATCH", "/api/v1/agents/<agent_id>", verb="configure_agent", out=AgentOut, errors=(404,))
def configure_agent(agent_id: str, body: AgentPatch) -> dict[str, Any]:
    """Switch an agent on or off, or change its limits; what is left out stays as it is.

    Limits set here outlive new versions of the definition.
    """
    agent, given = registry.get(agent_id), body.model_dump(exclude_unset=True)
    if "enabled" in given:
        registry.enable(agent.agent_id, body.enabled)
    limits: dict[str, Any] = {
        name: given[name] for name in ("max_concurrent_tasks", "rate_limit") if name in given
    }
    if limits or body.as_defined:
        registry.configure(agent.agent_id, limits, body.as_defined)
    audit.record("agent.configured", actor=current_principal().user_id, subject=agent.agent_id, details=given)
    return registry.public(registry.get(agent_id))


@op("DELETE", "/api/v1/agents/<agent_id>", verb="configure_agent", out=AgentGone, errors=(404, 409))
def remove_agent(agent_id: str) -> dict[str, Any]:
    """Take an imported agent away; one that has jobs is retired instead.

    Agents of the catalogue, of plugins and of folders would be back at the next start: switch them off.
    """
    agent = registry.get(agent_id)
    outcome = registry.remove(agent.agent_id)
    audit.record(f"agent.{outcome}", actor=current_principal().user_id, subject=agent.agent_id)
    return {"agent_id": agent.agent_id, "outcome": outcome}


@op(
    "GET",
    "/api/v1/agents/<agent_id>/schema",
    verb="view_agents",
    out=SchemaOut,
    errors=(404,),
    conditional=True,
)
def get_agent_schema(agent_id: str) -> Answer:
    """Show what an agent takes, as JSON Schema."""
    agent = registry.get(agent_id)
    body = {"agent_id": agent.agent_id, "schema": agent.schema, "example": agent.example}
    return conditional.answer(f'"{agent.version}"', lambda: body)


@op("GET", "/api/v1/agents/<agent_id>/health", verb="view_agents", out=AgentHealthOut, errors=(404,))
def get_agent_health(agent_id: str) -> dict[str, Any]:
    """Say whether an agent could run now, and if not why."""
    agent = registry.get(agent_id)
    return {"agent_id": agent.agent_id, **agent.health, "last_heartbeat": agent.health_at}


@op("GET", "/api/v1/agents/<agent_id>/docs", verb="view_agents", out=AgentDocsOut, errors=(404,))
def get_agent_docs(agent_id: str) -> dict[str, Any]:
    """Show what an agent's author wrote about it."""
    agent = registry.get(agent_id)
    return {field: getattr(agent, field) for field in AgentDocsOut.model_fields}
