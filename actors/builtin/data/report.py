"""What was found in a table, as a sentence, as figures, and as a markdown report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.builtin import charts
from actors.builtin.data.csv_file import Table
from actors.builtin.data.profile import Column
from actors.builtin.data.trend import Trend
from actors.builtin.text import markdown

MOST_COLUMNS = 60
_WHEN = {"daily": "day on day", "weekly": "week on week", "monthly": "month on month"}


@dataclass(frozen=True)
class Analysis:
    """A table with its profile, its trends, and the names of the charts drawn of it."""

    kind: str
    table: Table
    columns: list[Column]
    trends: list[Trend]
    charts: list[str]

    @property
    def nulls(self) -> int:
        """Missing values in all columns."""
        return sum(column.nulls for column in self.columns)

    @property
    def outliers(self) -> int:
        """Outliers in all numeric columns."""
        return sum(column.spread.get("outliers", 0) for column in self.columns)

    def figures(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "file": self.table.name,
            "rows": self.table.rows,
            "columns": [column.document() for column in self.columns],
            "trends": [each.document() for each in self.trends],
            "ragged_rows": self.table.ragged,
            "truncated": self.table.truncated,
            "delimiter": self.table.delimiter,
            "encoding": self.table.encoding,
        }

    def summary(self) -> str:
        """One sentence on the file, with the first trend if there is one."""
        said = (
            f"{markdown.count(self.table.rows, 'row')} and {markdown.count(len(self.columns), 'column')} in "
        )
        said += f"{self.table.name}: {markdown.count(self.nulls, 'missing value')}, "
        said += markdown.count(self.outliers, "outlier")
        moved = next((each for each in self.trends if each.change is not None), None)
        if moved is None:
            return f"{said}."
        unfinished = " (last one not complete)" if moved.partial else ""
        return f"{said}; {moved.measure} {moved.change:+.1f} % {_WHEN[moved.period]}{unfinished}."

    def report(self) -> str:
        """The whole as markdown: overview, trends, columns, what to look at, files."""
        shown = self.columns[:MOST_COLUMNS]
        overview = [
            (column.name, column.kind, column.nulls, column.distinct, column.invalid) for column in shown
        ]
        return markdown.report(
            [
                f"# {self.kind.capitalize()} report on {markdown.escape(self.table.name)}",
                f"{markdown.count(self.table.rows, 'row')}, {markdown.count(len(self.columns), 'column')}.",
                "\n".join(f"- {remark}" for remark in self.table.remarks),
                *[_trend_section(each) for each in self.trends],
                "## Columns",
                markdown.table(("Column", "Type", "Missing", "Distinct", "Invalid"), overview),
                _numbers_section(shown),
                _values_section(shown),
                _outliers_section(shown),
                "## Files",
                "\n".join(f"- {name}" for name in [*self.charts, "profile.json"]),
            ]
        )


def _trend_section(each: Trend) -> str:
    change = f" The last period changed by **{each.change:+.1f} %**." if each.change is not None else ""
    change += f" It is not complete: the rows end on {each.until}." if each.partial else ""
    rows = [(day.isoformat(), value, count) for day, value, count in each.points[-12:]]
    title = f"## {markdown.escape(each.measure)}, {each.period}"
    return (
        f"{title}\n\nThe last {markdown.count(len(rows), 'period')} of {len(each.points)}.{change}\n\n"
        + markdown.table(("Start", "Sum", "Rows"), rows)
    )


def _numbers_section(columns: list[Column]) -> str:
    names = ("min", "p25", "median", "p75", "p95", "max", "mean", "stdev")
    rows = [
        (column.name, *(spread[name] for name in names)) for column in columns if (spread := column.spread)
    ]
    return "## Numbers\n\n" + markdown.table(("Column", *names), rows) if rows else ""


def _values_section(columns: list[Column]) -> str:
    listed = [column for column in columns if column.kind in ("text", "boolean") and column.top][:20]
    lines = [
        f"- **{markdown.escape(column.name)}**: "
        + ", ".join(f"{markdown.escape(value, 40)} ({count:,})" for value, count in column.top[:5])
        for column in listed
    ]
    return "## Most frequent values\n\n" + "\n".join(lines) if lines else ""


def _outliers_section(columns: list[Column]) -> str:
    lines: list[str] = []
    for column in columns:
        spread = column.spread
        if spread.get("outliers"):
            shown = ", ".join(
                f"{charts.figure(odd['value'])} (row {odd['row']})" for odd in spread["outlier_examples"]
            )
            lines.append(f"- **{markdown.escape(column.name)}**: {spread['outliers']:,}, farthest {shown}")
    return "## Outliers\n\n" + "\n".join(lines) if lines else ""
