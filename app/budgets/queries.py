"""Reading budgets: as rows, as they are shown, and which of them holds what back."""

from __future__ import annotations

from typing import Any

from app.budgets import periods
from app.db import Row, db
from app.errors import NotFound

COLUMNS = """b.budget_id::text, b.name, b.scope, b.subject, b.unit, b.limit_amount, b.period, b.rolling_days,
    b.warn_ratio, b.enabled, b.spent, b.period_start, b.warned_at, b.stopped_at, b.created_by, b.created_at,
    b.updated_at"""

# Which budgets cover an attempt of an agent, perhaps of a schedule.
COVERING = """b.enabled AND (b.scope = 'global' OR (b.scope = 'agent' AND b.subject = %(agent)s)
    OR (b.scope = 'team' AND b.subject = (SELECT team FROM agents WHERE agent_id = %(agent)s))
    OR (b.scope = 'schedule' AND b.subject = %(schedule)s))"""

_RESERVED = (
    "(SELECT coalesce(sum(amount), 0) FROM budget_reservations r WHERE r.budget_id = b.budget_id) AS reserved"
)
_ORDER = "ORDER BY array_position(ARRAY['global','team','agent','schedule'], b.scope), b.subject, b.name, b.budget_id"


def listing() -> list[Row]:
    """All budgets, the widest first, each with what running jobs have reserved of it."""
    return db.rows(f"SELECT {COLUMNS}, {_RESERVED} FROM budgets b {_ORDER}")


def get(budget_id: str) -> Row:
    """One budget; NotFound if there is none."""
    found = db.row(f"SELECT {COLUMNS}, {_RESERVED} FROM budgets b WHERE b.budget_id = %(id)s", id=budget_id)
    if found is None:
        raise NotFound(f"there is no budget {budget_id}")
    return found


def covering(agent_id: str, schedule_id: str | None = None) -> list[Row]:
    """The budgets that an attempt of this agent draws on."""
    return db.rows(
        f"SELECT {COLUMNS}, {_RESERVED} FROM budgets b WHERE {COVERING} {_ORDER}",
        agent=agent_id,
        schedule=schedule_id,
    )


def stopped() -> int:
    """How many budgets are spent and hold new work."""
    return int(db.value("SELECT count(*) FROM budgets WHERE enabled AND stopped_at IS NOT NULL"))


def state(row: Row) -> str:
    """How it stands: off, ok, warned or stopped."""
    if not row["enabled"]:
        return "off"
    return "stopped" if row["stopped_at"] else "warned" if row["warned_at"] else "ok"


def public(row: Row) -> dict[str, Any]:
    """A budget as it is shown: with its state, its share spent, and when its period ends."""
    limit = row["limit_amount"]
    return {
        "budget_id": row["budget_id"],
        "name": row["name"],
        "scope": row["scope"],
        "subject": row["subject"],
        "unit": row["unit"],
        "limit": limit,
        "period": row["period"],
        "rolling_days": row["rolling_days"],
        "warn_ratio": row["warn_ratio"],
        "enabled": row["enabled"],
        "spent": row["spent"],
        "reserved": row["reserved"],
        "left": max(limit - row["spent"], limit * 0),
        "spent_ratio": round(row["spent"] / limit, 4),
        "state": state(row),
        "period_start": row["period_start"],
        "period_end": periods.period_end(row["period"], row["period_start"]),
        "warned_at": row["warned_at"],
        "stopped_at": row["stopped_at"],
        "created_by": row["created_by"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
