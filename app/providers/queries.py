"""Reading providers: all, one, the chain an agent asks in, and how people and programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import clock
from app.db import Row, db
from app.errors import NotFound
from app.providers.pools import Rooms

_READ = """
    SELECT p.*, coalesce(c.calls, 0) AS calls, clock_timestamp() AS now
    FROM providers p LEFT JOIN (
        SELECT provider_id, count(*) AS calls FROM provider_passes WHERE expires_at > clock_timestamp()
        GROUP BY provider_id) c USING (provider_id)"""


def every() -> list[Row]:
    """All providers: the common order first, then those that only answer to their name."""
    return db.rows(_READ + " ORDER BY p.position NULLS LAST, p.demo, p.provider_id")


def get(provider_id: str) -> Row:
    """The provider with this id; NotFound names it."""
    found = db.row(_READ + " WHERE p.provider_id = %(id)s", id=provider_id)
    if found is None:
        raise NotFound(f"there is no provider {provider_id!r}")
    return found


def in_chain(rows: list[Row], wanted: list[str] | None) -> list[Row | str]:
    """Of all providers those to try, in order; a wanted id that nobody has stands there as it is.

    None is the common order: what is switched on and has a place in it. A demo never has one.
    """
    if wanted is None:
        return [row for row in rows if row["enabled"] and row["position"] is not None and not row["demo"]]
    known = {row["provider_id"]: row for row in rows}
    return [known.get(provider_id, provider_id) for provider_id in wanted]


def condition(row: Row, now: datetime | None = None) -> str:
    """How a provider is, in one word: off, open, waking, probing, unavailable, degraded, ready or unknown.

    `waking` is open with its time over: the next call finds out. `unknown`: no worker has looked yet.
    """
    if not row["enabled"]:
        return "off"
    if row["state"] == "half_open":
        return "probing"
    if row["state"] == "open":
        over = row["open_until"] is None or row["open_until"] <= (now or clock.now())
        return "waking" if over else "open"
    return str(row["health_status"] or "unknown")


def reason(row: Row, now: datetime | None = None) -> str | None:
    """Why a provider is not simply ready, in words; None if it is."""
    match condition(row, now):
        case "off":
            return "switched off by an admin"
        case "open" | "waking" | "probing":
            return f"{row['error_class']}: {row['last_error']}"
        case "unknown":
            return "no worker has looked at it yet"
    return str(row["health_reason"]) if row["health_reason"] else None


def public(row: Row) -> dict[str, Any]:
    """A provider as the API and the page show it; nothing in it is secret."""
    rooms = Rooms.of(row, row["now"])
    return {
        **{name: row[name] for name in _SHOWN},
        "status": condition(row, row["now"]),
        "changed_by_admin": sorted(row["admin_set"]),
        "pools": {
            "requests": _gauge(row["requests_per_minute"], rooms.requests),
            "tokens": _gauge(row["tokens_per_minute"], rooms.tokens),
            "calls": {"limit": row["max_concurrent"], "used": row["calls"]},
        },
        "breaker": {name: row[name] for name in _BREAKER},
        "health": {
            "status": row["health_status"] or "unknown",
            "reason": row["health_reason"],
            "checked_at": row["health_at"],
        },
    }


_SHOWN = (
    "provider_id", "title", "kind", "base_url", "key_name", "model", "billing", "demo", "position", "enabled",
    "source", "updated_at",
)  # fmt: skip
_BREAKER = (
    "state", "open_until", "opened_at", "failures", "trips", "error_class", "last_error", "last_failed_at",
    "last_ok_at",
)  # fmt: skip


def _gauge(limit: int | None, room: float | None) -> dict[str, int | None]:
    """How much of a minute's pool is used just now; a debt shows as more than all."""
    return {"limit": limit, "used": None if limit is None or room is None else round(limit - room)}
