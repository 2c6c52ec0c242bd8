"""The front page's answer to whether the system is well: workers, queues, budgets, providers, alerts, the last hour."""

from __future__ import annotations

from app.accounts import queries as people
from app.accounts.permissions import Principal, may
from app.alerts import queries as alerts
from app.budgets import queries as budgets
from app.dashboard import actions, provider_list
from app.dashboard.htmx import Context, Panel
from app.dashboard.now_figures import mine, overview, pace, pools, shared, workers
from app.dashboard.pools import PAUSES
from app.dashboard.session import asking, settings
from app.dashboard.words import Look, many
from app.db import Row
from app.errors import NotFound
from app.jobs import stats
from app.providers import queries as providers
from app.workers import fleet

MOST_ALERTS = 5
WELL = Look("All well", "check", "green")


def _health() -> Context:
    who, owner = asking(), mine()
    figures = overview(owner)
    lines = [_about_workers(), _about_queues(), _about_budgets()]
    lamps = _lamps() if may(who, "view_providers") else []
    alarms = _alerts(who)
    if may(who, "view_alerts"):
        told = f"{alerts.active()} to take care of" if alarms else "none is active"
        lines.append(_line("Alerts", Look("Watched", "check", "green"), told, "alerts"))
    troubles = sum(line["look"].colour != "green" for line in lines) + len(alarms)
    troubles += sum(lamp["lamp"].colour == "red" for lamp in lamps)
    return {
        "verdict": WELL if not troubles else Look(f"{troubles} to look at", "warn", "amber"),
        "lines": lines,
        "lamps": lamps,
        "with_lamps": may(who, "view_providers"),
        "alerts": alarms,
        "figures": figures,
        "all_jobs": owner is None,
        "poll": pace(),
    }


def _about_workers() -> Row:
    found = workers()
    if not found["total"]:
        return _line("Workers", Look("None is alive", "warn", "red"), "nothing can start", "workers")
    words = f"{found['busy']} of {many(found['threads'], 'thread')} busy"
    return _line("Workers", Look(f"{found['total']} alive", "check", "green"), words, "workers")


def _about_queues() -> Row:
    paused = [line["pool"].capitalize() for line in pools() if line["paused"]]
    if paused:
        return _line("Queues", Look(f"{len(paused)} paused", "pause", "amber"), ", ".join(paused), "queues")
    return _line("Queues", Look("All open", "check", "green"), "", "queues")


def _about_budgets() -> Row:
    stopped = shared("stopped", None, budgets.stopped)
    if stopped:
        return _line("Budgets", Look(f"{stopped} spent", "cross", "red"), "new work is held", "budgets")
    return _line("Budgets", Look("Room left", "check", "green"), "", "budgets")


def _line(title: str, look: Look, words: str, endpoint: str) -> Row:
    return {"title": title, "look": look, "words": words, "endpoint": f"dashboard.{endpoint}"}


def _lamps() -> list[Row]:
    """The providers of the common order, without those that are not set up."""
    rows = shared(
        "providers", None, lambda: [provider_list.drawn(providers.public(r)) for r in providers.every()]
    )
    shown = [row for row in rows if row["position"] and not row["demo"]]
    return [row for row in shown if row["lamp"] is not provider_list.LAMPS["unset"]]


def _alerts(who: Principal) -> list[Row]:
    """What is wrong by a rule and nobody has said that they know, the gravest first."""
    if not may(who, "view_alerts"):
        return []
    found: list[Row] = shared("alerts", None, lambda: alerts.listing("active", limit=MOST_ALERTS))
    return [alert for alert in found if alert["state"] == "active"]


def _queues() -> Context:
    levels = stats.queues()
    waiting = sum(line["depth"] for line in levels.values())
    rate = sum(line["per_minute"] for line in levels.values())
    busy = {line["pool"]: line for line in shared("threads", None, lambda: fleet.by_pool(settings().pools))}
    return {
        "levels": levels,
        "most": max((line["depth"] for line in levels.values()), default=0),
        "waiting": waiting,
        "wait_seconds": 60 * waiting / rate if rate and waiting else None,
        "pools": [
            line | busy.get(line["pool"], {"threads": 0, "busy": 0}) | {"paused_by": _name(line["paused_by"])}
            for line in pools()
        ],
        "pauses": PAUSES,
        "workers": workers(),
        "poll": pace(),
    }


def _name(user_id: str | None) -> str | None:
    """Who that is, as people say it; None where nobody, or nobody that is known, is meant."""
    try:
        found = people.user(actions.checked_id(user_id)) if user_id else None
    except NotFound:
        found = None
    return str(found["email"]).partition("@")[0] if found else None


HEALTH = Panel(name="now_health", template="now/_health.html", read=_health)
QUEUES = Panel(name="now_queues", template="now/_queues.html", read=_queues)
