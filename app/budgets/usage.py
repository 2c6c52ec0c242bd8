"""What one model call used: the value that runners meter and the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

CostStatus = Literal["reported", "derived", "unpriced", "unaccounted"]
Billing = Literal["api", "subscription", "local"]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Everything one call used until now; metering the same `call_id` again replaces it (never going down).

    `input_tokens` excludes what was read from or written to a cache; `output_tokens` includes reasoning.
    """

    call_id: str
    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None
    """None: to be derived from the price list, if it knows the model."""
    cost_status: CostStatus = "unpriced"
    billing: Billing = "api"
    price_version: str | None = None
    final: bool = False
    """The call is over; no more will come."""

    @classmethod
    def read(cls, told: dict[str, Any]) -> Usage:
        """The value of a dict in which the cost may be text; raises TypeError or ValueError for anything odd."""
        cost = told.get("cost_usd")
        try:
            return cls(**{**told, "cost_usd": None if cost is None else Decimal(str(cost))})
        except InvalidOperation as odd:
            raise ValueError(f"{cost!r} is no amount of money") from odd

    @property
    def tokens(self) -> int:
        """All tokens, as token budgets count them."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens
