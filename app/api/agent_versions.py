"""Every definition an agent had, and what changed from one to another."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import may
from app.agents import registry, versions
from app.api.auth import current_principal
from app.api.glue import op
from app.api.shapes import JSON, When
from app.db import Row

Version = Annotated[str, StringConstraints(pattern=r"^(v?[0-9]{1,9}|[0-9a-f]{16})$")]


class VersionOut(BaseModel):
    """One definition an agent had."""

    agent_id: str
    version: str = Field(description="Hash of its content.")
    number: int = Field(description="1 is the first.")
    current: bool
    origin: str | None = Field(description="Where it came from.")
    created_at: When


class VersionLine(VersionOut):
    """One definition in the list of all."""

    added: int | None = Field(description="Lines since the version before; null for the first.")
    removed: int | None


class VersionsOut(BaseModel):
    """The newest hundred definitions of an agent, newest first."""

    agent_id: str
    versions: list[VersionLine]


class VersionText(VersionOut):
    """One definition in full."""

    definition: str = Field(
        description="The file. Values under `env`, `headers`, `secrets` only for those who may configure agents."
    )
    overlay: JSON | None = Field(description="The keys of a sidecar that lie over it.")


class VersionDiff(BaseModel):
    """What changed from one definition to another."""

    agent_id: str
    before: VersionOut
    after: VersionOut
    added: int
    removed: int
    diff: str = Field(description="Unified.")


@op("GET", "/api/v1/agents/<agent_id>/versions", verb="view_agents", out=VersionsOut, errors=(404,))
def list_agent_versions(agent_id: str) -> dict[str, Any]:
    """List the definitions an agent had."""
    agent = registry.get(agent_id)
    return {"agent_id": agent.agent_id, "versions": versions.listing(agent.agent_id)}


@op("GET", "/api/v1/agents/<agent_id>/versions/<version>", verb="view_agents", out=VersionText, errors=(404,))
def get_agent_version(agent_id: str, version: Version) -> dict[str, Any]:
    """Show one definition of an agent, by its number (7 or v7) or its hash."""
    return _seen(registry.get(agent_id).agent_id, version)


@op(
    "GET",
    "/api/v1/agents/<agent_id>/versions/<before>/diff/<after>",
    verb="view_agents",
    out=VersionDiff,
    errors=(404,),
)
def compare_agent_versions(agent_id: str, before: Version, after: Version) -> dict[str, Any]:
    """Show what changed from one definition of an agent to another."""
    agent = registry.get(agent_id)
    old, new = _seen(agent.agent_id, before), _seen(agent.agent_id, after)
    change = versions.compared(old, new)
    return {
        "agent_id": agent.agent_id,
        "before": _named(old),
        "after": _named(new),
        "added": change.added,
        "removed": change.removed,
        "diff": change.diff,
    }


def _seen(agent_id: str, version: str) -> Row:
    found = versions.get(agent_id, version)
    return found if may(current_principal(), "configure_agent") else versions.hidden(found)


def _named(row: Row) -> Row:
    return {name: row[name] for name in VersionOut.model_fields}
