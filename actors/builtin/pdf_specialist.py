"""pdf-specialist: a PDF from a title and markdown, with bookmarks, page numbers and metadata.

What writes PDF is loaded late: workers import this module only to ask for its health.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from actors.builtin import commands, places
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.draft import Draft
from app.quality.text.sentences import clean, one_line

if TYPE_CHECKING:
    from actors.builtin.pdf_fonts import Fonts
    from actors.builtin.pdf_pages import Document


def health() -> Health:
    """Whether fpdf2 is installed."""
    return commands.health(modules=("fpdf",))


def run(work: Work, context: Context) -> JSON:
    """Lay the content out and keep the PDF."""
    from actors.builtin.pdf_fonts import fonts_for
    from actors.builtin.pdf_pages import Document, Unprintable, render

    asked = work.parameters
    document = Document(
        title=one_line(str(asked["title"]), 200),
        content=clean(str(asked["content"])),
        subtitle=one_line(str(asked.get("subtitle") or ""), 200),
        author=one_line(str(asked.get("author") or ""), 120),
        page_size=str(asked.get("page_size") or "A4"),
        toc=bool(asked.get("toc", False)),
    )
    if not document.title or not document.content.strip():
        places.refuse("content", "There is nothing to print. Give a `title` and some `content`.")
    context.stage("layout", "Laying out the pages")
    context.progress(10, "Laying out the pages")
    text = document.title + document.content + document.subtitle + document.author
    fonts = fonts_for(text)
    _tell(fonts, context)
    context.checkpoint_due()
    try:
        content, pages = render(document, fonts)
    except Unprintable as error:
        places.refuse("content", f"The content cannot be laid out on a page: {error}.")
    name = f"{slug(str(asked.get('filename') or '') or document.title, 'document')}.pdf"
    context.artifact(name, content, "application/pdf")
    result = _result(document, name, pages, len(content), fonts)
    context.progress(100, str(result["summary"]))
    return result


def slug(text: str, otherwise: str) -> str:
    """A text as a file name without ending."""
    plain = unicodedata.normalize("NFKD", text.removesuffix(".pdf")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].rstrip("-") or otherwise


def _tell(fonts: Fonts, context: Context) -> None:
    context.log("Set in the built-in fonts." if not fonts.files else f"Set in {fonts.files[0].stem}.")  # type: ignore[union-attr]
    if fonts.lacking:
        shown = " ".join(sorted(fonts.lacking)[:20])
        words = (
            f"No font here has {markdown.count(len(fonts.lacking), 'sign')}, replaced in the text: {shown}"
        )
        context.log(words, level="warning")


def _result(document: Document, name: str, pages: int, size: int, fonts: Fonts) -> JSON:
    draft = Draft(document.content)
    said = f"{name}: {markdown.count(pages, 'page')}, {size // 1024 + 1} kB"
    said += f", {markdown.count(len(fonts.lacking), 'sign')} replaced." if fonts.lacking else "."
    headings = "\n".join(
        f"{'  ' * (level - 1)}- {markdown.escape(text)}" for level, text in draft.headings[:60]
    )
    return {
        "summary": said,
        "title": document.title,
        "file_path": name,
        "pages": pages,
        "bytes": size,
        "word_count": draft.words,
        "headings": len(draft.headings),
        "replaced": sorted(fonts.lacking)[:100],
        "report": markdown.report(
            [f"**{markdown.escape(document.title, 200)}**", markdown.escape(said, 300), headings]
        ),
    }
