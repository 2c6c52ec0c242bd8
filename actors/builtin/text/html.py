"""HTML read for its words: the title and the text a visitor would see."""

from __future__ import annotations

import re
import warnings

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
from bs4.element import NavigableString, PreformattedString, Tag

warnings.filterwarnings("ignore", category=MarkupResemblesLocatorWarning)
warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object", "select", "head"})
_FURNITURE = frozenset({"nav", "header", "footer", "aside", "form", "button"})
_TAG = re.compile("<([^<>]*)(>?)")
_LONGEST_TAG = 5_000
_BLOCKS = frozenset(
    "p div section article main li ul ol dl dt dd table tr td th pre blockquote br hr figcaption".split()  # noqa: SIM905 - names read better in a row
) | {f"h{level}" for level in range(1, 7)}


def parse(html: str) -> BeautifulSoup:
    """The document as a tree; any text is accepted. The caller bounds the size."""
    return BeautifulSoup(_without_bombs(_TAG.sub(_sound_tag, _without_comments(html))), "html.parser")


def title_of(soup: BeautifulSoup) -> str:
    """The title element's text, or the first h1's, or nothing."""
    for name in ("title", "h1"):
        element = soup.find(name)
        if element is not None and element.get_text(strip=True):
            return " ".join(element.get_text(" ").split())
    return ""


def text_of(soup: BeautifulSoup, *, furniture: bool = False) -> str:
    """The visible text with blank lines between blocks; navigation and footers only if asked for."""
    silent = _SILENT if furniture else _SILENT | _FURNITURE
    pieces: list[str] = []
    # An own walk with a stack: deep nesting must not meet Python's recursion limit.
    stack: list[Tag | NavigableString] = [soup]
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if node.name in silent and not (node.name == "header" and node.find_parent("article")):
                continue
            if node.name in _BLOCKS:
                pieces.append("\n\n")
            stack.extend(
                child for child in reversed(node.contents) if isinstance(child, (Tag, NavigableString))
            )
        elif not isinstance(node, PreformattedString):
            pieces.append(str(node).replace("\n", " "))
        if isinstance(node, Tag) and node.name in _BLOCKS:
            pieces.append("" if node.contents else "\n\n")
    return re.sub(r"[ \t]*\n\s*\n\s*", "\n\n", "".join(pieces)).strip()


def _sound_tag(match: re.Match[str]) -> str:
    """A tag as it is, a lone `<` as text, nothing for an absurdly long tag.

    html.parser takes minutes for a page of open quotes in tags that never end.
    """
    inside, end = match.group(1), match.group(2)
    if not end:
        return f"&lt;{inside}"
    return match.group() if len(inside) <= _LONGEST_TAG else " "


def _without_comments(html: str) -> str:
    """The page without comments and declarations that html.parser reads again and again if they stay open."""
    for start, end in (("<!--", "-->"), ("<![", "]>"), ("<?", ">")):
        pieces: list[str] = []
        at = 0
        while (opened := html.find(start, at)) >= 0:
            pieces.append(html[at:opened])
            closed = html.find(end, opened + len(start))
            at = closed + len(end) if closed >= 0 else len(html)
        html = "".join([*pieces, html[at:]])
    return html


def _without_bombs(html: str) -> str:
    """The page up to an absurd number of tags: parsing time and memory grow with them."""
    most_tags = 60_000
    if html.count("<") <= most_tags:
        return html
    at = -1
    for _ in range(most_tags):
        at = html.find("<", at + 1)
    return html[:at]
