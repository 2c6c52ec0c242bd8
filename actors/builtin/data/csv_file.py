"""A CSV file read with limits: any common delimiter and encoding, ragged rows counted, never fatal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TextIO

from actors.builtin.text.sources import refuse
from app.quality.text.sentences import one_line

MOST_BYTES = 100_000_000
MOST_CELLS = 1_500_000
MOST_COLUMNS = 200
MOST_CELL_CHARACTERS = 200
DELIMITERS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    ",": ",",
    ";": ";",
    "\t": "\t",
    "|": "|",
}


@dataclass
class Table:
    """A file's columns as text, with what was odd about it."""

    name: str
    delimiter: str
    encoding: str
    headings: list[str]
    columns: list[list[str]]
    ragged: int = 0
    """Rows with fewer or more cells than headings; missing cells are empty, extra ones dropped."""
    truncated: bool = False
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of data rows read."""
        return len(self.columns[0]) if self.columns else 0


def read_csv(path: Path, delimiter: str = "auto") -> Table:
    """Read a file; the first row with content is the heading. Refuses what is no table at all."""
    if not path.is_file():
        raise refuse(f"{path.name} is not a file. Name a CSV file.")
    if path.stat().st_size > MOST_BYTES:
        raise refuse(
            f"{path.name} is larger than {MOST_BYTES // 1_000_000} MB. Split it or export fewer columns."
        )
    encoding = _encoding(path)
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        sign = DELIMITERS.get(delimiter) or _delimiter(file)
        rows = _rows(file, sign, path.name)
        first = next((row for row in rows if any(cell.strip() for cell in row)), None)
        if first is None:
            raise refuse(f"{path.name} is empty. Name a CSV file with a heading row.")
        table = Table(one_line(path.name, 80), sign, encoding, _headings(first, path.name), [])
        _fill(table, rows)
    return table


def _encoding(path: Path) -> str:
    """UTF-8 or UTF-16 where the bytes say so, otherwise Windows-1252, the larger relative of Latin-1."""
    with path.open("rb") as file:
        start = file.read(4_096)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if b"\x00" in start:
            raise refuse(
                f"{path.name} is not a text file. Save the table as CSV (spreadsheets can export it)."
            )
        file.seek(0)
        reader = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            while reader.read(1_000_000):
                pass
        except UnicodeDecodeError:
            return "cp1252"
        finally:
            reader.detach()
    return "utf-8-sig"


def _delimiter(file: TextIO) -> str:
    """The sign that splits the first lines most often and most evenly; a comma if none does."""
    lines = [line for line in file.read(20_000).splitlines()[:20] if line.strip()]
    file.seek(0)

    def evenness(sign: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=sign)]
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) if usual > 1 else 0, usual)

    return max((",", ";", "\t", "|"), key=evenness)


def _rows(file: Iterable[str], sign: str, name: str) -> Iterator[list[str]]:
    """The rows, with csv's complaints turned into a sentence."""
    reader = csv.reader((line.replace("\x00", "") for line in file), delimiter=sign)
    try:
        yield from reader
    except csv.Error as error:
        raise refuse(
            f"{name} cannot be read near line {reader.line_num}: {error}. Is a quote left open?"
        ) from error


def _headings(row: list[str], name: str) -> list[str]:
    """Heading names, made distinct; columns without one are numbered."""
    if len(row) > MOST_COLUMNS:
        raise refuse(
            f"{name} has {len(row):,} columns; at most {MOST_COLUMNS} can be profiled. Export fewer."
        )
    found: list[str] = []
    for at, cell in enumerate(row, 1):
        base = one_line(cell, 60) or f"column {at}"
        heading, again = base, 2
        while heading in found:
            heading, again = f"{base} ({again})", again + 1
        found.append(heading)
    return found


def _fill(table: Table, rows: Iterator[list[str]]) -> None:
    """Put the rows into the table's columns, up to MOST_CELLS."""
    width = len(table.headings)
    table.columns = [[] for _ in range(width)]
    most_rows = MOST_CELLS // width
    for row in rows:
        if not row or not any(row):
            continue
        if table.rows == most_rows:
            table.truncated = True
            table.remarks.append(f"Only the first {most_rows:,} rows were read.")
            break
        table.ragged += len(row) != width
        for column, cell in zip(table.columns, chain(row, [""] * width), strict=False):
            column.append(cell[:MOST_CELL_CHARACTERS].strip())
    if table.ragged:
        table.remarks.append(f"Rows with too few or too many cells: {table.ragged:,}.")
