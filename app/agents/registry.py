"""The registry: which agents there are, installed from definitions, found by id."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.agents.definition import Definition, parse, per_second
from app.db import Row, as_json, db, storable
from app.errors import AgentNotFound, Conflict, NotFound

CACHE_SECONDS = 5.0
IMPORTED = "import"
"""The source of agents that somebody sent; all others come back at every start."""


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
    budget: dict[str, Any] | None
    watchdog: dict[str, Any] | None
    providers: list[str] | None
    effects: list[str]
    aliases: list[str]
    configured: dict[str, Any]

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
        self.names: dict[str, str] = {}
        self.read_at = -CACHE_SECONDS

    def get(self) -> dict[str, AgentRecord]:
        if time.monotonic() - self.read_at > CACHE_SECONDS:
            rows = db.rows(f"SELECT {_COLUMNS} FROM agents ORDER BY team, agent_id")
            self.agents = {row["agent_id"]: AgentRecord(**row) for row in rows}
            self.names = {alias: agent.agent_id for agent in self.agents.values() for alias in agent.aliases}
            self.read_at = time.monotonic()
        return self.agents

    def find(self, name: str) -> AgentRecord | None:
        agents = self.get()
        return agents.get(name) or agents.get(self.names.get(name, ""))

    def forget(self) -> None:
        self.read_at = -CACHE_SECONDS


_shelf = _Shelf()
forget = _shelf.forget


def all_agents(team: str | None = None) -> list[AgentRecord]:
    """Every agent, by team and id; `team` keeps one team's."""
    return [a for a in _shelf.get().values() if team is None or a.team == team]


def get(agent_id: str) -> AgentRecord:
    """The agent with this id or alias; NotFound names it."""
    found = _shelf.find(normal_id(agent_id))
    if found is None:
        raise NotFound(f"there is no agent {agent_id!r}")
    return found


def demand(agent_id: str) -> AgentRecord:
    """Like get, for an id in a request's body: the refusal is AgentNotFound (422)."""
    try:
        return get(agent_id)
    except NotFound as missing:
        raise AgentNotFound(f"there is no agent {agent_id!r}; GET /api/v1/agents lists them") from missing


def canonical(agent_id: str) -> str:
    """The id that an id or alias means; what is not known stays as it is."""
    found = _shelf.find(normal_id(agent_id))
    return found.agent_id if found else normal_id(agent_id)


def install(definition: Definition, source: str, *, origin: str | None = None) -> bool:
    """Put a definition into the registry; answers whether anything changed. Installing twice is no change.

    `source` is where its agent belongs (catalog, a folder, plugin:…, import), `origin` the file, if that is more.
    Limits that an admin set stay. Raises Conflict if its id or an alias means another agent already.
    """
    known = db.row("SELECT version, configured FROM agents WHERE agent_id = %(id)s", id=definition.agent_id)
    if known and known["version"] == definition.version:
        return False
    _demand_own_names(definition)
    db.run(_INSTALL, **_columns(definition), source=source)
    db.run(
        """INSERT INTO agent_versions (agent_id, version, number, definition, overlay, origin)
           SELECT %(id)s, %(version)s, 1 + count(*), %(text)s, %(overlay)s, %(origin)s
           FROM agent_versions WHERE agent_id = %(id)s ON CONFLICT DO NOTHING""",
        id=definition.agent_id,
        version=definition.version,
        text=definition.text,
        overlay=as_json(definition.overlay) if definition.overlay else None,
        origin=origin or source,
    )
    limits = defined_limits(definition) | (known["configured"] if known else {})
    set_limits(definition.agent_id, limits["max_concurrent_tasks"], limits["rate_limit"])
    return True


def defined_limits(definition: Definition) -> dict[str, Any]:
    """The limits as the definition wants them, by the names an admin uses."""
    ours = definition.ours
    return {"max_concurrent_tasks": ours.max_concurrent, "rate_limit": ours.rate_limit}


def _demand_own_names(definition: Definition) -> None:
    names = [definition.agent_id, *definition.ours.aliases]
    taken = db.row(
        """SELECT agent_id, CASE WHEN agent_id = ANY(%(names)s) THEN agent_id
                                 ELSE (SELECT min(n) FROM unnest(aliases) AS n WHERE n = ANY(%(names)s)) END AS name
           FROM agents WHERE agent_id <> %(id)s AND (agent_id = ANY(%(names)s) OR aliases && %(names)s::text[])
           ORDER BY agent_id LIMIT 1""",
        names=names,
        id=definition.agent_id,
    )
    if taken:
        raise Conflict(f"{taken['name']} means the agent {taken['agent_id']} already, so {definition.agent_id} "
                       "cannot be called so")  # fmt: skip


def remove(agent_id: str) -> str:
    """Take an imported agent away: `removed`, or `retired` (switched off) if it has jobs, which keep it.

    Raises Conflict for agents that the next start would bring back. Its versions are kept in any case.
    """
    agent = _locked(agent_id)  # no new jobs meanwhile
    name = agent["agent_id"]
    if agent["source"] != IMPORTED:
        raise Conflict(
            f"{name} comes from {agent['source']} and would be back at the next start; switch it off instead",
            allowed=["disable"],
        )
    if db.value("SELECT EXISTS (SELECT 1 FROM jobs WHERE agent_id = %(id)s)", id=name):
        enable(name, enabled=False)
        return "retired"
    db.run("DELETE FROM agents WHERE agent_id = %(id)s", id=name)
    forget()
    return "removed"


def configure(agent_id: str, limits: dict[str, Any], as_defined: Iterable[str] = ()) -> None:
    """Set limits that outlive new versions of the file; those named in `as_defined` follow the file again."""
    agent = _locked(agent_id)
    followed = set(as_defined)
    configured = {
        name: value for name, value in (agent["configured"] | limits).items() if name not in followed
    }
    db.run(
        "UPDATE agents SET configured = %(configured)s WHERE agent_id = %(id)s",
        configured=as_json(configured),
        id=agent["agent_id"],
    )
    wanted = defined_limits(definition_of(agent["agent_id"], agent["version"])) | configured
    set_limits(agent["agent_id"], wanted["max_concurrent_tasks"], wanted["rate_limit"])


def _locked(agent_id: str) -> Row:
    found = db.row(
        "SELECT agent_id, version, source, configured FROM agents WHERE agent_id = %(id)s FOR UPDATE",
        id=canonical(agent_id),
    )
    if found is None:
        raise NotFound(f"there is no agent {agent_id!r}")
    return found


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
        "budget": as_json(ours.budget.model_dump(exclude_none=True)) if ours.budget else None,
        "watchdog": as_json(ours.watchdog.model_dump()),
        "providers": ours.providers,
        "effects": list(ours.effects),
        "aliases": list(ours.aliases),
        "version": definition.version,
    }


_INSTALL = """
    INSERT INTO agents (agent_id, agent_name, description, team, pool, runner, runner_config, schema, output_schema,
           example, instructions, extra, retry_strategy, max_retries, timeout_seconds, budget, watchdog,
           providers, effects, aliases, version, source)
    VALUES (%(id)s, %(name)s, %(description)s, %(team)s, %(pool)s, %(runner)s, %(config)s, %(schema)s, %(output)s,
           %(example)s, %(instructions)s, %(extra)s, %(strategy)s, %(retries)s, %(timeout)s, %(budget)s, %(watchdog)s,
           %(providers)s, %(effects)s, %(aliases)s, %(version)s, %(source)s)
    ON CONFLICT (agent_id) DO UPDATE SET
        agent_name = excluded.agent_name, description = excluded.description, team = excluded.team,
        pool = excluded.pool, runner = excluded.runner, runner_config = excluded.runner_config,
        schema = excluded.schema, output_schema = excluded.output_schema, example = excluded.example,
        instructions = excluded.instructions, extra = excluded.extra, retry_strategy = excluded.retry_strategy,
        max_retries = excluded.max_retries, timeout_seconds = excluded.timeout_seconds, budget = excluded.budget, watchdog = excluded.watchdog,
        providers = excluded.providers, effects = excluded.effects, aliases = excluded.aliases, version = excluded.version, source = excluded.source, updated_at = now()"""


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


def hold(agent_id: str, code: str, message: str, *, until: datetime | None, subject: str = "") -> None:
    """Do not let the agent's jobs be claimed until then; None means until `unhold`. Holding twice renews it."""
    db.run(
        """INSERT INTO agent_holds (agent_id, code, subject, message, until)
           VALUES (%(id)s, %(code)s, %(subject)s, %(message)s, %(until)s)
           ON CONFLICT (agent_id, code, subject) DO UPDATE SET message = excluded.message, until = excluded.until""",
        id=agent_id,
        code=code,
        subject=subject,
        message=storable(message),
        until=until,
    )


def holds(agent_id: str) -> list[dict[str, Any]]:
    """What keeps the agent's jobs from being claimed now: [{code, subject, message, until, since}]."""
    return holds_of([agent_id]).get(agent_id, [])


def holds_of(agent_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What `holds` says of each of these agents; those that nothing holds are missing."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in db.rows(
        """SELECT agent_id, code, subject, message, until, since FROM agent_holds
           WHERE agent_id = ANY(%(ids)s) AND (until IS NULL OR until > now()) ORDER BY since, code, subject""",
        ids=agent_ids,
    ):
        found.setdefault(row.pop("agent_id"), []).append(row)
    return found


def hold_each(
    agent_ids: list[str], code: str, message: str, *, until: datetime | None, subject: str = ""
) -> None:
    """Like `hold`, for several agents by one statement."""
    db.run(
        """INSERT INTO agent_holds (agent_id, code, subject, message, until)
           SELECT agent_id, %(code)s, %(subject)s, %(message)s, %(until)s
           FROM agents WHERE agent_id = ANY(%(ids)s) ORDER BY agent_id
           ON CONFLICT (agent_id, code, subject) DO UPDATE SET message = excluded.message, until = excluded.until
           WHERE (agent_holds.message, agent_holds.until) IS DISTINCT FROM (excluded.message, excluded.until)""",
        ids=agent_ids,
        code=code,
        subject=subject,
        message=storable(message),
        until=until,
    )


def unhold(code: str, subject: str, *, but: Iterable[str] = ()) -> list[str]:
    """Lift every hold of this kind, `but` those of some agents; answers the agents that are free of it now.

    Their held jobs are the caller's: `lifecycle.lift`.
    """
    rows = db.rows(
        """DELETE FROM agent_holds WHERE code = %(code)s AND subject = %(subject)s AND agent_id <> ALL(%(but)s::text[])
           RETURNING agent_id""",
        code=code,
        subject=subject,
        but=list(but),
    )
    return sorted({row["agent_id"] for row in rows})


def unhold_agents(agent_ids: list[str], code: str) -> None:
    """Lift these agents' holds of this kind, whatever they are about."""
    db.run(
        "DELETE FROM agent_holds WHERE code = %(code)s AND agent_id = ANY(%(ids)s)", code=code, ids=agent_ids
    )


def teams() -> dict[str, str]:
    """The team of every agent, as the table has it now."""
    return {row["agent_id"]: row["team"] for row in db.rows("SELECT agent_id, team FROM agents")}


def set_budgeted(agent_ids: list[str]) -> None:
    """From now on a shared budget covers these agents and no others; their waiting jobs move to the right lane."""
    changed = db.rows(
        """UPDATE agents SET budgeted = (agent_id = ANY(%(ids)s))
           WHERE budgeted <> (agent_id = ANY(%(ids)s)) RETURNING agent_id""",
        ids=agent_ids,
    )
    for row in changed:
        _relane(row["agent_id"])
    if changed:
        forget()


def waits_for_a_look(pools: tuple[str, ...], seconds: float | None = None) -> bool:
    """Whether there is an agent of these pools of which nobody has found out if it could run, or not for so long."""
    return bool(
        db.value(
            """SELECT EXISTS (SELECT 1 FROM agents WHERE pool = ANY(%(pools)s)
                   AND (health_at IS NULL OR health_at < now() - %(seconds)s * interval '1 s'))""",
            pools=list(pools),
            seconds=seconds,
        )
    )


def note_health(found: dict[str, tuple[str, str | None]]) -> None:
    """Keep what a worker found out about its agents: {agent_id: (status, reason)}."""
    db.run(
        """UPDATE agents a SET health_status = f.status, health_reason = f.reason, health_at = now()
           FROM unnest(%(ids)s::text[], %(statuses)s::text[], %(reasons)s::text[]) AS f(agent_id, status, reason)
           WHERE a.agent_id = f.agent_id""",
        ids=list(found),
        statuses=[status for status, _ in found.values()],
        reasons=[reason and storable(reason) for _, reason in found.values()],
    )


def definition_of(agent_id: str, version: str) -> Definition:
    """The definition an attempt is pinned to; versions are never changed or removed."""
    kept = db.row(
        "SELECT definition, overlay FROM agent_versions WHERE agent_id = %(id)s AND version = %(version)s",
        id=agent_id,
        version=version,
    )
    if kept is None:
        raise NotFound(f"agent {agent_id} has no version {version}")
    return parse(agent_id, kept["definition"], kept["overlay"])


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
        "budget": agent.budget,
        "watchdog": agent.watchdog,
        "providers": agent.providers,
        "effects": agent.effects,
        "aliases": agent.aliases,
        "source": agent.source,
        "enabled": agent.enabled,
        "version": agent.version,
        "health": agent.health,
        "last_heartbeat": agent.health_at,
    }
