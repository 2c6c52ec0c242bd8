"""How the agents do, as the columns of their list: of the last seven days, from figures that are kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from app import clock
from app.accounts.permissions import Principal, may, own_only
from app.agents import versions
from app.agents.registry import AgentRecord
from app.budgets import ledger
from app.budgets import queries as budgets
from app.dashboard.budgets import shown as budget_shown
from app.dashboard.words import dollars
from app.db import Row
from app.jobs import figures, pools
from app.kept import Kept

WINDOW = "7d"
LASTS = timedelta(days=7)
HEALTH = ("ready", "degraded", "unavailable")

_kept = Kept(seconds=60, most=50)
forget = _kept.forget


class Column(NamedTuple):
    """One column of the list: its word, what it is in full, and whether narrow screens leave it out."""

    name: str
    word: str
    title: str
    wide: bool = False


COLUMNS = (
    Column("name", "Agent", "By name"),
    Column("health", "Health", "Whether it could run now"),
    Column("version", "Version", "The version of its definition in use", wide=True),
    Column("success", "Success", "Of what ended in the last 7 days and was not cancelled"),
    Column("p95", "p95", "95 of 100 completed jobs of the last 7 days took no longer", wide=True),
    Column("cost", "$ a run", "What model calls cost, by job, in the last 7 days", wide=True),
    Column("quality", "Quality", "Final score of the last 7 days, of 10", wide=True),
    Column("budget", "Budget", "Of each job, and of the agent", wide=True),
    Column("places", "At once", "Jobs that run, of those that may", wide=True),
)


def lines(agents: list[AgentRecord], who: Principal) -> list[Row]:
    """Each agent with its figures, of jobs that `who` may see.

    {agent, version, jobs, success, p95, cost, cost_words, quality, budget_words, budgets, taken}
    """
    owner = own_only(who, "view_task")
    went = {line["agent_id"]: line for line in figures.figures(WINDOW, owner=owner)["agents"]}
    cost: dict[str, Row] = _kept.answer(("cost", owner), lambda: _cost(owner))
    numbers: dict[str, int] = _kept.answer("versions", versions.numbers)
    taken = {row["agent_id"]: row["taken"] for row in pools.places()}
    own: dict[str, list[Row]] = {}
    for row in budgets.listing() if may(who, "view_budgets") else []:
        if row["scope"] == "agent":
            own.setdefault(row["subject"], []).append(budget_shown(row))
    return [
        _line(agent, went.get(agent.agent_id, {}), cost.get(agent.agent_id))
        | {
            "version": numbers.get(agent.agent_id),
            "budgets": own.get(agent.agent_id, []),
            "taken": taken.get(agent.agent_id, 0),
        }
        for agent in agents
    ]


def _cost(owner: str | None) -> dict[str, Row]:
    now = clock.now()
    return {line["key"]: line for line in ledger.report("agent", now - LASTS, now, owner=owner)}


def _line(agent: AgentRecord, told: Row, spent: Row | None) -> Row:
    return {
        "agent": agent,
        "jobs": told.get("completed", 0) + told.get("failed", 0),
        "success": told.get("success_rate"),
        "p95": told.get("p95_seconds"),
        "cost": _per_run(spent),
        "cost_words": cost_words(spent),
        "quality": told.get("quality_score"),
        "budget_words": _budget_words(agent.budget or {}),
    }


def _per_run(spent: Row | None) -> float | None:
    if not spent or spent["notional_usd"] is None or not spent["jobs"]:
        return None
    return float(spent["notional_usd"]) / int(spent["jobs"])


def cost_words(spent: Row | None, *, altogether: bool = False) -> str:
    """What a run cost, or all did, honestly: nothing priced is no price, and what only partly is says so."""
    if not spent or not spent["tokens"]:
        return ""
    if spent["notional_usd"] is None:
        return "unpriced"
    amount = dollars(spent["notional_usd"] if altogether else _per_run(spent) or 0)
    return f"{amount}, part unpriced" if spent["unpriced_tokens"] else amount


def of_schedules() -> dict[str, Row]:
    """What the runs of each schedule used in the last seven days, by its id; up to a minute old."""
    now = clock.now()
    found: dict[str, Row] = _kept.answer(
        "schedules", lambda: {line["key"]: line for line in ledger.report("schedule", now - LASTS, now)}
    )
    return found


def _budget_words(budget: dict[str, Any]) -> str:
    said: dict[str, Callable[[Any], str]] = {
        "usd": dollars,
        "tokens": lambda n: f"{n:,} tokens",
        "minutes": lambda n: f"{n:g} min",
    }
    return ", ".join(said[unit](amount) for unit, amount in budget.items() if unit in said)


def in_order(found: list[Row], order: str) -> list[Row]:
    """The lines in one of ORDERS; what nothing is known of comes last."""
    key = ORDERS[order]
    if key is None:
        return found
    known = [line for line in found if key(line) is not None]
    return sorted(known, key=key) + [line for line in found if key(line) is None]


def _less(name: str) -> Callable[[Row], Any]:
    """Ascending: the least first, which is what one looks for in a share or a score."""
    return lambda line: line[name]


def _more(name: str) -> Callable[[Row], Any]:
    """Descending: the most first."""
    return lambda line: None if line[name] is None else -line[name]


ORDERS: dict[str, Callable[[Row], Any] | None] = {
    "team": None,
    "name": lambda line: line["agent"].agent_name.lower(),
    "health": lambda line: -HEALTH.index(line["agent"].health["status"]),
    "version": _more("version"),
    "success": _less("success"),
    "p95": _more("p95"),
    "cost": _more("cost"),
    "quality": _less("quality"),
    "budget": lambda line: -max((each["percent"] for each in line["budgets"]), default=0) or None,
    "places": lambda line: -line["taken"],
}
