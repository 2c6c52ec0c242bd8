"""Limits on what may be used: reserved before it is used, settled from the ledger, stopped when it is spent.

    reserve (an attempt begins) → settle (while it runs, each time with a fresh slice) → give_back (it ended)

What is spent and what is set aside together never exceed a limit: every change locks the rows of all budgets that
cover an attempt, in the order of their ids, and nothing else is locked before them. `spent` is a sum kept beside the
ledger; the ledger is right. None of these functions commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from app import clock
from app.budgets import ledger, standing
from app.budgets.amounts import said
from app.budgets.ledger import Spender
from app.budgets.queries import COLUMNS, COVERING
from app.budgets.tally import Part
from app.db import Row, db
from app.errors import Held

# Of what is left, an attempt sets aside so much at a time: all that start together get some, and few come back often.
SLICE = Decimal("0.1")
LEAST_SLICE = {"usd": Decimal("0.001"), "tokens": Decimal("0.001")}  # of the limit
LEAST_MINUTES = Decimal(5) / 60
SMALLEST = Decimal("0.00000001")

# When all of it is set aside for jobs that run, some of it may come back.
SOON = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What an attempt may use of one shared budget before it must come back."""

    budget_id: str
    name: str
    unit: str
    limit: Decimal
    spent: Decimal
    amount: Decimal
    """Set aside for this attempt and not used yet."""
    room: Decimal
    """Not spent, and not set aside for others."""
    warns: bool
    """So much is spent that people should know."""
    words: str
    """`the budget "Research" of $50.00 a month`"""

    @property
    def refusal(self) -> str | None:
        """Why nothing more may be used; None: there is more. A count of runs stops only what has not begun."""
        if self.unit == "runs" or self.room > 0:
            return None
        if self.spent >= self.limit:
            return f"{self.words} is spent: {said(self.unit, self.spent)} used"
        rest = said(self.unit, self.limit - self.spent)
        return f"{self.words} has nothing left: the last {rest} are set aside for other running jobs"


@dataclass(frozen=True)
class Reserved:
    """What a new attempt got: its holdings, or why it may not begin now."""

    holdings: list[Holding]
    refused: Held | None = None


def be_brief(patience_seconds: float = 2) -> None:
    """Give up soon when another process sits on a row, and do not sit on one: said once per transaction."""
    db.run(
        "SET LOCAL lock_timeout = %(ms)s; SET LOCAL idle_in_transaction_session_timeout = '10s'",
        ms=int(1000 * patience_seconds),
    )


def reserve(spender: Spender) -> Reserved:
    """Take a slice of every budget that covers a new attempt, or of none if one of them has nothing left."""
    now = clock.now()
    rows = _lock(spender, now)
    for row in rows:
        if row["limit_amount"] - row["spent"] - row["others"] <= 0:
            standing.judge(row, now)
            return Reserved([], _refusal(row, now))
    return Reserved([_take(row, spender, _first(row), now) for row in rows])


def _first(row: Row) -> Decimal:
    return Decimal(1) if row["unit"] == "runs" else Decimal(0)


def settle(spender: Spender, parts: list[Part], minutes: Decimal, *, known: set[str]) -> list[Holding]:
    """Write `parts` to the ledger, and count them and `minutes` where a budget covers them; answers new slices.

    Safe to say again after an answer was lost: parts that are in the ledger are not counted twice. Budgets that are
    not `known` to the attempt were made while it ran, and have counted its minutes until then.
    """
    now = clock.now()
    rows = _lock(spender, now)
    added = ledger.append(spender, parts)
    used = {"usd": added.usd, "tokens": added.tokens}

    def of(row: Row) -> Decimal:
        lasted = minutes if row["budget_id"] in known and row["unit"] == "minutes" else Decimal(0)
        return used.get(row["unit"], lasted)

    return [_take(row, spender, of(row), now) for row in rows]


def give_back(spender: Spender) -> None:
    """The attempt ended: what it had set aside is free again."""
    db.run(
        "DELETE FROM budget_reservations WHERE job_id = %(job)s AND fence = %(fence)s",
        job=spender.job_id,
        fence=spender.fence,
    )


def _lock(spender: Spender, now: datetime) -> list[Row]:
    """The covering budgets, locked and in their present period; `others` is what other attempts have set aside."""
    rows = db.rows(
        f"SELECT {COLUMNS} FROM budgets b WHERE {COVERING} ORDER BY b.budget_id FOR UPDATE",
        agent=spender.agent_id,
        schedule=spender.schedule_id,
    )
    if not rows:
        return []
    # Asked when the locks are held: the statement before would still see what was set aside before it waited.
    others = db.rows(
        """SELECT budget_id::text, sum(amount) AS amount FROM budget_reservations
           WHERE budget_id = ANY(%(ids)s::uuid[]) AND (job_id, fence) <> (%(job)s::uuid, %(fence)s)
           GROUP BY budget_id""",
        ids=[row["budget_id"] for row in rows],
        job=spender.job_id,
        fence=spender.fence,
    )
    aside = {row["budget_id"]: row["amount"] for row in others}
    return [standing.rolled(row, now) | {"others": aside.get(row["budget_id"], Decimal(0))} for row in rows]


def _take(row: Row, spender: Spender, used: Decimal, now: datetime) -> Holding:
    """Count `used`, set a fresh slice aside, and see whether people must be told or new work be held."""
    row["spent"] = min(row["spent"] + used, standing.MOST_SPENT)
    room = row["limit_amount"] - row["spent"] - row["others"]
    amount = _slice(row, room)
    db.run(
        """UPDATE budgets SET spent = %(spent)s WHERE budget_id = %(id)s;
           INSERT INTO budget_reservations (budget_id, job_id, fence, amount)
           VALUES (%(id)s, %(job)s, %(fence)s, %(amount)s)
           ON CONFLICT (budget_id, job_id, fence) DO UPDATE SET amount = excluded.amount, at = now()""",
        spent=row["spent"],
        id=row["budget_id"],
        job=spender.job_id,
        fence=spender.fence,
        amount=amount,
    )
    standing.judge(row, now)
    return Holding(
        budget_id=row["budget_id"],
        name=row["name"],
        unit=row["unit"],
        limit=row["limit_amount"],
        spent=row["spent"],
        amount=amount,
        room=room,
        warns=row["warned_at"] is not None,
        words=standing.words(row),
    )


def _slice(row: Row, room: Decimal) -> Decimal:
    if room <= 0 or row["unit"] == "runs":
        return Decimal(0)
    share = LEAST_SLICE.get(row["unit"])
    least = LEAST_MINUTES if share is None else row["limit_amount"] * share
    return min(room, max(least, room * SLICE)).quantize(SMALLEST, ROUND_DOWN)


def _refusal(row: Row, now: datetime) -> Held:
    """An agent's jobs are not even claimed while a hold is on it; a schedule's are handed back one by one."""
    if row["stopped_at"] is None:
        said_so = f"{standing.words(row)} is set aside for running jobs"
        return Held(standing.HOLD, said_so, until=now + SOON, subject=row["budget_id"])
    until = standing.until(row, now)
    return Held(standing.HOLD, standing.spent_words(row), until=until, subject=row["budget_id"])
