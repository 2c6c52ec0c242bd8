"""A deck as a PowerPoint file: real titles, bullets and notes in the placeholders, so that it can be edited."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_AUTO_SIZE
from pptx.util import Inches, Pt

from actors.builtin.slides import Deck, Slide
from app import clock

WIDTH, HEIGHT = 13.333, 7.5  # inches: 16:9
TITLE_LAYOUT, BULLET_LAYOUT = 0, 1  # of the template python-pptx brings


@dataclass(frozen=True)
class Theme:
    """Colours as RRGGBB, and the font."""

    background: str
    text: str
    title: str
    accent: str
    font: str


THEMES = {
    "paper": Theme("FFFFFF", "222B33", "16324F", "C8553D", "Calibri"),
    "ocean": Theme("F3F9FC", "1B2A33", "0B4F6C", "01A7C2", "Calibri"),
    "forest": Theme("F6F8F3", "24301F", "2F5D3A", "8DB355", "Georgia"),
    "sunrise": Theme("FFF8F1", "3A2A20", "86311A", "F2A33A", "Georgia"),
    "midnight": Theme("10182A", "E7ECF5", "FFFFFF", "4C8DFF", "Calibri"),
    "graphite": Theme("23272B", "E9ECEF", "FFFFFF", "F5C542", "Arial"),
}


def powerpoint(deck: Deck, *, subtitle: str, author: str, theme: Theme) -> bytes:
    """The file."""
    book = Presentation()
    book.slide_width, book.slide_height = Inches(WIDTH), Inches(HEIGHT)
    properties = book.core_properties
    properties.title, properties.author = deck.title, author or "Callboard"
    properties.created = properties.modified = clock.now().replace(tzinfo=None)
    _title_slide(book, deck, subtitle or author, theme)
    for number, slide in enumerate(deck.slides, 2):
        _slide(book, slide, number, theme)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _title_slide(book: Any, deck: Deck, subtitle: str, theme: Theme) -> None:
    page = _page(book, TITLE_LAYOUT, theme)
    _bar(page, theme, left=0.9, top=4.25, width=2.2, height=0.08)
    title, below = page.placeholders[0], page.placeholders[1]
    _place(title, left=0.9, top=1.7, width=11.5, height=2.4)
    _place(below, left=0.9, top=4.5, width=11.5, height=1.2)
    _write(title.text_frame, [(0, deck.title)], theme, size=44, colour=theme.title, bold=True)
    _write(below.text_frame, [(0, subtitle)], theme, size=22, colour=theme.text)


def _slide(book: Any, slide: Slide, number: int, theme: Theme) -> None:
    page = _page(book, BULLET_LAYOUT, theme)
    _bar(page, theme, left=0.0, top=0.55, width=0.35, height=0.9)
    title, body = page.placeholders[0], page.placeholders[1]
    _place(title, left=0.7, top=0.45, width=11.9, height=1.1)
    _place(body, left=0.7, top=1.8, width=11.9, height=5.0)
    _write(title.text_frame, [(0, slide.title)], theme, size=32, colour=theme.title, bold=True)
    _write(
        body.text_frame, slide.bullets, theme, size=22 if len(slide.bullets) <= 5 else 20, colour=theme.text
    )
    foot = page.shapes.add_textbox(Inches(12.2), Inches(6.95), Inches(0.8), Inches(0.4))
    _write(foot.text_frame, [(0, str(number))], theme, size=12, colour=theme.text)
    if slide.notes:
        page.notes_slide.notes_text_frame.text = "\n\n".join(slide.notes)


def _page(book: Any, layout: int, theme: Theme) -> Any:
    page = book.slides.add_slide(book.slide_layouts[layout])
    page.background.fill.solid()
    page.background.fill.fore_color.rgb = _colour(theme.background)
    return page


def _bar(page: Any, theme: Theme, *, left: float, top: float, width: float, height: float) -> None:
    """A stroke of the accent colour."""
    shape = page.shapes.add_shape(
        MSO_SHAPE.RECTANGLE, Inches(left), Inches(top), Inches(width), Inches(height)
    )
    shape.fill.solid()
    shape.fill.fore_color.rgb = _colour(theme.accent)
    shape.line.fill.background()
    shape.shadow.inherit = False


def _colour(digits: str) -> RGBColor:
    red, green, blue = bytes.fromhex(digits)
    return RGBColor(red, green, blue)  # type: ignore[no-untyped-call]


def _place(shape: Any, *, left: float, top: float, width: float, height: float) -> None:
    shape.left, shape.top, shape.width, shape.height = (
        Inches(left),
        Inches(top),
        Inches(width),
        Inches(height),
    )


def _write(
    frame: Any, lines: list[tuple[int, str]], theme: Theme, *, size: int, colour: str, bold: bool = False
) -> None:
    """Lines with their level; the text shrinks in programs that know how to."""
    frame.word_wrap = True
    frame.auto_size = MSO_AUTO_SIZE.TEXT_TO_FIT_SHAPE
    for at, (level, text) in enumerate(lines):
        paragraph = frame.paragraphs[0] if at == 0 else frame.add_paragraph()
        paragraph.level = level
        paragraph.space_after = Pt(size * 0.4)
        run = paragraph.add_run()
        run.text = text
        run.font.size, run.font.bold, run.font.name = Pt(size - 2 * level), bold, theme.font
        run.font.color.rgb = _colour(colour)
