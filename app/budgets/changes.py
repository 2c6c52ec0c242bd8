"""What people do to budgets, and the sweep that keeps them right."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import uuid_utils.compat

from app import clock
from app.agents import registry
from app.budgets import ledger, standing
from app.budgets.amounts import UNITS, exact
from app.budgets.periods import PERIODS, period_start
from app.budgets.queries import COLUMNS, get
from app.db import Row, db
from app.errors import Invalid, NotFound

SCOPES = ("agent", "schedule", "team", "global")
LARGEST_LIMIT = Decimal(1_000_000_000)
SMALLEST_LIMIT = Decimal("0.000001")
LONGEST_NAME = 100
MOST_DAYS = 366
CHANGEABLE = ("name", "limit_amount", "period", "rolling_days", "warn_ratio", "enabled")


@dataclass(frozen=True)
class Kept:
    """For how many days what is summed is kept: rows of the ledger, and attempts of finished jobs."""

    ledger_days: int
    attempt_days: int

    def whole_since(self, unit: str, now: datetime) -> datetime:
        """Since when nothing of this unit is missing."""
        return now - timedelta(days=self.ledger_days if unit in ("usd", "tokens") else self.attempt_days)


# -- what people do


def create(*, by: str, **wish: Any) -> Row:
    """A new budget, already charged with what its present period has seen; Invalid says what is wrong with it.

    `wish`: name, scope, subject, unit, limit_amount, period, rolling_days, warn_ratio, enabled.
    """
    fields = checked(wish)
    budget_id, now = str(uuid_utils.compat.uuid7()), clock.now()
    start = period_start(fields["period"], now, created_at=now, rolling_days=fields["rolling_days"])
    db.run(
        """INSERT INTO budgets (budget_id, name, scope, subject, unit, limit_amount, period, rolling_days, warn_ratio,
                                enabled, period_start, created_by, created_at)
           VALUES (%(id)s, %(name)s, %(scope)s, %(subject)s, %(unit)s, %(limit_amount)s, %(period)s, %(rolling_days)s,
                   %(warn_ratio)s, %(enabled)s, %(start)s, %(by)s, %(now)s)""",
        id=budget_id,
        start=start,
        by=by,
        now=now,
        **fields,
    )
    look_at(budget_id, eager=True)
    cover()
    return get(budget_id)


def change(budget_id: str, **wish: Any) -> tuple[Row, list[str]]:
    """Change a budget; answers it, and the agents whose held jobs may go on (`lifecycle.lift`).

    What is left out stays. Scope, subject and unit never change: that would be another budget.
    """
    row = _locked(budget_id)
    if wish.get("period", "rolling") != "rolling":
        wish.setdefault("rolling_days", None)
    fields = checked({name: row[name] for name in (*CHANGEABLE, "scope", "subject", "unit")} | wish)
    changes = {name: fields[name] for name in CHANGEABLE}
    if changes["period"] != row["period"]:
        changes["period_start"] = standing.start(row | changes, clock.now())
    standing.write(row, **changes, updated_at=clock.now())
    freed = look_at(budget_id, eager=True)
    cover()
    return get(budget_id), freed


def remove(budget_id: str) -> list[str]:
    """Delete a budget, what is reserved of it and its holds; answers the agents whose held jobs may go on."""
    row = _locked(budget_id)
    freed = _free(row)
    db.run("DELETE FROM budgets WHERE budget_id = %(id)s", id=budget_id)
    cover()
    return freed


def checked(wish: dict[str, Any]) -> dict[str, Any]:
    """A budget as it is stored; Invalid points at everything that is wrong with it."""
    fields = {
        "name": str(wish.get("name") or "").strip(),
        "scope": wish.get("scope"),
        "subject": wish.get("subject") or None,
        "unit": wish.get("unit"),
        "limit_amount": _number(wish.get("limit_amount")),
        "period": wish.get("period") or "month",
        "rolling_days": wish.get("rolling_days"),
        "warn_ratio": _number(wish.get("warn_ratio", "0.8")),
        "enabled": wish.get("enabled") is not False,
    }
    if fields["scope"] == "agent" and fields["subject"]:
        fields["subject"] = registry.normal_id(str(fields["subject"]))
    wrong = [*_wrong_words(fields), *_wrong_amounts(fields), *_wrong_subject(fields)]
    if wrong:
        raise Invalid(f"{wrong[0][0][1:]} {wrong[0][1]}", wrong)
    return fields


def _number(amount: Any) -> Decimal | None:
    try:
        found = exact(amount)
    except ArithmeticError:
        return None
    return found if found.is_finite() else None


def _wrong_words(fields: dict[str, Any]) -> list[tuple[str, str]]:
    wrong = []
    if not 1 <= len(fields["name"]) <= LONGEST_NAME or "\x00" in fields["name"]:
        wrong.append(("/name", f"must have 1 to {LONGEST_NAME} characters"))
    for name, known in (("scope", SCOPES), ("unit", UNITS), ("period", PERIODS)):
        if fields[name] not in known:
            wrong.append((f"/{name}", f"must be one of {', '.join(known)}"))
    return wrong


def _wrong_amounts(fields: dict[str, Any]) -> list[tuple[str, str]]:
    wrong, limit, days = [], fields["limit_amount"], fields["rolling_days"]
    if limit is None or not SMALLEST_LIMIT <= limit <= LARGEST_LIMIT:
        wrong.append(("/limit", f"must be at least {SMALLEST_LIMIT:f} and at most {LARGEST_LIMIT:,}"))
    elif fields["unit"] in ("tokens", "runs") and limit != int(limit):
        wrong.append(("/limit", f"must be a whole number of {fields['unit']}"))
    if fields["period"] == "rolling" and not (isinstance(days, int) and 1 <= days <= MOST_DAYS):
        wrong.append(("/rolling_days", f"must be 1 to {MOST_DAYS} for a rolling period"))
    if fields["period"] != "rolling" and days is not None:
        wrong.append(("/rolling_days", "is for a rolling period only"))
    if fields["warn_ratio"] is None or not Decimal("0.001") <= fields["warn_ratio"] <= 1:
        wrong.append(("/warn_ratio", "must be more than 0 and at most 1"))
    return wrong


def _wrong_subject(fields: dict[str, Any]) -> list[tuple[str, str]]:
    scope, subject = fields["scope"], fields["subject"]
    if scope == "global":
        return [("/subject", "must be left out: a global budget covers everything")] if subject else []
    if not subject:
        return [("/subject", f"is required: which {scope}?")] if scope in SCOPES else []
    teams = registry.teams()
    if scope == "agent" and subject not in teams:
        return [("/subject", f"there is no agent {subject!r}")]
    if scope == "team" and subject not in teams.values():
        return [("/subject", f"no agent belongs to a team {subject!r}")]
    if scope == "schedule" and not _is_uuid(subject):
        return [("/subject", "must be the id of a schedule")]
    return []


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _locked(budget_id: str) -> Row:
    row = db.row(f"SELECT {COLUMNS} FROM budgets b WHERE b.budget_id = %(id)s FOR UPDATE", id=budget_id)
    if row is None:
        raise NotFound(f"there is no budget {budget_id}")
    return row


# -- the sweep


def ids() -> list[str]:
    """All budgets, in the order in which rows are locked."""
    return [
        row["budget_id"] for row in db.rows("SELECT budget_id::text FROM budgets ORDER BY budgets.budget_id")
    ]


def look_at(
    budget_id: str, *, recount: bool = True, eager: bool = False, kept: Kept | None = None
) -> list[str]:
    """Bring one budget up to date; answers the agents whose held jobs may go on. NotFound: it was deleted.

    The period rolls over; with `recount` what is spent is summed anew from the ledger and the attempts, which also
    mends whatever a killed worker left. A budget that is stopped also holds agents that came later.
    """
    row, now = _locked(budget_id), clock.now()
    before = row["stopped_at"]
    standing.rolled(row, now)
    if recount and row["enabled"]:
        _recount(row, now, kept)
    resumes = standing.judge(row, now, eager=eager)
    if row["stopped_at"] is not None:
        standing.hold(row, now)
        return registry.unhold(standing.HOLD, budget_id, but=standing.covered([row]))
    return _free(row) if resumes or before is not None else []


def _recount(row: Row, now: datetime, kept: Kept | None) -> None:
    """What is spent is what was written down; where old rows may be gone already it never goes down."""
    start = standing.start(row, now)
    counted = min(ledger.spent(row["unit"], row["scope"], row["subject"], start), standing.MOST_SPENT)
    if kept and start < kept.whole_since(row["unit"], now) and row["period"] != "rolling":
        counted = max(counted, row["spent"])
    if counted != row["spent"] or start != row["period_start"]:
        standing.write(row, spent=counted, period_start=start)


def _free(row: Row) -> list[str]:
    """Lift the holds of a budget; answers the agents that may have jobs it handed back."""
    agents = registry.unhold(standing.HOLD, row["budget_id"])
    if row["scope"] == "schedule":
        found = db.rows(
            """SELECT DISTINCT agent_id FROM jobs WHERE schedule_id = %(id)s::uuid AND status = 'retry'
               AND status_reason = 'budget'""",
            id=row["subject"],
        )
        agents += [one["agent_id"] for one in found]
    return sorted({*agents, *standing.covered([row])})


def cover() -> None:
    """Tell the registry which agents a budget covers: only theirs ask for budgets when they begin."""
    registry.set_budgeted(standing.covered(db.rows(f"SELECT {COLUMNS} FROM budgets b WHERE b.enabled")))


def tidy() -> int:
    """Take back what ended attempts have reserved, and holds of budgets that hold nothing; answers how many."""
    freed = db.run(
        """DELETE FROM budget_reservations r WHERE NOT EXISTS (
               SELECT 1 FROM jobs j WHERE j.job_id = r.job_id AND j.fence = r.fence AND j.status = 'running')"""
    )
    stale = db.run(
        """DELETE FROM agent_holds h WHERE h.code = 'budget' AND NOT EXISTS (
               SELECT 1 FROM budgets b WHERE b.budget_id::text = h.subject AND b.enabled
                 AND b.stopped_at IS NOT NULL)"""
    )
    return freed + stale
