"""Policies: rules by which jobs ask a person before they go on, whatever their agent is.

A policy covers the jobs of its agents and teams (none: any) and asks at one of three moments: before an effect that
the agent has outside (`effects`), once a job has spent more than `over_usd`, or, with neither, before each start.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat

from app.agents import registry
from app.agents.definition import EFFECT
from app.approvals.asking import LONGEST_QUESTION, named
from app.approvals.wanted import wrong_people
from app.db import Row, db, storable
from app.errors import Conflict, Invalid, NotFound

COLUMNS = """policy_id::text, name, enabled, agents, teams, effects, over_usd, question, approvers, deadline_minutes,
    on_timeout, escalate_minutes, escalate_to, created_by, created_at, updated_at"""
FIELDS = ("name", "enabled", "agents", "teams", "effects", "over_usd", "question", "approvers", "deadline_minutes",
          "on_timeout", "escalate_minutes", "escalate_to")  # fmt: skip
CACHE_SECONDS = 5.0
"""How long a change may take until every worker minds it."""
LONGEST_NAME = 100
MOST_NAMED = 100
MOST_MINUTES = 366 * 24 * 60
LARGEST_SUM = 1_000_000.0
Faults = Iterator[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One that is in force."""

    policy_id: str
    name: str
    agents: frozenset[str]
    teams: frozenset[str]
    effects: frozenset[str]
    over_usd: float | None
    question: str | None
    approvers: tuple[str, ...]
    deadline_minutes: int | None
    on_timeout: str
    escalate_minutes: int | None
    escalate_to: tuple[str, ...]

    def covers(self, agent_id: str, *teams: str) -> bool:
        """Whether it is about jobs of this agent, which belongs to these teams."""
        return (not self.agents or agent_id in self.agents) and (
            not self.teams or not self.teams.isdisjoint(teams)
        )

    @property
    def asks_before_each_start(self) -> bool:
        """It names no effect and no sum: whatever the job does."""
        return not self.effects and self.over_usd is None


# -- what people do


def listing() -> list[Row]:
    """Every policy, by name."""
    return db.rows(f"SELECT {COLUMNS} FROM approval_policies ORDER BY name")


def get(policy_id: str) -> Row:
    """One policy; NotFound if there is none."""
    row = db.row(f"SELECT {COLUMNS} FROM approval_policies WHERE policy_id = %(id)s::uuid", id=policy_id)
    if row is None:
        raise NotFound(f"there is no approval policy {policy_id}")
    return row


def create(*, by: str | None, **wish: Any) -> Row:
    """A new policy; Invalid points at what is wrong with it, Conflict says that its name is taken.

    `wish`: the names in FIELDS; what is left out is as the table has it (approvers: admins).
    """
    policy_id = str(uuid_utils.compat.uuid7())
    fields = checked(wish)
    _demand_free(fields["name"], policy_id)
    names = ", ".join(FIELDS)
    values = ", ".join(f"%({name})s" for name in FIELDS)
    db.run(
        f"INSERT INTO approval_policies (policy_id, created_by, {names}) VALUES (%(id)s, %(by)s, {values})",
        id=policy_id,
        by=by,
        **fields,
    )
    db.after_commit(forget)
    return get(policy_id)


def change(policy_id: str, **wish: Any) -> Row:
    """Make a policy what `wish` says, like `create`; what is left out stays. Open questions stay as they were asked."""
    row = _locked(policy_id)
    fields = checked({name: row[name] for name in FIELDS} | wish, known=row)
    _demand_free(fields["name"], policy_id)
    changes = ", ".join(f"{name} = %({name})s" for name in FIELDS)
    db.run(
        f"UPDATE approval_policies SET {changes}, updated_at = clock_timestamp() WHERE policy_id = %(id)s::uuid",
        id=policy_id,
        **fields,
    )
    db.after_commit(forget)
    return get(policy_id)


def remove(policy_id: str) -> Row:
    """Delete a policy; answers it as it was. What it has asked already can still be answered, and counts."""
    row = _locked(policy_id)
    db.run("DELETE FROM approval_policies WHERE policy_id = %(id)s::uuid", id=policy_id)
    db.after_commit(forget)
    return row


def _locked(policy_id: str) -> Row:
    row = db.row(
        f"SELECT {COLUMNS} FROM approval_policies WHERE policy_id = %(id)s::uuid FOR UPDATE", id=policy_id
    )
    if row is None:
        raise NotFound(f"there is no approval policy {policy_id}")
    return row


def _demand_free(name: str, policy_id: str) -> None:
    """Say who has the name, and have nobody else take it until this is committed."""
    db.value("SELECT pg_advisory_xact_lock(hashtextextended('approval_policies', 0))")
    other = db.value(
        "SELECT policy_id::text FROM approval_policies WHERE name = %(name)s AND policy_id <> %(id)s::uuid",
        name=name,
        id=policy_id,
    )
    if other:
        raise Conflict(f"there is a policy {name!r} already: {other}")


def checked(wish: dict[str, Any], known: Row | None = None) -> dict[str, Any]:
    """A policy as it is stored; Invalid points at everything that is wrong with it.

    Agents and teams that `known` has may be gone by now.
    """
    fields = {
        "name": storable(str(wish.get("name") or "").strip()),
        "enabled": wish.get("enabled") is not False,
        "agents": _each(wish.get("agents"), registry.canonical),
        "teams": _each(wish.get("teams"), str.strip),
        "effects": _each(wish.get("effects"), lambda effect: effect.strip().lower()),
        "over_usd": wish.get("over_usd"),
        "question": _text(wish.get("question")),
        "approvers": _or(wish.get("approvers"), ["admin"]),
        "deadline_minutes": wish.get("deadline_minutes"),
        "on_timeout": wish.get("on_timeout") or "reject",
        "escalate_minutes": wish.get("escalate_minutes"),
        "escalate_to": _or(wish.get("escalate_to"), []),
    }
    wrong = [*_wrong_words(fields), *_wrong_scope(fields, known or {}), *_wrong_people(fields),
             *_wrong_amounts(fields)]  # fmt: skip
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)
    return fields | {name: named(fields[name]) for name in ("approvers", "escalate_to")}


def _each(given: Any, clean: Any) -> Any:
    """The names as they are kept, each once; whatever is no list of texts is left for the complaint."""
    if not isinstance(given or [], list | tuple) or not all(isinstance(each, str) for each in given or []):
        return given
    return list(dict.fromkeys(clean(each) for each in given or [] if each.strip()))


def _text(given: Any) -> Any:
    return (storable(given.strip()) or None) if isinstance(given, str) else given


def _or(given: Any, usual: list[str]) -> Any:
    return usual if given is None or given in ([], ()) else given


def _wrong_words(fields: Row) -> Faults:
    if not 1 <= len(fields["name"]) <= LONGEST_NAME:
        yield "/name", f"must have 1 to {LONGEST_NAME} characters"
    question = fields["question"]
    if question is not None and not (isinstance(question, str) and len(question) <= LONGEST_QUESTION):
        yield "/question", f"must be a text of at most {LONGEST_QUESTION:,} characters"
    if fields["on_timeout"] not in ("approve", "reject"):
        yield "/on_timeout", "must be approve or reject"


def _wrong_scope(fields: Row, known: Row) -> Faults:
    teams = registry.teams()
    agents = {*teams, *known.get("agents", ())}
    yield from _wrong_names(fields, "agents", lambda name: name in agents, "there is no agent {!r}")
    there = {*teams.values(), *known.get("teams", ())}
    yield from _wrong_names(fields, "teams", lambda name: name in there, "no agent belongs to a team {!r}")
    said = "{!r} is no effect: lower-case words and digits, joined by hyphens, at most 50 characters"
    yield from _wrong_names(fields, "effects", _is_effect, said)


def _is_effect(name: str) -> bool:
    return EFFECT.match(name) is not None


def _wrong_names(fields: Row, name: str, is_right: Any, said: str) -> Faults:
    given = fields[name]
    if not isinstance(given, list) or len(given) > MOST_NAMED:
        yield f"/{name}", f"must be a list of at most {MOST_NAMED} names"
        return
    yield from ((f"/{name}/{n}", said.format(each)) for n, each in enumerate(given) if not is_right(each))


def _wrong_people(fields: Row) -> Faults:
    for name in ("approvers", "escalate_to"):
        yield from wrong_people(fields[name], f"/{name}")
    if bool(fields["escalate_to"]) != (fields["escalate_minutes"] is not None):
        missing = "escalate_minutes" if fields["escalate_to"] else "escalate_to"
        yield f"/{missing}", "is required: when is it passed on, and to whom?"


def _wrong_amounts(fields: Row) -> Faults:
    over = fields["over_usd"]
    if over is not None and not (_is_number(over) and 0 < over <= LARGEST_SUM):
        yield "/over_usd", f"must be more than 0 and at most {LARGEST_SUM:,.0f}"
    for name in ("deadline_minutes", "escalate_minutes"):
        minutes = fields[name]
        if minutes is not None and not _is_wait(minutes):
            yield f"/{name}", "must be whole minutes, from 1 to a year"
    deadline, escalates = fields["deadline_minutes"], fields["escalate_minutes"]
    if _is_wait(deadline) and _is_wait(escalates) and escalates >= deadline:
        yield "/escalate_minutes", "must be less than deadline_minutes, or nobody else is ever asked"


def _is_wait(minutes: Any) -> bool:
    return type(minutes) is int and 1 <= minutes <= MOST_MINUTES


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# -- what jobs mind


class _Book:
    """The policies in force, read a moment ago: a process looks at the table at most every CACHE_SECONDS."""

    def __init__(self) -> None:
        self.policies: tuple[Policy, ...] = ()
        self.read_at = -math.inf
        self.lock = threading.Lock()

    def get(self) -> tuple[Policy, ...]:
        if time.monotonic() - self.read_at > CACHE_SECONDS:
            with self.lock:  # of many attempts that begin at once one reads
                if time.monotonic() - self.read_at > CACHE_SECONDS:
                    began = time.monotonic()
                    with db.quick():
                        rows = db.rows(f"SELECT {COLUMNS} FROM approval_policies WHERE enabled ORDER BY name")
                        found = tuple(_policy(row) for row in rows)
                    self.policies, self.read_at = found, began
        return self.policies

    def forget(self) -> None:
        self.read_at = -math.inf


_book = _Book()
forget = _book.forget


def in_force() -> tuple[Policy, ...]:
    """Those that are switched on, by name; a change of the last five seconds may be missing."""
    return _book.get()


def covering(agent_id: str, *teams: str) -> list[Policy]:
    """Those in force that are about jobs of this agent, which belongs to these teams."""
    return [policy for policy in in_force() if policy.covers(agent_id, *teams)]


def _policy(row: Row) -> Policy:
    sets = {name: frozenset(row[name]) for name in ("teams", "effects")}
    # An agent that has another id by now keeps the old one as an alias.
    sets["agents"] = frozenset(registry.canonical(each) for each in row["agents"])
    lists = {name: tuple(row[name]) for name in ("approvers", "escalate_to")}
    kept = {name: row[name] for name in Policy.__dataclass_fields__}
    return Policy(**kept | sets | lists)
