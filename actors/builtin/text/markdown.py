"""Reports written as markdown, safe for any text that ends up in them, and never too long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from app.quality.text.sentences import one_line

MOST_BYTES = 20_000
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#])")


def escape(value: object, limit: int = 120) -> str:
    """A value on one line with every character that markdown or HTML would act on made harmless."""
    return _SPECIAL.sub(r"\\\1", one_line(str(value), limit)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; numbers are aligned to the right."""
    body = [list(row) for row in rows]
    sides = [
        "---:" if body and all(isinstance(row[at], (int, float)) for row in body) else "---"
        for at in range(len(headings))
    ]
    lines = [" | ".join(headings), " | ".join(sides)]
    lines += [" | ".join(_cell(value) for value in row) for row in body]
    return "\n".join(f"| {line} |" for line in lines)


def report(parts: Iterable[str]) -> str:
    """The parts as one document, cut at a paragraph when it passes 20 kB."""
    text = "\n\n".join(part for part in parts if part).strip() + "\n"
    content = text.encode()
    if len(content) <= MOST_BYTES:
        return text
    short = content[: MOST_BYTES - 200].decode("utf-8", "ignore")
    return (
        short[: max(short.rfind("\n"), len(short) // 2)]
        + "\n\n*Cut here; the files kept with the job are complete.*\n"
    )


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 row`, `1,200 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _cell(value: object) -> str:
    """A table cell: numbers with thousands separators, anything else escaped."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return escape(value) if value is not None and value != "" else "–"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.4g}"
        if abs(value) < 1
        else f"{value:,.2f}".rstrip("0").rstrip(".")
    )
