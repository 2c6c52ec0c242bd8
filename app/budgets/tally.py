"""What the calls of one attempt used, added up: cumulative figures come in, differences go out to the ledger.

A figure of a call never goes down, whatever its provider says later: what the ledger has cannot be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from app.budgets.usage import CostStatus, Usage
from app.db import storable

COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
TOTALS = COUNTS[:4]

# Whatever a broken client says, the ledger takes it and sums of it still fit.
MOST_TOKENS = 2**40
MOST_USD = Decimal(1_000_000)
SMALLEST_USD = Decimal("0.00000001")
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Part:
    """One row of the ledger to be: what a call used since its last part."""

    call_id: str
    part: int
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    cost_status: CostStatus
    billing: str
    price_version: str | None


class Tally:
    """The calls of one attempt. Not for two threads at once."""

    def __init__(self) -> None:
        """Nothing was used."""
        self._calls: dict[str, Usage] = {}
        self._told: dict[str, tuple[Usage | None, int]] = {}
        self._changed: dict[str, None] = {}
        self._counts = dict.fromkeys(COUNTS, 0)
        self._cost = Decimal(0)
        self._priced = 0
        self._statuses: dict[str, int] = {}
        self._unpriced_tokens = 0
        self._last: Usage | None = None

    def add(self, usage: Usage) -> Usage:
        """Take what a call used until now; answers it as it is counted."""
        usage = cleaned(usage)
        before = self._calls.get(usage.call_id)
        now = _never_less(before, usage) if before else usage
        self._calls[usage.call_id] = self._last = now
        self._changed[usage.call_id] = None
        self._count(before, -1)
        self._count(now, +1)
        return now

    def _count(self, usage: Usage | None, sign: int) -> None:
        if usage is None:
            return
        for name in COUNTS:
            self._counts[name] += sign * getattr(usage, name)
        self._statuses[usage.cost_status] = self._statuses.get(usage.cost_status, 0) + sign
        if usage.cost_usd is None:
            self._unpriced_tokens += sign * usage.tokens
        else:
            self._cost += sign * usage.cost_usd
            self._priced += sign

    def take(self) -> list[Part]:
        """What is new since the last time, as parts to write."""
        parts = [part for call_id in self._changed if (part := self._difference(call_id))]
        self._changed.clear()
        return parts

    def _difference(self, call_id: str) -> Part | None:
        now, (told, number) = self._calls[call_id], self._told.get(call_id, (None, 0))
        counts = {name: getattr(now, name) - (getattr(told, name) if told else 0) for name in COUNTS}
        cost = None if now.cost_usd is None else now.cost_usd - ((told and told.cost_usd) or 0)
        same_price = told is not None and told.cost_status == now.cost_status
        if not any(counts.values()) and not cost and same_price:
            return None
        self._told[call_id] = (now, number + 1)
        return Part(
            call_id=call_id,
            part=number + 1,
            provider=now.provider,
            model=now.model,
            **counts,
            cost_usd=cost,
            cost_status=now.cost_status,
            billing=now.billing,
            price_version=now.price_version,
        )

    def used(self, unit: str) -> Decimal:
        """Dollars or tokens, all calls together; of other units nothing is known here."""
        if unit == "usd":
            return self._cost
        return Decimal(sum(self._counts[name] for name in TOTALS)) if unit == "tokens" else Decimal(0)

    def totals(self) -> dict[str, Any]:
        """The figures of all calls together, as the status document shows them.

        `cost_usd` is what the priced calls cost, None if none is; `unpriced_tokens` are those of the others.
        """
        totals: dict[str, Any] = {name: self._counts[name] for name in TOTALS}
        totals |= {
            "cost_usd": float(self._cost) if self._priced else None,
            "cost_status": self._status(),
            "model": self._last.model if self._last else None,
            "provider": self._last.provider if self._last else None,
            "billing": self._last.billing if self._last else None,
        }
        return totals | ({"unpriced_tokens": self._unpriced_tokens} if self._unpriced_tokens else {})

    def _status(self) -> CostStatus:
        worst: tuple[CostStatus, ...] = ("unpriced", "unaccounted", "derived", "reported")
        return next((status for status in worst if self._statuses.get(status)), "unaccounted")


def cleaned(usage: Usage) -> Usage:
    """The same usage with figures that can be priced, summed and stored, whatever a client made of them."""
    counts: dict[str, Any] = {name: _whole(getattr(usage, name)) for name in COUNTS}
    cost = usage.cost_usd
    if cost is not None:
        # Too much is not nothing: it must stop who has a budget.
        cost = max(Decimal(0), min(cost, MOST_USD)).quantize(SMALLEST_USD) if cost.is_finite() else None
    return replace(
        usage,
        **counts,
        call_id=_name(usage.call_id),
        provider=_name(usage.provider),
        model=_name(usage.model),
        billing=usage.billing if usage.billing in ("api", "subscription", "local") else "api",
        cost_usd=cost,
        cost_status=_honest(usage.cost_status, cost),
    )


def _whole(told: Any) -> int:
    try:
        return max(0, min(MOST_TOKENS, int(told)))
    except (TypeError, ValueError, OverflowError):  # nothing, a word, NaN, infinity
        return 0


def _name(text: str) -> str:
    return storable(str(text))[:LONGEST_NAME] or "unknown"


def _honest(status: CostStatus, cost: Decimal | None) -> CostStatus:
    if cost is None:
        return "unaccounted" if status == "unaccounted" else "unpriced"
    return "derived" if status == "derived" else "reported"


def _never_less(before: Usage, now: Usage) -> Usage:
    kept: dict[str, Any] = {name: max(getattr(before, name), getattr(now, name)) for name in COUNTS}
    if before.cost_usd is not None and now.cost_usd is None:
        kept |= {name: getattr(before, name) for name in ("cost_usd", "cost_status", "price_version")}
    elif before.cost_usd is not None and now.cost_usd is not None:
        kept["cost_usd"] = max(before.cost_usd, now.cost_usd)
    return replace(now, **kept)
