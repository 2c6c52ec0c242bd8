"""GET /queues: how full each pool is, what comes next in it, and what the limits of agents leave room for."""

from __future__ import annotations

from typing import Any

from flask import render_template

from app.accounts.permissions import demand, may
from app.dashboard import links
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.pools import PAUSES
from app.dashboard.session import asking, settings
from app.dashboard.words import Look, many
from app.db import Row
from app.jobs import explain, pools, rollups, sizing, stats
from app.jobs.states import Priority
from app.settings import POOLS
from app.workers import fleet

LIMITS_MS = 5_000
SERIES = "1h"

STANDS = {
    "paused": Look("Paused", "pause", "amber"),
    "draining": Look("Workers drain", "pause", "amber"),
    "none": Look("No worker", "warn", "amber"),
    "full": Look("Full", "layers", "blue"),
    "working": Look("Working", "play", "blue"),
    "elsewhere": Look("Busy elsewhere", "bolt", "grey"),
    "idle": Look("Idle", "check", "green"),
}


def page() -> str:
    """GET /queues."""
    demand(asking(), "view_queues")
    return render_template(
        "queues/page.html",
        lines=LINES.embed(),
        levels=LEVELS.embed(),
        limits=LIMITS.embed(),
        pool_names=POOLS,
    )


def _lines() -> Context:
    demand(asking(), "view_queues")
    working = {line["pool"]: line for line in fleet.by_pool(POOLS)}
    nobody = {"workers": 0, "draining": 0, "threads": 0, "busy": 0}
    speeds, coming = pools.speeds(), pools.next_up()
    chips = explain.chips([row for rows in coming.values() for row in rows], asking())
    return {
        "pools": [
            _pool(line | (working.get(line["pool"]) or nobody), speeds, coming.get(line["pool"], []), chips)
            for line in stats.by_pool()
        ],
        "pauses": PAUSES,
        "poll": every(settings().stats_refresh_ms),
    }


def _pool(line: Row, speeds: dict[str, float], coming: list[Row], chips: dict[str, Row]) -> Row:
    depths = [point["waiting"] for point in rollups.pool_series(line["pool"], SERIES)]
    return line | {
        "look": STANDS[_stand(line)],
        "paused_by": links.person(line["paused_by"]) if line["paused_by"] else None,
        "speed": speeds.get(line["pool"], 0.0),
        "depths": depths,
        "depth_words": _depth_words(line["waiting"], depths),
        "coming": [_next(row, chips) for row in coming],
    }


def _stand(line: Row) -> str:
    if line["paused"]:
        return "paused"
    if not line["workers"]:
        return "draining" if line["draining"] else "none"
    if line["busy"] >= line["threads"] and line["waiting"]:
        return "full"
    if line["running"]:
        return "working"
    return "elsewhere" if line["busy"] >= line["threads"] else "idle"


def _depth_words(waiting: int, depths: list[int | None]) -> str:
    seen = [depth for depth in depths if depth is not None]
    most = f", at most {max(seen):,} in the last hour" if seen else ""
    return f"{waiting:,} waiting now{most}"


def _next(row: Row, chips: dict[str, Row]) -> dict[str, Any]:
    """One line of what comes next; of others' jobs only that there is one, and how urgent it is."""
    line = {"priority": Priority(row["priority_rank"]).word, "due": row["run_at"], "visible": False}
    if not may(asking(), "view_task", row["submitted_by"]):
        return line
    names = ("job_id", "agent_id", "task_name")
    return line | {name: row[name] for name in names} | {"visible": True, "chip": chips.get(row["job_id"])}


def _levels() -> Context:
    demand(asking(), "view_queues")
    levels, living = stats.queues(), fleet.capacity()
    chosen = settings()
    wanted = sizing.decisions(chosen.worker_bounds, pace=chosen.scale_pace)[sizing.ALL]
    waiting = sum(line["depth"] for line in levels.values())
    rate = sum(line["per_minute"] for line in levels.values())
    current = living["total"] - living["draining"]
    return {
        "levels": levels,
        "most": max((line["depth"] for line in levels.values()), default=0),
        "waiting": waiting,
        "wait_seconds": 60 * waiting / rate if rate and waiting else None,
        "current": current,
        "draining": living["draining"],
        "wanted": wanted.wanted,
        "why": wanted.why,
        "poll": every(settings().stats_refresh_ms),
    }


def _limits() -> Context:
    demand(asking(), "view_queues")
    rows = pools.limits()
    used = [_limit(row) for row in rows if row["taken"] or row["waiting"] or row["token_at"]]
    return {
        "agents": used,
        "idle": len(rows) - len(used),
        "cap": pools.MOST_WAITING,
        "poll": every(LIMITS_MS),
    }


def _limit(row: Row) -> Row:
    mine = [each for each in row["holders"] if may(asking(), "view_task", each["submitted_by"])]
    others = row["taken"] - len(mine)
    return row | {
        "holders": mine[: explain.MOST_HOLDERS],
        "more": max(0, len(mine) - explain.MOST_HOLDERS),
        "others": f"{many(others, 'job')} of others" if others > 0 else "",
    }


LINES = Panel(name="queue_lines", template="queues/_pools.html", read=_lines)
LEVELS = Panel(name="queue_levels", template="queues/_levels.html", read=_levels)
LIMITS = Panel(name="queue_limits", template="queues/_limits.html", read=_limits)
