"""analyst: profiles a CSV file column by column and follows its figures over time, with charts."""

from __future__ import annotations

import re

import orjson

from actors.builtin import charts, places
from actors.builtin.data.csv_file import Table, read_csv
from actors.builtin.data.profile import Column, profile
from actors.builtin.data.report import Analysis
from actors.builtin.data.trend import PERIODS, Trend, best_period, trend
from actors.runners.base import JSON, Context, Health, Work

SAMPLE = "examples/data/sales.csv"
MOST_TRENDS = 3
MOST_HISTOGRAMS = 6
MOST_BARS = 4
_AVERAGES = re.compile(r"price|rate|rating|ratio|percent|share|score|average|avg|mean|%|age$", re.IGNORECASE)
"""Names of columns whose sum over time says nothing."""
_TOTALS = re.compile(r"revenue|sales|amount|total|turnover|cost|value", re.IGNORECASE)
"""Names of columns people look at first."""


def health() -> Health:
    """Always ready: nothing but Python is needed."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Read the file, profile every column, follow the measures by date, draw, and report."""
    context.stage("read", "Reading the table")
    path = places.confined(
        str(work.parameters.get("file") or SAMPLE),
        places.roots(work, places.READ),
        parameter="file",
        setting=places.READ,
    )
    table = read_csv(path, str(work.parameters.get("delimiter") or "auto"))
    context.log(
        f"{table.name}: {table.rows:,} rows, {len(table.headings)} columns",
        encoding=table.encoding,
        delimiter=table.delimiter,
    )
    for remark in table.remarks:
        context.log(remark, level="warning")
    context.stage("profile", "Profiling columns")
    columns = _columns(table, context)
    context.checkpoint_due()
    trends = _trends(work.parameters, columns, context)
    context.stage("draw", "Drawing charts")
    drawn = _draw(columns, trends, context)
    context.progress(95, "Writing the report")
    return _result(Analysis(str(work.parameters["report_type"]), table, columns, trends, drawn), context)


def _columns(table: Table, context: Context) -> list[Column]:
    """The profile of every column, with progress."""
    found: list[Column] = []
    for at, heading in enumerate(table.headings):
        context.checkpoint_due()
        context.progress(10 + 60 * at / len(table.headings), f"Profiling {heading}")
        found.append(profile(table, at))
    return found


def _trends(parameters: JSON, columns: list[Column], context: Context) -> list[Trend]:
    """The measures over time; required unless only a profile was asked for."""
    dates = _date_column(parameters, columns)
    wanted = str(parameters["report_type"])
    if dates is None:
        if wanted in PERIODS:
            places.refuse(
                "report_type",
                f"There is no date column for a {wanted} report. Ask for `profile`, or add dates (2026-01-31).",
            )
        return []
    period = wanted if wanted in PERIODS else best_period([day for _, day in dates.dates])
    measures = _measures(parameters, columns)
    context.log(
        f"Summing {', '.join(measure.name for measure in measures) or 'rows'} by {dates.name}, {period}"
    )
    return [trend(dates, measure, period) for measure in measures] or [trend(dates, None, period)]


def _date_column(parameters: JSON, columns: list[Column]) -> Column | None:
    """The date column named, or the first there is."""
    if name := parameters.get("date_column"):
        named = _named(columns, str(name), "date_column")
        if not named.dates:
            places.refuse(
                "date_column",
                f"`{named.name}` holds no dates but {named.kind} values. Name a column with dates.",
            )
        return named
    return next((column for column in columns if column.dates), None)


def _measures(parameters: JSON, columns: list[Column]) -> list[Column]:
    """The measure named, or the first numeric columns that are not identifiers."""
    if name := parameters.get("measure"):
        named = _named(columns, str(name), "measure")
        if not named.numbers:
            places.refuse(
                "measure", f"`{named.name}` holds no numbers but {named.kind} values. Name a numeric column."
            )
        return [named]
    fitting = [
        column
        for column in columns
        if column.numbers and not _identifies(column) and not _AVERAGES.search(column.name)
    ]
    return sorted(fitting, key=lambda column: not _TOTALS.search(column.name))[:MOST_TRENDS]


def _named(columns: list[Column], name: str, parameter: str) -> Column:
    named = next((column for column in columns if column.name.lower() == name.strip().lower()), None)
    if named is None:
        known = ", ".join(column.name for column in columns[:30])
        places.refuse(parameter, f"There is no column `{name}`. The columns are: {known}.")
    return named


def _identifies(column: Column) -> bool:
    """A column of distinct whole numbers named like an identifier: its sum means nothing."""
    named = re.search(r"(?:^|[_\s])(?:id|no|nr|number|key|zip|year)$", column.name.lower())
    return bool(named) and column.kind == "integer"


def _draw(columns: list[Column], trends: list[Trend], context: Context) -> list[str]:
    """Keep the charts as artifacts; answers their names."""
    numeric = [column for column in columns if column.numbers and not _identifies(column)][:MOST_HISTOGRAMS]
    counted = [
        column
        for column in columns
        if column.kind in ("text", "boolean") and 1 < column.distinct <= column.count / 2
    ]
    sheets = [
        (f"{each.measure} {each.period}", charts.line(f"{each.measure}, {each.period}", _labelled(each)))
        for each in trends
    ]
    sheets += [
        (column.name, charts.histogram(f"Distribution of {column.name}", column.values)) for column in numeric
    ]
    sheets += [
        (column.name, charts.bars(f"Rows by {column.name}", column.top)) for column in counted[:MOST_BARS]
    ]
    names: list[str] = []
    for at, (about, svg) in enumerate(sheets, 1):
        context.checkpoint_due()
        names.append(f"chart-{at:02d}-{_slug(about)}.svg")
        context.artifact(names[-1], svg.encode(), "image/svg+xml")
    return names


def _labelled(each: Trend) -> list[tuple[str, float]]:
    return [(day.isoformat(), value) for day, value, _ in each.points]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "column"


def _result(found: Analysis, context: Context) -> JSON:
    """The figures, the report, and both as files; long lists are complete in profile.json only."""
    figures = found.figures()
    report = found.report()
    context.artifact("profile.json", orjson.dumps(figures, option=orjson.OPT_INDENT_2), "application/json")
    context.artifact("report.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    return {
        "summary": found.summary(),
        "report_type": found.kind,
        **figures,
        "columns": figures["columns"][:50],
        "trends": [{**each, "points": each["points"][-60:]} for each in figures["trends"]],
        "nulls": found.nulls,
        "outliers": found.outliers,
        "charts": found.charts,
        "file_path": "report.md",
        "report": report,
    }
