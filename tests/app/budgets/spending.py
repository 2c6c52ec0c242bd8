"""Short ways to spend, for tests inside `db.quick()`."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app import clock
from app.budgets import changes, ledger, limits
from app.budgets.ledger import Spender
from app.budgets.limits import Holding
from app.budgets.tally import Part
from app.db import Row, db
from app.jobs.claims import Claim
from tests import acting

_numbers = itertools.count(1)


def spender(claim: Claim) -> Spender:
    """Whoever has this claim."""
    return Spender(
        job_id=claim.job_id,
        fence=claim.fence,
        agent_id=claim.agent_id,
        submitted_by=claim.submitted_by,
        schedule_id=claim.schedule_id,
    )


def begun(agent_id: str = "test-noop", **wish: Any) -> Spender:
    """A running attempt."""
    return spender(acting.claimed(agent_id, **wish))


def part(usd: str | None = None, tokens: int = 0, **told: Any) -> Part:
    """A part of a call of its own, unless `call_id` and `part` are told."""
    cost = None if usd is None else Decimal(usd)
    values: dict[str, Any] = {
        "call_id": f"call-{next(_numbers)}",
        "part": 1,
        "provider": "openai",
        "model": "gpt",
        "input_tokens": tokens,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": cost,
        "cost_status": "unpriced" if cost is None else "derived",
        "billing": "api",
        "price_version": None,
    }
    return Part(**(values | told))


def spend(
    who: Spender, usd: str | None = None, tokens: int = 0, *, at: datetime | None = None, **told: Any
) -> None:
    """Write a call into the ledger, past all budgets."""
    ledger.append(who, [part(usd, tokens, **told)], at=at)


def ago(**how_long: float) -> datetime:
    """A moment in the past."""
    return clock.now() - timedelta(**how_long)


def budget(**wish: Any) -> Row:
    """A budget; $1.00 a month for everything unless told."""
    told = {"name": "one", "scope": "global", "unit": "usd", "limit_amount": 1, "period": "month"} | wish
    return changes.create(by="ada", **told)


def settle(who: Spender, *parts: Part, minutes: str = "0", known: bool = True) -> list[Holding]:
    """Settle in a transaction, as a purse does."""
    with db.transaction():
        ids = {row["budget_id"] for row in db.rows("SELECT budget_id::text FROM budgets")} if known else set()
        return limits.settle(who, list(parts), Decimal(minutes), known=ids)


def reserve(who: Spender) -> limits.Reserved:
    """Reserve in a transaction, as a purse does."""
    with db.transaction():
        return limits.reserve(who)


def of(budget_id: str) -> Row:
    """The budget's row, with what is reserved."""
    row = db.row(
        """SELECT *, (SELECT coalesce(sum(amount), 0) FROM budget_reservations r
                      WHERE r.budget_id = b.budget_id) AS reserved
           FROM budgets b WHERE budget_id = %(id)s""",
        id=budget_id,
    )
    assert row is not None
    return row
