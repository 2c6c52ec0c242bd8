"""Markdown as HTML that can do no harm: no raw HTML in, a cleaner behind."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_WIDE_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def rendered(text: str | None) -> Markup | None:
    """`text` for reading; None for nothing."""
    if not text:
        return None
    clean = nh3.clean(_markdown.render(text))
    return Markup(clean.replace("<table>", _WIDE_TABLE).replace("</table>", "</table></div>"))  # noqa: S704 - cleaned
