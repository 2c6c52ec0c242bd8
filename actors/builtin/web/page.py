"""One HTML page taken apart: title, description, headings, links, images, words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from bs4 import BeautifulSoup
from bs4.element import Tag

from actors.builtin.text.html import parse, text_of
from actors.builtin.text.sources import read_text
from app.quality.text.sentences import clean, one_line, words

MOST_LINKS = 2_000


@dataclass(frozen=True)
class Page:
    """What a page holds; `name` is its path below the audited folder."""

    name: str
    path: Path
    title: str
    description: str
    canonical: str
    language: str
    viewport: bool
    noindex: bool
    headings: tuple[tuple[int, str], ...]
    links: tuple[str, ...]
    images: tuple[tuple[str, str | None], ...]
    """(src, alt); alt is None where the attribute is missing, empty for decoration."""
    anchors: frozenset[str]
    text: str
    word_count: int = field(default=0)

    @property
    def h1(self) -> list[str]:
        """The texts of the top headings."""
        return [text for level, text in self.headings if level == 1]


def read_page(path: Path, name: str) -> Page:
    """Read a page from a file of at most 2 MB."""
    soup = parse(read_text(path))
    text = clean(text_of(soup))
    root = soup.find("html")
    return Page(
        name=one_line(name, 120),
        path=path,
        title=_first_text(soup, "title"),
        description=_meta(soup, "description"),
        canonical=_canonical(soup),
        language=_value(root, "lang") if isinstance(root, Tag) else "",
        viewport=bool(_meta(soup, "viewport")),
        noindex="noindex" in _meta(soup, "robots").lower(),
        headings=_headings(soup),
        links=tuple(_value(tag, "href") for tag in soup.find_all("a", href=True, limit=MOST_LINKS)),
        images=tuple(
            (one_line(_value(tag, "src"), 120), _alt(tag)) for tag in soup.find_all("img", limit=MOST_LINKS)
        ),
        anchors=_anchors(soup),
        text=text,
        word_count=len(words(text)),
    )


def _first_text(soup: BeautifulSoup, name: str) -> str:
    element = soup.find(name)
    return one_line(element.get_text(" "), 300) if isinstance(element, Tag) else ""


def _value(tag: Tag, name: str) -> str:
    value = tag.get(name) or ""
    return clean(value if isinstance(value, str) else " ".join(value)).strip()


def _meta(soup: BeautifulSoup, name: str) -> str:
    tag = soup.find("meta", attrs={"name": re.compile(f"^{name}$", re.IGNORECASE)})
    return one_line(_value(tag, "content"), 500) if isinstance(tag, Tag) else ""


def _canonical(soup: BeautifulSoup) -> str:
    tag = soup.find("link", rel="canonical")
    return _value(tag, "href") if isinstance(tag, Tag) else ""


def _headings(soup: BeautifulSoup) -> tuple[tuple[int, str], ...]:
    found = soup.find_all(re.compile("^h[1-6]$"), limit=300)
    return tuple(
        (int(tag.name[1]), one_line(tag.get_text(" "), 200)) for tag in found if isinstance(tag, Tag)
    )


def _alt(tag: Tag) -> str | None:
    return _value(tag, "alt") if tag.has_attr("alt") else None


def _anchors(soup: BeautifulSoup) -> frozenset[str]:
    named = {_value(tag, "id") for tag in soup.find_all(id=True, limit=MOST_LINKS)}
    return frozenset(
        named | {_value(tag, "name") for tag in soup.find_all("a", attrs={"name": True}, limit=MOST_LINKS)}
    )
