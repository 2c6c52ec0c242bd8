"""Budgets and the jobs they hold back: what people do to a budget, with the work that may go on after it."""

from __future__ import annotations

from typing import Any

from app.budgets import changes
from app.budgets.changes import Kept
from app.db import Row
from app.jobs import lifecycle
from app.jobs.states import Reason


def create(*, by: str, **wish: Any) -> Row:
    """A new budget (changes.create); it may hold new work at once."""
    return changes.create(by=by, **wish)


def change(budget_id: str, **wish: Any) -> Row:
    """Change a budget; what it held goes on if there is room now."""
    row, freed = changes.change(budget_id, **wish)
    lifecycle.lift(freed, Reason.BUDGET)
    return row


def remove(budget_id: str) -> None:
    """Delete a budget; what it held goes on."""
    lifecycle.lift(changes.remove(budget_id), Reason.BUDGET)


def look_at(budget_id: str, *, recount: bool, kept: Kept) -> int:
    """The sweep's look at one budget; answers how many jobs it lets go on."""
    return lifecycle.lift(changes.look_at(budget_id, recount=recount, kept=kept), Reason.BUDGET)
