"""Markdown as HTML that can do no harm: no raw HTML in, a cleaner behind, and no images.

An image is fetched from wherever its author says by whoever looks, so a text could tell others what it knows; what
it shows stands in words instead.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markupsafe import Markup

_WIDE_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'
_TAGS = nh3.ALLOWED_TAGS - {"img", "map", "area"}
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_markdown.add_render_rule("image", lambda _self, tokens, index, *_rest: escapeHtml(tokens[index].content))


def rendered(text: str | None) -> Markup | None:
    """`text` for reading; None for nothing."""
    if not text:
        return None
    clean = nh3.clean(_markdown.render(text), tags=_TAGS)
    return Markup(clean.replace("<table>", _WIDE_TABLE).replace("</table>", "</table></div>"))  # noqa: S704 - cleaned
