"""What model calls cost: prices of our own first, then the list that came with genai-prices.

    price("anthropic", "claude-sonnet-5-5", usage, at) -> Priced(cost_usd, status, version)

Cheap enough to be asked at every beat: own prices are read at most every CACHE_SECONDS, and the list is loaded
when the first price is asked for (it takes half a second and 30 MB, which most processes never need). Nothing is
ever guessed: a model that neither knows is `unpriced`. What runs on one's own machine costs nothing.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Protocol

from app.db import AWAY, Row, db
from app.errors import Invalid, NotFound

CACHE_SECONDS = 15.0
MILLION = Decimal(1_000_000)
PLACES = Decimal("0.00000001")
LOCAL = "local"
MOST_USD = Decimal(100_000)

# Our names for providers, where the list has another.
LISTED_AS = {"gemini": "google", "codex": "openai", "claude": "anthropic"}


class Used(Protocol):
    """What a call used until now, and how it is paid for; the budgets' Usage is one."""

    @property
    def input_tokens(self) -> int:
        """Without those that were read from or written to a cache."""

    @property
    def output_tokens(self) -> int:
        """With those of reasoning."""

    @property
    def cache_read_tokens(self) -> int:
        """Input that the provider had kept."""

    @property
    def cache_write_tokens(self) -> int:
        """Input that it keeps now."""

    @property
    def cost_usd(self) -> Decimal | None:
        """What the provider says that it cost."""

    @property
    def cost_status(self) -> str:
        """`reported` if it did say so."""

    @property
    def billing(self) -> str:
        """api, subscription or local."""

    @property
    def price_version(self) -> str | None:
        """Where a cost that is known came from."""


@dataclass(frozen=True)
class Tokens:
    """Used tokens and nothing else."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal | None = None
    cost_status: str = "unpriced"
    billing: str = "api"
    price_version: str | None = None


@dataclass(frozen=True)
class Priced:
    """What a call cost, if anybody knows."""

    cost_usd: Decimal | None
    status: Literal["reported", "derived", "unpriced"]
    version: str | None
    """Whose price it was: `genai-prices 0.2.3`, `own 2026-11-22`, `local`."""


UNPRICED = Priced(None, "unpriced", None)


def price(provider: str, model: str, usage: Used, at: datetime) -> Priced:
    """The cost of what was used until now. What the provider itself reported stays; local calls cost nothing."""
    if usage.cost_usd is not None and usage.cost_status == "reported":
        return Priced(usage.cost_usd, "reported", usage.price_version)
    if usage.billing == LOCAL:
        return Priced(Decimal(0), "derived", LOCAL)
    own = _shelf.find(provider, model, at)
    if own is not None:
        return Priced(_by_own(own, usage), "derived", f"own {own['valid_from'].isoformat()}")
    return _by_list(provider, model, usage, at)


def _by_own(row: Row, usage: Used) -> Decimal:
    read = row["cache_read_usd"] if row["cache_read_usd"] is not None else row["input_usd"]
    write = row["cache_write_usd"] if row["cache_write_usd"] is not None else row["input_usd"]
    cost = (
        usage.input_tokens * row["input_usd"]
        + usage.output_tokens * row["output_usd"]
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
    )
    return Decimal(cost / MILLION).quantize(PLACES)


def _by_list(provider: str, model: str, usage: Used, at: datetime) -> Priced:
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    listed, name = _in_the_list(provider, model)
    # The list counts what was read from a cache, or written to it, as input too.
    whole = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    counted = Counted(
        input_tokens=whole,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        found = calc_price(counted, name, provider_id=listed, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return UNPRICED
    return Priced(found.total_price.quantize(PLACES), "derived", _list_version())


def _in_the_list(provider: str, model: str) -> tuple[str, str]:
    """Provider and model as the list knows them; Hugging Face's prices are those of the host behind it."""
    if provider == "huggingface" and ":" in model:
        name, _, host = model.rpartition(":")
        return f"huggingface_{host}", name
    return LISTED_AS.get(provider, provider), model


@cache
def _list_version() -> str:
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


@dataclass
class _Shelf:
    """Own prices, read a moment ago; while Postgres is away the last ones hold."""

    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    read_at: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, provider: str, model: str, at: datetime) -> Row | None:
        """The price that holds for a model on that day (UTC), if there is one."""
        day = at.astimezone(UTC).date()
        return next(
            (row for row in self._fresh().get((provider, model), ()) if row["valid_from"] <= day), None
        )

    def _fresh(self) -> dict[tuple[str, str], list[Row]]:
        stale = time.monotonic() - self.read_at > CACHE_SECONDS
        # One thread reads; the others take what there is, but for the first time.
        if stale and self.lock.acquire(blocking=self.read_at == float("-inf")):
            try:
                if time.monotonic() - self.read_at > CACHE_SECONDS:
                    self._read()
                    self.read_at = time.monotonic()
            finally:
                self.lock.release()
        return self.rows

    def _read(self) -> None:
        found: dict[tuple[str, str], list[Row]] = {}
        try:
            with db.quick():
                for row in listed():
                    found.setdefault((row["provider_id"], row["model"]), []).append(row)
        except AWAY:
            return
        self.rows = found

    def forget(self) -> None:
        """Read anew at the next question."""
        self.read_at = float("-inf")


_shelf = _Shelf()
forget = _shelf.forget


# -- prices of our own


def listed() -> list[Row]:
    """Every price of our own, the newest of each model first."""
    return db.rows("SELECT * FROM prices ORDER BY provider_id, model, valid_from DESC")


def put(provider_id: str, model: str, valid_from: date, *, by: str, **usd: Decimal | None) -> Row:
    """Set what a model costs from a day on: input_usd, output_usd, cache_read_usd, cache_write_usd for a million tokens.

    Without a price for cached tokens they cost what input costs. The ledger's entries of before stay as they are.
    """
    wrong: list[tuple[str, str]] = [
        (f"/{name}", f"must be an amount from 0 to {MOST_USD:,} dollars")
        for name, amount in usd.items()
        if amount is not None and not (amount.is_finite() and 0 <= amount <= MOST_USD)
    ]
    wrong += [(f"/{name}", "is required") for name in ("input_usd", "output_usd") if usd.get(name) is None]
    wrong += [
        (f"/{name}", "must be a text of 1 to 200 characters")
        for name, text in (("provider_id", provider_id), ("model", model))
        if not 0 < len(text.strip()) <= 200 or "\x00" in text
    ]
    if wrong:
        raise Invalid("This cannot be a price.", wrong)
    row = db.row(
        """INSERT INTO prices (provider_id, model, valid_from, input_usd, output_usd, cache_read_usd, cache_write_usd, changed_by)
           VALUES (%(provider)s, %(model)s, %(day)s, %(input)s, %(output)s, %(read)s, %(write)s, %(by)s)
           ON CONFLICT (provider_id, model, valid_from) DO UPDATE SET input_usd = excluded.input_usd,
               output_usd = excluded.output_usd, cache_read_usd = excluded.cache_read_usd,
               cache_write_usd = excluded.cache_write_usd, changed_by = excluded.changed_by, changed_at = now()
           RETURNING *""",
        provider=provider_id.strip(),
        model=model.strip(),
        day=valid_from,
        input=usd["input_usd"],
        output=usd["output_usd"],
        read=usd.get("cache_read_usd"),
        write=usd.get("cache_write_usd"),
        by=by,
    )
    assert row is not None
    db.after_commit(forget)
    return row


def remove(provider_id: str, model: str, valid_from: date) -> None:
    """Take back a price of our own; NotFound if there is none."""
    gone = db.run(
        "DELETE FROM prices WHERE provider_id = %(provider)s AND model = %(model)s AND valid_from = %(day)s",
        provider=provider_id,
        model=model,
        day=valid_from,
    )
    if not gone:
        raise NotFound(
            f"there is no price of our own for {model} of {provider_id} from {valid_from.isoformat()}"
        )
    db.after_commit(forget)


def told(provider_id: str, model: str, billing: str) -> dict[str, Any] | None:
    """What a model costs now, for people: dollars for a million tokens in and out, and who says so; None: unknown."""
    if billing == LOCAL:
        return {"input_usd": Decimal(0), "output_usd": Decimal(0), "version": LOCAL}
    own = _shelf.find(provider_id, model, datetime.now(UTC))
    if own is not None:
        return {"input_usd": own["input_usd"], "output_usd": own["output_usd"],
                "version": f"own {own['valid_from'].isoformat()}"}  # fmt: skip
    return by_list(provider_id, model)


def by_list(provider_id: str, model: str) -> dict[str, Any] | None:
    """What the list says of a model, for people: dollars for a million tokens in and out; None if it knows nothing."""
    at = datetime.now(UTC)
    # Asked for a thousand: some models cost more when a single call is long.
    into = _by_list(provider_id, model, Tokens(input_tokens=1000), at)
    out = _by_list(provider_id, model, Tokens(output_tokens=1000), at)
    if into.cost_usd is None or out.cost_usd is None:
        return None
    return {"input_usd": 1000 * into.cost_usd, "output_usd": 1000 * out.cost_usd, "version": into.version}
