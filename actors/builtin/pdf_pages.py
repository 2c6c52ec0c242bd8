"""A PDF from markdown: title, headings with bookmarks, lists, tables, code, links, page numbers."""

from __future__ import annotations

from dataclasses import dataclass

import nh3
from bs4 import BeautifulSoup, Tag
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.errors import FPDFException
from fpdf.fonts import FontFace, TextStyle
from fpdf.outline import TableOfContents
from markdown_it import MarkdownIt

from actors.builtin.pdf_fonts import Fonts
from app import clock

INK, QUIET, ACCENT = (33, 37, 41), (105, 112, 119), (31, 78, 120)
TAGS = frozenset(
    """h1 h2 h3 h4 h5 h6 p ul ol li blockquote pre code strong em s a hr br table thead tbody tr th td""".split()  # noqa: SIM905
)
SIZES = {"h1": 18, "h2": 15, "h3": 13, "h4": 12, "h5": 11, "h6": 11}
PAPER = {"A4": (210.0, 297.0), "Letter": (215.9, 279.4), "A5": (148.0, 210.0)}  # mm
WIDEST_TABLE = 12
TOC_FIRST_PAGE, TOC_NEXT_PAGE = 38, 44  # lines of a table of contents on A4


class Unprintable(Exception):
    """The content cannot be laid out on a page."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What is to be printed."""

    title: str
    content: str
    subtitle: str = ""
    author: str = ""
    page_size: str = "A4"
    toc: bool = False


class Pages(FPDF):
    """A document with the title and page numbers at the foot of every page."""

    def __init__(self, document: Document, fonts: Fonts) -> None:
        """An empty document with its fonts and metadata."""
        super().__init__(format=PAPER[document.page_size])
        self.document, self.fonts_used = document, fonts
        fonts.add_to(self)
        self.set_title(document.title)
        self.set_author(document.author or "Callboard")
        self.set_creator("Callboard pdf-specialist")
        if document.subtitle:
            self.set_subject(document.subtitle)
        self.set_creation_date(clock.now())
        self.set_margins(22, 20)
        self.set_auto_page_break(True, margin=22)
        self.alias_nb_pages()

    def footer(self) -> None:
        """Title on the left, page of pages on the right."""
        self.set_y(-15)
        self.set_font(self.fonts_used.text, size=8)
        self.set_text_color(*QUIET)
        title = self.fonts_used.fit(self.document.title)
        shown = title if len(title) <= 80 else title[:79] + "…"
        self.cell(self.epw * 0.8, 8, self.fonts_used.fit(shown))
        self.cell(0, 8, f"{self.page_no()} / {{nb}}", align="R")

    def head(self) -> None:
        """The title block on the first page."""
        fit, document = self.fonts_used.fit, self.document
        self.add_page()
        self.set_text_color(*ACCENT)
        self._line(fit(document.title), "B", 24, 10)
        if document.subtitle:
            self.set_text_color(*QUIET)
            self._line(fit(document.subtitle), "", 13, 7)
        self.set_text_color(*QUIET)
        day = clock.now().strftime("%Y-%m-%d")
        self._line(fit(f"{document.author} · {day}" if document.author else day), "", 10, 6)
        self.set_draw_color(*ACCENT)
        self.line(self.l_margin, self.get_y() + 2, self.w - self.r_margin, self.get_y() + 2)
        self.ln(8)
        self.set_text_color(*INK)

    def _line(self, text: str, style: str, size: int, height: float) -> None:
        self.set_font(self.fonts_used.text, style, size)
        self.multi_cell(0, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def render(document: Document, fonts: Fonts) -> tuple[bytes, int]:
    """The PDF and its number of pages; raises Unprintable.

    How many pages the table of contents takes must be known before, so it is estimated and tried.
    """
    html = fonts.fit(as_html(document.content, document.title))
    likely = 1 + max(0, html.count("<h") - TOC_FIRST_PAGE) // TOC_NEXT_PAGE if document.toc else 0
    error: FPDFException | None = None
    for toc_pages in (likely, likely + 1, max(1, likely - 1), likely + 2) if document.toc else (0,):
        try:
            return _rendered(document, fonts, html, toc_pages)
        except FPDFException as wrong:
            error = wrong
    raise Unprintable(str(error)) from error


def _rendered(document: Document, fonts: Fonts, html: str, toc_pages: int) -> tuple[bytes, int]:
    pages = Pages(document, fonts)
    pages.head()
    pages.set_font(fonts.text, size=11)
    if toc_pages:
        pages.insert_toc_placeholder(TableOfContents().render_toc, pages=toc_pages)
    pages.write_html(
        html,
        font_family=fonts.text,
        ul_bullet_char="•",
        li_prefix_color=ACCENT,
        table_line_separators=True,
        tag_styles=_styles(fonts),
    )
    return bytes(pages.output()), len(pages.pages)


def as_html(markdown: str, title: str = "") -> str:
    """The content as the HTML that can be printed: no scripts, no pictures, plain cells, no second title."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    soup = BeautifulSoup(parser.render(markdown), "html.parser")
    for picture in soup.find_all("img"):
        picture.replace_with(f"[{picture.get('alt') or 'picture'}]")
    first = soup.find(True)
    if isinstance(first, Tag) and first.name == "h1" and first.get_text(" ", strip=True) == title:
        first.decompose()
    for table in soup.find_all("table"):
        _flatten(table)
    for paragraph in soup.find_all(["p", "ul", "ol"]):
        paragraph["line-height"] = "1.3"
    return nh3.clean(
        str(soup),
        tags=TAGS,
        attributes={
            "a": {"href"},
            "p": {"line-height"},
            "ul": {"line-height"},
            "ol": {"start", "line-height"},
            "td": {"align"},
            "th": {"align"},
        },
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )


def _flatten(table: Tag) -> None:
    """Cells as plain text, which is all a cell can print; a table too wide for a page becomes lines."""
    for cell in table.find_all(["td", "th"]):
        style = str(cell.attrs.pop("style", ""))
        if "text-align:" in style:
            cell["align"] = style.partition("text-align:")[2].strip(" ;")
        cell.string = cell.get_text(" ", strip=True)
    rows = [[cell.get_text() for cell in row.find_all(["td", "th"])] for row in table.find_all("tr")]
    if max((len(row) for row in rows), default=0) > WIDEST_TABLE:
        lines = BeautifulSoup("<pre><code></code></pre>", "html.parser")
        assert lines.code
        lines.code.string = "\n".join(" | ".join(row) for row in rows)
        table.replace_with(lines)


def _styles(fonts: Fonts) -> dict[str, TextStyle | FontFace]:
    styles: dict[str, TextStyle | FontFace] = {
        tag: TextStyle(font_style="B", font_size_pt=size, color=ACCENT, t_margin=5, b_margin=1.5)
        for tag, size in SIZES.items()
    }
    styles["p"] = TextStyle(b_margin=2)
    styles["blockquote"] = TextStyle(color=QUIET, t_margin=2, b_margin=2, l_margin=6)
    styles["pre"] = TextStyle(font_family=fonts.code, font_size_pt=9, t_margin=3, b_margin=3)
    styles["code"] = FontFace(family=fonts.code)
    return styles
