"""A backlog of user stories as an Excel file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from actors.builtin.stories import Backlog, Story

COLUMNS = (
    ("ID", 8), ("Epic", 20), ("Title", 36), ("As a", 16), ("I want to", 44), ("So that / because", 36), ("Priority", 10),
    ("Acceptance criteria", 60), ("To clarify", 44), ("Source", 50), ("Line", 6),
)  # fmt: skip


def workbook(backlog: Backlog, style: str, project: str) -> bytes:
    """The backlog as an Excel file; every cell is text, so that nothing in the notes can be a formula."""
    book = Workbook(write_only=True)
    book.properties.title = f"User stories{': ' + project if project else ''}"
    book.properties.creator = "Callboard user-story-agent"
    _sheet(book.create_sheet("Stories"), COLUMNS, (_row(story, style) for story in backlog.stories))
    for title, found in (("Questions", backlog.questions), ("Not used", backlog.not_used)):
        rows = ((point.text, str(point.line), point.heading) for point in found)
        _sheet(book.create_sheet(title), (("Text", 80), ("Line", 6), ("Under", 30)), rows)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _row(story: Story, style: str) -> Sequence[str]:
    return (
        story.story_id,
        story.epic,
        story.title,
        story.role,
        story.goal,
        story.why or (f"because {story.reason}" if story.reason else ""),
        story.priority,
        "\n\n".join(story.criteria(style)) if style == "gherkin" else "\n".join(story.criteria(style)),
        "\n".join(story.to_clarify),
        story.source,
        str(story.line),
    )


def _sheet(
    sheet: WriteOnlyWorksheet, columns: Sequence[tuple[str, int]], rows: Iterable[Sequence[str]]
) -> None:
    for at, (_, width) in enumerate(columns):
        sheet.column_dimensions[chr(ord("A") + at)].width = width
    sheet.freeze_panes = "A2"
    sheet.append([_cell(sheet, name, heading=True) for name, _ in columns])
    for row in rows:
        sheet.append([_cell(sheet, text) for text in row])


def _cell(sheet: WriteOnlyWorksheet, text: str, *, heading: bool = False) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)[:32_000]
    cell.data_type = "s"
    cell.quotePrefix = True
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    if heading:
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", start_color="1F4E78")
    return cell
