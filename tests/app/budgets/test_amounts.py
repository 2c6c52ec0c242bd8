"""Amounts as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.budgets.amounts import dollars, exact, said


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0, "$0.00"),
        (Decimal(1), "$1.00"),
        (Decimal("1.2345"), "$1.23"),
        (0.5, "$0.50"),
        (Decimal("0.0123"), "$0.0123"),
        (1234.5, "$1,234.50"),
        (Decimal("0.01"), "$0.01"),
        (Decimal("0.0042"), "$0.0042"),
        (Decimal("0.00425"), "$0.0042"),
        (Decimal("0.00040"), "$0.0004"),
        (Decimal("0.00009"), "less than $0.0001"),
    ],
)
def test_dollars(usd: Decimal, words: str) -> None:
    assert dollars(usd) == words


@pytest.mark.parametrize(
    ("unit", "amount", "words"),
    [
        ("usd", 50, "$50.00"),
        ("tokens", 12345, "12,345 tokens"),
        ("tokens", 1, "1 token"),
        ("minutes", 30.0, "30 min"),
        ("minutes", Decimal("2.50"), "2.5 min"),
        ("minutes", 120, "120 min"),
        ("runs", 1, "1 run"),
        ("runs", Decimal(3), "3 runs"),
    ],
)
def test_other_units(unit: str, amount: Decimal, words: str) -> None:
    assert said(unit, amount) == words


def test_a_float_means_what_it_says() -> None:
    assert exact(1.1) + exact(2.2) == Decimal("3.3")
