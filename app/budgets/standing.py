"""How one budget stands: its present period, whether it warns, and whether new work is held.

The rows here are those of `queries.COLUMNS`, locked by the caller; they are changed along with the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.agents import registry
from app.budgets import periods
from app.budgets.amounts import said
from app.db import Row, db
from app.notify import outbox

HOLD = "budget"

# A budget that was stopped lets work start again when no more than this share is spent, so that it does not chatter.
RESUME_RATIO = Decimal("0.9")
UNWARN_RATIO = Decimal("0.9")  # of the share at which it warns

# What the column `spent` holds: absurd figures stop a budget, they do not break it.
MOST_SPENT = Decimal(999_999_999_999)


def words(row: Row) -> str:
    """A budget as sentences name it: `the budget "Research" of $50.00 a month`."""
    span = {"total": "in all", "day": "a day", "month": "a month"}.get(row["period"])
    span = span or f"in {row['rolling_days']} days"
    return f'the budget "{row["name"]}" of {said(row["unit"], row["limit_amount"])} {span}'


def spent_words(row: Row) -> str:
    """Why new work waits."""
    more = (
        f"; more when some of it is older than {row['rolling_days']} days"
        if row["period"] == "rolling"
        else ""
    )
    return f"{words(row)} is spent ({said(row['unit'], row['spent'])} used){more}"


def until(row: Row, now: datetime) -> datetime | None:
    """When it begins anew by itself; None: not by the calendar."""
    return periods.period_end(row["period"], now)


def start(row: Row, now: datetime) -> datetime:
    """Since when spending counts now."""
    return periods.period_start(
        row["period"], now, created_at=row["created_at"], rolling_days=row["rolling_days"]
    )


def write(row: Row, **changes: Any) -> Row:
    """Change columns of the table and of `row`."""
    sets = ", ".join(f"{name} = %({name})s" for name in changes)
    db.run(f"UPDATE budgets SET {sets} WHERE budget_id = %(id)s", id=row["budget_id"], **changes)
    row.update(changes)
    return row


def rolled(row: Row, now: datetime) -> Row:
    """The budget in its present period: a new day or month begins with nothing spent, warned of or stopped.

    Holds that a day or a month set end with it by themselves.
    """
    begun = start(row, now)
    if row["period"] not in ("day", "month") or begun <= row["period_start"]:
        return row
    return write(row, spent=Decimal(0), period_start=begun, warned_at=None, stopped_at=None)


def judge(row: Row, now: datetime, *, eager: bool = False) -> bool:
    """Warn, stop or let go on, as far as it has come; answers whether work it held may go on now.

    `eager`: somebody changed the budget, so any room is enough to go on.
    """
    spent, limit = row["spent"], row["limit_amount"]
    _judge_warning(row, now)
    stopped, over = row["stopped_at"] is not None, spent >= limit
    if not row["enabled"] or (stopped and not over and (eager or spent <= limit * RESUME_RATIO)):
        if stopped:
            write(row, stopped_at=None)
        return stopped
    if over and not stopped:
        write(row, stopped_at=now)
        hold(row, now)
        _tell("budget.stopped", row, "Work it covers waits.")
    return False


def _judge_warning(row: Row, now: datetime) -> None:
    at = row["limit_amount"] * row["warn_ratio"]
    if row["spent"] >= at and row["warned_at"] is None:
        write(row, warned_at=now)
        if row["enabled"] and row["spent"] < row["limit_amount"]:
            _tell("budget.warned", row, "When it is spent, work it covers will wait.")
    elif row["warned_at"] is not None and row["spent"] < at * UNWARN_RATIO:
        write(row, warned_at=None)


def _tell(event: str, row: Row, body: str) -> None:
    used = f"{said(row['unit'], row['spent'])} used"
    outbox.tell(
        event,
        severity="error" if event == "budget.stopped" else "warning",
        title=f"{words(row)[4:5].upper()}{words(row)[5:]}: {used}",
        body=body,
        link=f"/budgets/{row['budget_id']}",
        audience=outbox.ADMINS,
        subject=("budget", row["budget_id"]),
        group_key=f"{event}:{row['budget_id']}",
        data={"budget_id": row["budget_id"], "name": row["name"], "unit": row["unit"]},
    )


def hold(row: Row, now: datetime) -> None:
    """New work of the agents it covers is not claimed; a schedule's jobs are refused when they begin."""
    agents = covered([row])
    if agents:
        registry.hold_each(agents, HOLD, spent_words(row), until=until(row, now), subject=row["budget_id"])


def covered(rows: Iterable[Row]) -> list[str]:
    """The agents that budgets cover as a whole; a schedule's cover none, only some of their jobs."""
    found: set[str] = set()
    teams = registry.teams()
    for row in rows:
        if row["scope"] == "global":
            return sorted(teams)
        found |= {
            agent_id
            for agent_id, team in teams.items()
            if row["subject"] == {"agent": agent_id, "team": team}.get(row["scope"])
        }
    return sorted(found)
