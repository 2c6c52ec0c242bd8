"""Amounts in words: dollars, tokens, minutes and runs, the same everywhere."""

from __future__ import annotations

from decimal import Decimal

UNITS = ("usd", "tokens", "minutes", "runs")

Amount = Decimal | float | int

SMALLEST_USD = Decimal("0.0001")
CENT = Decimal("0.01")


def exact(amount: Amount | str) -> Decimal:
    """The same amount as a Decimal, without the digits a float invents."""
    return amount if isinstance(amount, Decimal) else Decimal(str(amount))


def dollars(amount: Amount) -> str:
    """`$1,234.50`, `$0.50`; below a dollar with the digits that say something: `$0.0123`, `less than $0.0001`."""
    usd = exact(amount)
    if 0 < usd < SMALLEST_USD:
        return f"less than ${SMALLEST_USD}"
    in_cents = usd >= 1 or usd == usd.quantize(CENT)
    return f"${usd:,.2f}" if in_cents else f"${usd:.4f}"


def said(unit: str, amount: Amount) -> str:
    """An amount of a unit: `$1.00`, `12,345 tokens`, `2.5 min`, `1 run`."""
    if unit == "usd":
        return dollars(amount)
    if unit == "minutes":
        return f"{_short(exact(amount))} min"
    word = {"tokens": "token", "runs": "run"}[unit]
    whole = int(amount)
    return f"{whole:,} {word if whole == 1 else word + 's'}"


def _short(amount: Decimal) -> str:
    text = f"{amount:,.2f}"
    return text.rstrip("0").rstrip(".")
