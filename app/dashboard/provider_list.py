"""The panel of the page Providers: each with its lamp, its three pools, and what was wrong last."""

from __future__ import annotations

from app.accounts.permissions import demand
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking, settings
from app.dashboard.words import Look
from app.db import Row
from app.providers import queries

LAMPS = {
    "ready": Look("Ready", "check", "green"),
    "degraded": Look("Degraded", "warn", "amber"),
    "unavailable": Look("Not available", "cross", "red"),
    "unset": Look("Not set up", "circle", "grey"),
    "open": Look("Left alone", "pause", "red"),
    "waking": Look("Due for a try", "clock", "amber"),
    "probing": Look("Being tried", "play", "amber"),
    "off": Look("Switched off", "slash", "grey"),
    "unknown": Look("Not looked at yet", "help", "grey"),
}
SET_UP = ("ready", "degraded", "open", "waking", "probing")
GAUGES = {"requests": "requests a minute", "tokens": "tokens a minute", "calls": "calls at once"}
ERRORS = {
    "throttle": "it asks us to slow down",
    "overload": "it is overloaded or broken",
    "transport": "it cannot be reached",
    "quota": "its quota is used up",
    "auth": "it does not accept our key",
}


def _listing() -> Context:
    demand(asking(), "view_providers")
    rows = [queries.public(row) for row in queries.every()]
    return {
        "providers": [drawn(row) for row in rows],
        "usable": any(row["status"] in SET_UP for row in rows if not row["demo"]),
        "last": max((row["position"] or 0 for row in rows), default=0),
        "poll": every(settings().stats_refresh_ms),
    }


def drawn(provider: Row) -> Row:
    """A provider with its lamp, its gauges, and what was wrong in words."""
    status = provider["status"]
    if status == "unavailable" and provider["breaker"]["last_ok_at"] is None:
        status = "unset"
    gauges = [{"words": words, **provider["pools"][name], "name": name} for name, words in GAUGES.items()]
    error = provider["breaker"]["error_class"]
    return provider | {
        "lamp": LAMPS[status],
        "gauges": gauges,
        "error_words": ERRORS.get(error or "", error),
    }


LISTING = Panel(name="providers", template="providers/_list.html", read=_listing)
