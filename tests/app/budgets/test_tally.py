"""Cumulative figures in, differences out: nothing is lost, nothing twice, nothing below zero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.budgets.tally import COUNTS, MOST_TOKENS, Tally
from app.budgets.usage import Usage


def _used(call: str = "c1", **told: Any) -> Usage:
    return Usage(**{"call_id": call, "provider": "openai", "model": "gpt", **told})


def test_a_call_that_streams_is_written_as_differences() -> None:
    tally = Tally()
    tally.add(_used(input_tokens=100, output_tokens=10, cost_usd=Decimal("0.10"), cost_status="derived"))
    (first,) = tally.take()
    tally.add(_used(input_tokens=100, output_tokens=25, cost_usd=Decimal("0.13"), cost_status="derived"))
    (second,) = tally.take()

    assert (first.part, first.input_tokens, first.output_tokens, first.cost_usd) == (
        1,
        100,
        10,
        Decimal("0.10"),
    )
    assert (second.part, second.input_tokens, second.output_tokens, second.cost_usd) == (
        2,
        0,
        15,
        Decimal("0.03"),
    )
    assert tally.take() == []


def test_saying_the_same_again_writes_nothing() -> None:
    tally = Tally()
    tally.add(_used(input_tokens=7))
    tally.take()
    tally.add(_used(input_tokens=7, final=True))
    assert tally.take() == []


def test_a_figure_never_goes_down() -> None:
    tally = Tally()
    tally.add(_used(input_tokens=100, cost_usd=Decimal(2), cost_status="derived"))
    tally.take()
    tally.add(_used(input_tokens=60, cost_usd=Decimal(1), cost_status="reported"))

    assert all(part.cost_usd == 0 and part.input_tokens == 0 for part in tally.take())
    assert (tally.used("usd"), tally.used("tokens")) == (2, 100)


def test_a_price_told_at_the_end_covers_the_whole_call() -> None:
    tally = Tally()
    tally.add(_used(output_tokens=40))
    (streamed,) = tally.take()
    assert (streamed.cost_usd, streamed.cost_status) == (None, "unpriced")
    assert tally.totals()["unpriced_tokens"] == 40

    tally.add(_used(output_tokens=50, cost_usd=Decimal("0.5"), cost_status="reported", final=True))
    (last,) = tally.take()
    assert (last.cost_usd, last.cost_status, last.output_tokens) == (Decimal("0.5"), "reported", 10)
    totals = tally.totals()
    assert (totals["cost_usd"], totals["cost_status"]) == (0.5, "reported")
    assert "unpriced_tokens" not in totals


def test_the_sum_says_what_is_not_priced() -> None:
    tally = Tally()
    tally.add(_used("a", input_tokens=10, cost_usd=Decimal("0.25"), cost_status="derived"))
    tally.add(_used("b", output_tokens=3, cache_read_tokens=4, model="house"))
    totals = tally.totals()

    assert (totals["cost_usd"], totals["cost_status"], totals["unpriced_tokens"]) == (0.25, "unpriced", 7)
    assert (totals["model"], totals["input_tokens"]) == ("house", 10)


def test_nothing_priced_has_no_cost_at_all() -> None:
    tally = Tally()
    tally.add(_used(input_tokens=10))
    assert tally.totals()["cost_usd"] is None


def test_whatever_a_client_says_the_ledger_takes_it() -> None:
    tally = Tally()
    tally.add(
        _used("n\x00ul" * 100, model="\ud800", input_tokens=-5, output_tokens=10**30, cost_usd=Decimal("NaN"))
    )
    tally.add(_used("i", cost_usd=Decimal(-3), cost_status="reported", billing="barter", model=""))  # type: ignore[arg-type]
    first, second = tally.take()

    assert "\x00" not in first.call_id
    assert (first.input_tokens, first.output_tokens, first.cost_usd) == (0, MOST_TOKENS, None)
    assert (second.cost_usd, second.billing, second.model) == (0, "api", "unknown")


_counts = st.dictionaries(st.sampled_from(COUNTS), st.integers(-10, 10**6))
_costs = st.none() | st.decimals(0, 100, places=6)


@given(st.lists(st.tuples(st.sampled_from("abc"), _counts, _costs, st.booleans()), max_size=30))
def test_the_parts_add_up_to_what_was_metered(
    told: list[tuple[str, dict[str, int], Decimal | None, bool]],
) -> None:
    tally, parts = Tally(), []
    for call, counts, cost, write in told:
        tally.add(
            _used(call, **counts, cost_usd=cost, cost_status="derived" if cost is not None else "unpriced")
        )
        if write:
            parts += tally.take()
    parts += tally.take()

    assert all(getattr(part, name) >= 0 for part in parts for name in COUNTS)
    assert all(part.cost_usd is None or part.cost_usd >= 0 for part in parts)
    assert len({(part.call_id, part.part) for part in parts}) == len(parts)
    assert sum(part.cost_usd or 0 for part in parts) == tally.used("usd")
    for name in COUNTS[:4]:
        assert sum(getattr(part, name) for part in parts) == tally.totals()[name]
