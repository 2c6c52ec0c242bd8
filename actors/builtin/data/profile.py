"""What a column holds: its type, what is missing, how its values are spread, which are odd."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

from actors.builtin.data.csv_file import Table
from app.quality.text.sentences import one_line

NULLS = frozenset({"", "-", "--", "n/a", "na", "nan", "null", "none", "nil", "#n/a", "?"})
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+")
_TRIMMED = re.compile(r"^[€$£]\s?|\s?[€$£%]$")
_TRUTH = frozenset({"true", "false", "yes", "no", "y", "n", "t", "f"})
_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%b %d, %Y",
)
_GREATEST = 1e100
"""Numbers beyond are taken for text: their sums and squares would overflow."""
_MAJORITY = 0.9
"""A column has a type if nine of ten of its values have it; the rest is counted as invalid."""


@dataclass
class Column:
    """A profiled column. `numbers` and `dates` keep the row number (from 1) with each value."""

    name: str
    kind: str
    """integer, number, date, boolean, text, or empty."""
    count: int
    nulls: int
    distinct: int
    invalid: int = 0
    top: list[tuple[str, int]] = field(default_factory=list)
    numbers: list[tuple[int, float]] = field(default_factory=list)
    dates: list[tuple[int, date]] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        """The numbers without their rows."""
        return [value for _, value in self.numbers]

    @cached_property
    def spread(self) -> dict[str, Any]:
        """Least, quartiles, greatest, mean, deviation and outliers of a numeric column."""
        values = sorted(self.values)
        if not values:
            return {}
        low, middle, high = (quantile(values, share) for share in (0.25, 0.5, 0.75))
        reach = 1.5 * (high - low)
        odd = [(row, value) for row, value in self.numbers if value < low - reach or value > high + reach]
        odd.sort(key=lambda pair: -abs(pair[1] - middle))
        return {
            "min": values[0],
            "p25": low,
            "median": middle,
            "p75": high,
            "p95": quantile(values, 0.95),
            "max": values[-1],
            "mean": _rounded(statistics.fmean(values)),
            "stdev": _rounded(statistics.pstdev(values)),
            "sum": _rounded(math.fsum(values)),
            "outliers": len(odd),
            "outlier_examples": [{"row": row, "value": value} for row, value in odd[:5]],
        }

    def document(self) -> dict[str, Any]:
        """The column as JSON."""
        found: dict[str, Any] = {
            "name": self.name, "type": self.kind, "count": self.count, "nulls": self.nulls,
            "distinct": self.distinct, "invalid": self.invalid,
        }  # fmt: skip
        if self.kind in ("integer", "number"):
            found |= self.spread
        elif self.dates:
            days = [day for _, day in self.dates]
            found |= {"min": min(days).isoformat(), "max": max(days).isoformat()}
        if self.kind in ("text", "boolean") or self.distinct <= 20:
            found["top"] = [{"value": value, "count": count} for value, count in self.top]
        return found


def profile(table: Table, at: int) -> Column:
    """Profile the column at a position of the table."""
    cells = table.columns[at]
    present = [(row, cell) for row, cell in enumerate(cells, 1) if cell.lower() not in NULLS]
    uses = Counter(cell for _, cell in present)
    top = [
        (one_line(value, 60), count)
        for value, count in sorted(uses.items(), key=lambda use: (-use[1], use[0]))[:10]
    ]
    column = Column(table.headings[at], "empty", len(cells), len(cells) - len(present), len(uses), top=top)
    if present:
        _classify(column, present, comma=table.delimiter != ",")
    return column


def number(cell: str, *, comma: bool = False) -> float | None:
    """The number a cell holds, with thousands separators, a currency or a percent sign; else None."""
    text = _TRIMMED.sub("", cell.strip())
    if _PLAIN.fullmatch(text):
        value = float(text)
    elif _GROUPED.fullmatch(text):
        value = float(text.replace(",", ""))
    elif comma and _COMMA.fullmatch(text):
        value = float(text.replace(".", "").replace(",", "."))
    else:
        return None
    return value if abs(value) < _GREATEST else None


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the ordered values lie, between neighbours in proportion."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return _rounded(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def _classify(column: Column, present: list[tuple[int, str]], *, comma: bool) -> None:
    """Decide the column's type by the majority of its values, and keep those that have it."""
    needed = _MAJORITY * len(present)
    if sum(cell.lower() in _TRUTH for _, cell in present) >= needed:
        column.kind = "boolean"
        column.invalid = sum(cell.lower() not in _TRUTH for _, cell in present)
        return
    if dated := _as_dates(present, needed):
        column.kind, column.dates = "date", dated
        column.invalid = len(present) - len(dated)
        return
    numbers = [(row, value) for row, cell in present if (value := number(cell, comma=comma)) is not None]
    if len(numbers) >= needed:
        whole = all(value.is_integer() for _, value in numbers) and not any(
            "." in cell for _, cell in present[:1_000]
        )
        column.kind, column.numbers = "integer" if whole else "number", numbers
        column.invalid = len(present) - len(numbers)
        return
    column.kind = "text"


def _as_dates(present: list[tuple[int, str]], needed: float) -> list[tuple[int, date]]:
    """The cells as dates in the format that fits most of them; nothing if it fits too few."""
    sample = [cell for _, cell in present[:200]]
    best = max(_DATES, key=lambda form: sum(_date(cell, form) is not None for cell in sample))
    if sum(_date(cell, best) is not None for cell in sample) < 0.8 * len(sample):
        return []
    found = [(row, day) for row, cell in present if (day := _date(cell, best)) is not None]
    return found if len(found) >= needed else []


def _date(cell: str, form: str) -> date | None:
    """A cell as a date; a time of day after it is accepted."""
    if not 8 <= len(cell) <= 35:
        return None
    text = re.split(r"[T ]\d{1,2}:\d{2}", cell, maxsplit=1)[0]
    try:
        if form == "%Y-%m-%d" and len(text) == 10:
            return date.fromisoformat(text)
        found = datetime.strptime(text, form).date()  # noqa: DTZ007 - a calendar day has no time zone
    except ValueError:
        return None
    return found if 1800 <= found.year <= 2200 else None


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")
