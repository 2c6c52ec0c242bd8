"""The registry: which agents there are, installed from definitions, found by id."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from app.agents.definition import Definition, parse, per_second
from app.db import as_json, db
from app.errors import AgentNotFound, NotFound

CACHE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class AgentRecord:
    """One agent as the registry has it now."""

    agent_id: str
    agent_name: str
    description: str
    team: str
    pool: str
    runner: str
    runner_config: dict[str, Any]
    schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    example: dict[str, Any] | None
    instructions: str
    max_concurrent_tasks: int | None
    rate_limit: str | None
    retry_strategy: str
    max_retries: int
    timeout_seconds: int | None
    enabled: bool
    gated: bool
    source: str
    version: str
    updated_at: Any
    health_status: str | None
    health_reason: str | None
    health_at: Any

    @property
    def health(self) -> dict[str, str | None]:
        """What the workers found: {status: ready | degraded | unavailable, reason}."""
        if not self.enabled:
            return {"status": "unavailable", "reason": "switched off by an admin"}
        if self.health_status is None:
            return {"status": "unavailable", "reason": "no worker has looked at it yet"}
        return {"status": self.health_status, "reason": self.health_reason}


_COLUMNS = ", ".join(AgentRecord.__dataclass_fields__)


def normal_id(agent_id: str) -> str:
    """`claude_code` and `Claude-Code` both mean `claude-code` (requirements 0.4)."""
    return agent_id.strip().lower().replace("_", "-")


class _Shelf:
    """Agents read a moment ago: each web process reads the table at most every CACHE_SECONDS."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentRecord] = {}
        self.read_at = -CACHE_SECONDS

    def get(self) -> dict[str, AgentRecord]:
        if time.monotonic() - self.read_at > CACHE_SECONDS:
            rows = db.rows(f"SELECT {_COLUMNS} FROM agents ORDER BY team, agent_id")
            self.agents = {row["agent_id"]: AgentRecord(**row) for row in rows}
            self.read_at = time.monotonic()
        return self.agents

    def forget(self) -> None:
        self.read_at = -CACHE_SECONDS


_shelf = _Shelf()
forget = _shelf.forget


def all_agents(team: str | None = None) -> list[AgentRecord]:
    """Every agent, by team and id; `team` keeps one team's."""
    return [a for a in _shelf.get().values() if team is None or a.team == team]


def get(agent_id: str) -> AgentRecord:
    """The agent with this id; NotFound names it."""
    found = _shelf.get().get(normal_id(agent_id))
    if found is None:
        raise NotFound(f"there is no agent {agent_id!r}")
    return found


def demand(agent_id: str) -> AgentRecord:
    """Like get, for an id in a request's body: the refusal is AgentNotFound (422)."""
    try:
        return get(agent_id)
    except NotFound as missing:
        raise AgentNotFound(f"there is no agent {agent_id!r}; GET /api/v1/agents lists them") from missing


def install(definition: Definition, source: str) -> bool:
    """Put a definition into the registry; answers whether anything changed. Installing twice is no change."""
    known = db.value("SELECT version FROM agents WHERE agent_id = %(id)s", id=definition.agent_id)
    if known == definition.version:
        return False
    db.run(_INSTALL, **_columns(definition), source=source)
    db.run(
        """INSERT INTO agent_versions (agent_id, version, number, definition)
           SELECT %(id)s, %(version)s, 1 + count(*), %(text)s FROM agent_versions WHERE agent_id = %(id)s
           ON CONFLICT DO NOTHING""",
        id=definition.agent_id,
        version=definition.version,
        text=definition.text,
    )
    set_limits(definition.agent_id, definition.ours.max_concurrent, definition.ours.rate_limit)
    return True


def _columns(definition: Definition) -> dict[str, object]:
    ours = definition.ours
    return {
        "id": definition.agent_id,
        "name": definition.title,
        "description": definition.description,
        "team": ours.team,
        "pool": ours.pool,
        "runner": ours.runner,
        "config": as_json(definition.runner_config),
        "schema": as_json(ours.parameters),
        "output": as_json(ours.output) if ours.output else None,
        "example": as_json(ours.example) if ours.example is not None else None,
        "instructions": definition.instructions,
        "extra": as_json(definition.extra),
        "strategy": ours.retry.strategy,
        "retries": ours.retry.max_retries,
        "timeout": ours.timeout,
        "version": definition.version,
    }


_INSTALL = """
    INSERT INTO agents (agent_id, agent_name, description, team, pool, runner, runner_config, schema, output_schema,
           example, instructions, extra, retry_strategy, max_retries, timeout_seconds, version, source)
    VALUES (%(id)s, %(name)s, %(description)s, %(team)s, %(pool)s, %(runner)s, %(config)s, %(schema)s, %(output)s,
           %(example)s, %(instructions)s, %(extra)s, %(strategy)s, %(retries)s, %(timeout)s, %(version)s, %(source)s)
    ON CONFLICT (agent_id) DO UPDATE SET
        agent_name = excluded.agent_name, description = excluded.description, team = excluded.team,
        pool = excluded.pool, runner = excluded.runner, runner_config = excluded.runner_config,
        schema = excluded.schema, output_schema = excluded.output_schema, example = excluded.example,
        instructions = excluded.instructions, extra = excluded.extra, retry_strategy = excluded.retry_strategy,
        max_retries = excluded.max_retries, timeout_seconds = excluded.timeout_seconds,
        version = excluded.version, source = excluded.source, updated_at = now()"""


def set_limits(agent_id: str, max_concurrent: int | None, rate_limit: str | None) -> None:
    """Give an agent its limits; None means unlimited. Jobs that wait already move to the right lane.

    A smaller limit takes free slots away at once and occupied ones when they are freed (upkeep.trim_slots).
    """
    db.run(
        """UPDATE agents SET max_concurrent_tasks = %(most)s, rate_limit = %(rate)s, updated_at = now()
           WHERE agent_id = %(id)s""",
        id=agent_id,
        most=max_concurrent,
        rate=rate_limit,
    )
    db.run(
        """INSERT INTO agent_slots (agent_id, slot) SELECT %(id)s, n FROM generate_series(0, %(most)s - 1) AS n
           ON CONFLICT DO NOTHING""",
        id=agent_id,
        most=max_concurrent or 0,
    )
    _set_rate(agent_id, rate_limit)
    _relane(agent_id)
    forget()


def _set_rate(agent_id: str, rate_limit: str | None) -> None:
    if rate_limit is None:
        db.run("DELETE FROM agent_rates WHERE agent_id = %(id)s", id=agent_id)
        return
    speed, burst = per_second(rate_limit)
    db.run(
        """INSERT INTO agent_rates (agent_id, per_second, burst, tokens) VALUES (%(id)s, %(speed)s, %(burst)s, %(burst)s)
           ON CONFLICT (agent_id) DO UPDATE SET per_second = excluded.per_second, burst = excluded.burst,
               tokens = least(agent_rates.tokens, excluded.burst)""",
        id=agent_id,
        speed=speed,
        burst=burst,
    )


def enable(agent_id: str, enabled: bool) -> None:
    """Let an agent's jobs be claimed, or hold them back."""
    db.run(
        "UPDATE agents SET enabled = %(on)s, updated_at = now() WHERE agent_id = %(id)s",
        id=agent_id,
        on=enabled,
    )
    _relane(agent_id)
    forget()


def _relane(agent_id: str) -> None:
    db.run(
        """UPDATE jobs j SET lane = CASE WHEN a.gated THEN a.agent_id END FROM agents a
           WHERE a.agent_id = %(id)s AND j.agent_id = a.agent_id AND j.status IN ('pending','queued','retry')
             AND j.lane IS DISTINCT FROM (CASE WHEN a.gated THEN a.agent_id END)""",
        id=agent_id,
    )


def note_health(found: dict[str, tuple[str, str | None]]) -> None:
    """Keep what a worker found out about its agents: {agent_id: (status, reason)}."""
    db.run(
        """UPDATE agents a SET health_status = f.status, health_reason = f.reason, health_at = now()
           FROM unnest(%(ids)s::text[], %(statuses)s::text[], %(reasons)s::text[]) AS f(agent_id, status, reason)
           WHERE a.agent_id = f.agent_id""",
        ids=list(found),
        statuses=[status for status, _ in found.values()],
        reasons=[reason for _, reason in found.values()],
    )


def definition_of(agent_id: str, version: str) -> Definition:
    """The definition an attempt is pinned to; versions are never changed or removed."""
    text = db.value(
        "SELECT definition FROM agent_versions WHERE agent_id = %(id)s AND version = %(version)s",
        id=agent_id,
        version=version,
    )
    if text is None:
        raise NotFound(f"agent {agent_id} has no version {version}")
    return parse(agent_id, text)


def public(agent: AgentRecord) -> dict[str, Any]:
    """An agent as the API shows it."""
    return {
        "agent_id": agent.agent_id,
        "agent_name": agent.agent_name,
        "team": agent.team,
        "pool": agent.pool,
        "runner": agent.runner,
        "description": agent.description,
        "schema": agent.schema,
        "output_schema": agent.output_schema,
        "example": agent.example,
        "max_concurrent_tasks": agent.max_concurrent_tasks,
        "rate_limit": agent.rate_limit,
        "max_retries": agent.max_retries,
        "retry_strategy": agent.retry_strategy,
        "timeout_seconds": agent.timeout_seconds,
        "enabled": agent.enabled,
        "version": agent.version,
        "health": agent.health,
        "last_heartbeat": agent.health_at,
    }
