"""How commands show things: tables and colour on terminals, plain lines elsewhere, and the API's JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.speaking import harmless

PLAIN_WIDTH = 1000
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
CUT_WIDTH = 8
NEVER_CUT = ("id", "status", "state", "when", "count")
COLOURS = {
    "completed": "green", "failed": "red", "cancelled": "bright_black", "running": "cyan", "queued": "blue",
    "pending": "bright_black", "retry": "yellow", "awaiting_input": "magenta", "active": "green", "paused": "yellow",
    "open": "magenta", "stopped": "red", "warned": "yellow", "error": "red", "warning": "yellow", "healthy": "green",
    "degraded": "yellow", "unhealthy": "red",
}  # fmt: skip


def console() -> Console:
    """Standard output: colour and width of a terminal if it is one (NO_COLOR is heard), else plain and wide."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, soft_wrap=False)


def say_json(value: Any) -> None:
    """What the API answered, as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, empty: str = "") -> None:
    """Rows under `columns`; a column called status is coloured by its words. Without rows `empty`, on stderr."""
    names, lines = list(columns), [list(row) for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        # Ids are copied, so they are never cut; what is long is.
        shown.add_column(
            name.upper(), no_wrap=True, overflow="ellipsis", min_width=_least(name, lines, names)
        )
    for line in lines:
        shown.add_row(*(cell(value, name) for name, value in zip(names, line, strict=True)))
    out = console()
    out.width = max(out.width, _width(lines, names))
    with out.capture() as drawn:
        out.print(shown)
    for each in drawn.get().splitlines():
        click.echo(each.rstrip())  # a colour ends before the padding


def facts(title: str, values: Mapping[str, Any]) -> None:
    """A heading and what is known, one line each; what is None or empty is left out."""
    out = console()
    out.print(cell(title, ""), style="bold")
    known = {name: value for name, value in values.items() if value not in (None, "", [], {})}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        out.print(Text(f"  {name:{width}}  ", style="bright_black") + cell(value, name), soft_wrap=True)


def line(text: str, status: str = "") -> None:
    """One line, in the colour of `status`."""
    console().print(Text(harmless(text), style=COLOURS.get(status, "")), soft_wrap=True)


def cell(value: Any, name: str) -> Text:
    """A value as people read it, without what could command their terminal."""
    text = _words(value)
    style = COLOURS.get(text.partition(" ")[0], "") if name in ("status", "state") else ""
    return Text(harmless(text), style=style)


def when(moment: str | datetime | None) -> str:
    """A time as the API says it, in local time to the minute; nothing for none."""
    at = parsed(moment)
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def ago(moment: str | datetime | None) -> str:
    """How long ago, in its largest unit."""
    at = parsed(moment)
    if at is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    size, unit = next((each for each in UNITS if seconds >= each[0]), (1, "s"))
    return f"{seconds // size} {unit} ago"


def lasted(seconds: float | None) -> str:
    """A duration in its largest unit, or two for the longer ones."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"


def brief(text: str | None, most: int = 80) -> str:
    """The first line, cut."""
    first = (text or "").strip().split("\n", 1)[0]
    return first if len(first) <= most else first[: most - 1] + "…"


def parsed(moment: str | datetime | None) -> datetime | None:
    """A time of the API as a time."""
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def timed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the API with its times as times, as a room gives it."""
    return {name: parsed(value) if name.endswith("_at") else value for name, value in row.items()}


def _least(name: str, lines: list[list[Any]], names: list[str]) -> int | None:
    if name not in NEVER_CUT and not name.endswith(" id"):
        return None
    return max(len(_words(each[names.index(name)])) for each in lines)


def _width(lines: list[list[Any]], names: list[str]) -> int:
    """What a table takes at least; on a terminal that is narrower its lines wrap, for Rich would drop whole columns."""
    least = (_least(name, lines, names) or CUT_WIDTH for name in names)
    return sum(max(width, len(name)) + 2 for width, name in zip(least, names, strict=True))


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
