"""What the fleet is asked for: the figures behind the wanted number of workers, and what was decided.

Decisions are entries of the audit log (`scaling.decided`), written by whoever sweeps, one process at a time: so they
outlive every process, and how long ago the number changed is known to whoever decides next.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import audit, clock
from app.db import Row, db
from app.kept import Kept
from app.workers import fleet, scaling
from app.workers.scaling import USUAL, Before, Bounds, Decision, Pace, Seen

ALL = "all"
ACTION = "scaling.decided"
MOST_HISTORY = 10
LONGEST = 86_400.0
LOOK_BACK_MINUTES = 16


_figures = Kept(seconds=5, most=1)
forget = _figures.forget


def figures(*, fresh: bool = False) -> dict[str, Row]:
    """By pool, and under ALL: how things stand; some seconds old at most.

    Each {waiting, oldest_seconds, running, workers, capacity, busy, per_minute, mean_seconds, hot_seconds, calm_seconds}.
    `waiting` are those that could be claimed now: due, in no paused pool, of an agent that is switched on and not held,
    and of a limited agent no more than it has places.
    """
    found: dict[str, Row] = _figures.answer("figures", _measure, fresh=fresh)
    return found


def _measure() -> dict[str, Row]:
    names = [row["pool"] for row in db.rows("SELECT pool FROM queues ORDER BY pool")]
    waiting = {row["pool"]: row for row in db.rows(_WAITING)}
    running = {row["pool"]: row["n"] for row in db.rows(_RUNNING)}
    ended_by = {row["pool"]: row for row in db.rows(_ENDED)}
    spells = _spells(names)
    lines = {}
    for each in fleet.by_pool(tuple(names)):
        pool = each["pool"]
        lines[pool] = _line(
            each["workers"],
            each["threads"],
            running.get(pool, 0),
            waiting.get(pool),
            ended_by.get(pool),
            spells[pool],
        )
    living = fleet.capacity()
    whole = {
        "n": sum(row["n"] for row in waiting.values()),
        "oldest": max((row["oldest"] for row in waiting.values()), default=0.0),
    }
    ended, seconds = (sum(row[name] for row in ended_by.values()) for name in ("ended", "seconds"))
    taking = living["active"] + living["idle"]
    together = {"ended": ended, "seconds": seconds}
    lines[ALL] = _line(taking, living["threads"], sum(running.values()), whole, together, spells[ALL])
    return lines


def _line(
    workers: int,
    capacity: int,
    running: int,
    waiting: Row | None,
    ended_in: Row | None,
    spells: tuple[float, float],
) -> Row:
    ended = ended_in["ended"] if ended_in else 0
    return {
        "waiting": waiting["n"] if waiting else 0,
        "oldest_seconds": round(max(0.0, float(waiting["oldest"])), 1) if waiting else 0.0,
        "running": running,
        "workers": workers,
        "capacity": capacity,
        "busy": round(min(1.0, running / capacity), 2) if capacity else 0.0,
        "per_minute": round(ended / 5, 1),
        "mean_seconds": round(float(ended_in["seconds"]) / ended, 3) if ended_in and ended else None,
        "hot_seconds": spells[0],
        "calm_seconds": spells[1],
    }


_WAITING = """
    SELECT w.pool, sum(CASE WHEN a.max_concurrent_tasks IS NULL THEN w.n ELSE least(w.n, a.max_concurrent_tasks) END)::int AS n,
           max(extract(epoch FROM now() - w.since))::float AS oldest
    FROM (SELECT pool, agent_id, count(*) AS n, min(run_at) AS since FROM jobs
          WHERE status IN ('pending','queued','retry') AND run_at <= now() GROUP BY 1, 2) w
    JOIN queues q ON q.pool = w.pool AND NOT (q.paused AND (q.paused_until IS NULL OR q.paused_until > now()))
    JOIN agents a ON a.agent_id = w.agent_id AND a.enabled
     AND NOT EXISTS (SELECT 1 FROM agent_holds h WHERE h.agent_id = a.agent_id AND (h.until IS NULL OR h.until > now()))
     AND NOT (a.max_concurrent_tasks IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM agent_slots s WHERE s.agent_id = a.agent_id AND s.job_id IS NULL))
    GROUP BY 1"""
_RUNNING = "SELECT pool, count(*) AS n FROM jobs WHERE status = 'running' GROUP BY 1"
_ENDED = """
    SELECT a.pool, count(*) AS ended, coalesce(sum(h.duration_seconds), 0)::float AS seconds
    FROM (SELECT agent_id, duration_seconds FROM task_history
          WHERE completed_at > now() - interval '5 minutes' ORDER BY completed_at DESC LIMIT 20000) h
    JOIN agents a USING (agent_id) GROUP BY 1"""


def _spells(names: list[str]) -> dict[str, tuple[float, float]]:
    """For how many seconds each pool, and all, have been (busy, at rest), by the samples of each minute."""
    rows = db.rows(
        """SELECT at, pool, waiting, running, threads FROM pool_samples
           WHERE at > now() - %(minutes)s * interval '1 minute' ORDER BY at DESC""",
        minutes=LOOK_BACK_MINUTES,
    )
    minutes: dict[datetime, list[Row]] = {}
    for row in rows:
        minutes.setdefault(row["at"], []).append(row)
    by = {name: [row for row in rows if row["pool"] == name] for name in names}
    # A worker of several pools counts in each of them: the largest number is the nearest to all seats.
    by[ALL] = [
        {
            "waiting": sum(r["waiting"] for r in at),
            "running": sum(r["running"] for r in at),
            "threads": max(r["threads"] for r in at),
        }
        for at in minutes.values()
    ]
    return {name: (_spell(lines, _is_hot), _spell(lines, _is_calm)) for name, lines in by.items()}


def _spell(lines: list[Row], holds: Any) -> float:
    for number, line in enumerate(lines):
        if not holds(line):
            return 60.0 * number
    return 60.0 * len(lines)


def _is_hot(line: Row) -> bool:
    return bool(line["threads"]) and line["running"] > scaling.HOT * line["threads"]


def _is_calm(line: Row) -> bool:
    return not line["waiting"] and line["running"] < max(1, scaling.CALM * line["threads"])


# -- deciding


def decisions(bounds: Bounds, *, pace: Pace = USUAL) -> dict[str, Decision]:
    """By pool, and under ALL: what is right now, in the light of what was decided last. Writes nothing."""
    return _decisions(bounds, _kept(), pace, fresh=False)


def _decisions(bounds: Bounds, kept: dict[str, Row], pace: Pace, *, fresh: bool) -> dict[str, Decision]:
    states = _states(kept)
    return {
        name: _decided(name, line, bounds, states.get(name), pace)
        for name, line in figures(fresh=fresh).items()
    }


def _decided(name: str, line: Row, bounds: Bounds, before: Before | None, pace: Pace) -> Decision:
    # A pool may do without workers of its own: those of several pools serve it, too.
    own = bounds if name == ALL else Bounds(1, bounds.largest)
    told = {field: line[field] for field in Seen.__dataclass_fields__}
    return scaling.decide(Seen(**told), own, before, pace)


def _kept() -> dict[str, Row]:
    """By pool, and under ALL, what was decided last: {wanted, changed_at, grew_at}."""
    newest = _newest(1)
    return newest[0]["details"]["state"] if newest else {}


def _states(kept: dict[str, Row]) -> dict[str, Before]:
    now = clock.now()
    return {
        name: Before(
            wanted=state["wanted"],
            changed_seconds=(now - datetime.fromisoformat(state["changed_at"])).total_seconds(),
            grew_seconds=(now - datetime.fromisoformat(state["grew_at"])).total_seconds()
            if state["grew_at"]
            else LONGEST,
        )
        for name, state in kept.items()
    }


def look(bounds: Bounds, *, pace: Pace = USUAL) -> Row | None:
    """Decide, and write down what changed; one process at a time, in a transaction. Answers the entry, None for no change.

    Each {wanted, before, why, pools}.
    """
    now = clock.iso(clock.now())
    kept = _kept()
    found = _decisions(bounds, kept, pace, fresh=True)
    if all(name in kept and kept[name]["wanted"] == each.wanted for name, each in found.items()):
        return None
    state = {name: _state(kept.get(name), each, now) for name, each in found.items()}
    before = kept[ALL]["wanted"] if ALL in kept else None
    told = {
        "wanted": found[ALL].wanted,
        "before": before,
        "why": found[ALL].why,
        "pools": {name: each.wanted for name, each in found.items() if name != ALL},
    }
    audit.record(ACTION, actor="", subject=ALL, details=told | {"state": state})
    return told


def _state(before: Row | None, decision: Decision, now: str | None) -> Row:
    if before and before["wanted"] == decision.wanted:
        return before
    grew = before is not None and decision.wanted > before["wanted"]
    return {
        "wanted": decision.wanted,
        "changed_at": now,
        "grew_at": now if grew else (before or {}).get("grew_at"),
    }


def history(limit: int = MOST_HISTORY) -> list[Row]:
    """What was decided of all workers, the newest first: {decision_id, at, wanted, before, why}."""
    rows = [row for row in _newest(5 * limit) if row["details"]["wanted"] != row["details"]["before"]]
    names = ("wanted", "before", "why")
    return [
        {"decision_id": row["id"], "at": row["at"]} | {name: row["details"][name] for name in names}
        for row in rows[:limit]
    ]


def _newest(limit: int) -> list[Row]:
    return db.rows(
        "SELECT id, at, details FROM audit_log WHERE action = %(action)s ORDER BY at DESC, id DESC LIMIT %(limit)s",
        action=ACTION,
        limit=limit,
    )
