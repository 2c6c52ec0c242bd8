"""The guides of docs/ as pages: rendered, with anchors and links that lead on, and found by their words.

The folder is read once per process. Nothing here knows of HTTP or of the database: the manual must be readable when
everything else is down.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path, PurePosixPath
from threading import Lock

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

CONTENTS = "README"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/README)?")
MOST_FOUND = 20
LONGEST_QUESTION = 200
_WIDE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'


@dataclass(frozen=True)
class Heading:
    """One heading of a guide."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Guide:
    """One file of docs/."""

    name: str
    """The path under docs/ without `.md`."""
    title: str
    html: Markup
    headings: tuple[Heading, ...]
    source: str


@dataclass(frozen=True)
class Found:
    """A section that has the words."""

    guide: str
    title: str
    heading: str
    anchor: str
    excerpt: Markup
    """With the words in <mark>."""


class Manual:
    """All guides of one folder."""

    def __init__(self, folder: Path, root: str = "/docs") -> None:
        """`root` is where the guides are served."""
        self._root = root
        self._guides = {
            str(file.relative_to(folder).with_suffix("")): file
            for file in sorted(folder.rglob("*.md"))
            if NAME.fullmatch(str(file.relative_to(folder).with_suffix("")))
        }
        self._lock = Lock()
        self._index: sqlite3.Connection | None = None
        self.guide = lru_cache(maxsize=None)(self._read)

    @property
    def names(self) -> list[str]:
        """All guides, by name; the contents page is `README`."""
        return list(self._guides)

    def _read(self, name: str) -> Guide:
        """The guide; raises KeyError if there is none of that name."""
        source = self._guides[name].read_text()
        tokens = _markdown.parse(_body(source))
        headings = tuple(_headings(tokens))
        _lead_on(tokens, PurePosixPath(name).parent, self._root)
        html = _markdown.renderer.render(tokens, _markdown.options, {})
        title = headings[0].text if headings else name
        return Guide(name, title, _safe(html), headings, source)

    def find(self, text: str) -> list[Found]:
        """The sections that have all the words of `text` (the last one as a beginning), best first; at most 20."""
        words = re.findall(r"\w+", text[:LONGEST_QUESTION])
        if not words:
            return []
        question = " ".join([*(f'"{word}"' for word in words[:-1]), f'"{words[-1]}"*'])
        with self._lock:
            if self._index is None:
                self._index = self._indexed()
            rows = self._index.execute(_FIND, (question, MOST_FOUND)).fetchall()
        return [
            Found(guide, title, heading, anchor, _marked(excerpt))
            for guide, title, heading, anchor, excerpt in rows
        ]

    def _indexed(self) -> sqlite3.Connection:
        index = sqlite3.connect(":memory:", check_same_thread=False)
        index.execute(
            """CREATE VIRTUAL TABLE sections USING fts5(guide UNINDEXED, title, heading, anchor UNINDEXED, text,
               tokenize = 'porter unicode61')"""
        )
        for name in self._guides:
            guide = self.guide(name)
            index.executemany(
                "INSERT INTO sections VALUES (?, ?, ?, ?, ?)",
                [
                    (name, guide.title, heading.text, heading.anchor, text)
                    for heading, text in sections(guide)
                ],
            )
        return index


_FIND = """
    SELECT guide, title, heading, anchor, snippet(sections, 4, char(2), char(3), '…', 24) FROM sections
    WHERE sections MATCH ? ORDER BY bm25(sections, 0, 6, 10, 0, 1) LIMIT ?"""

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def sections(guide: Guide) -> list[tuple[Heading, str]]:
    """Each heading with the plain text that stands under it."""
    found: list[tuple[Heading, list[str]]] = []
    rest = iter(guide.headings)
    for token in _markdown.parse(_body(guide.source)):
        if token.type == "heading_open":
            found.append((next(rest), []))
        elif token.type in ("inline", "fence", "code_block") and found:
            found[-1][1].append(_plain(token))
    return [(heading, "\n".join(texts)) for heading, texts in found]


def _body(source: str) -> str:
    """Without the front matter, which is for programs."""
    return re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL)


def _plain(token: Token) -> str:
    if token.type != "inline":
        return token.content
    return "".join(
        " " if child.type == "softbreak" else child.content
        for child in token.children or []
        if child.type in ("text", "code_inline", "softbreak")
    )


def _headings(tokens: list[Token]) -> list[Heading]:
    """The headings in order; each gets its anchor, the one that GitHub would give it."""
    found: list[Heading] = []
    taken: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            text = _plain(tokens[at + 1])
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            again = taken.get(anchor, 0)
            taken[anchor] = again + 1
            anchor = f"{anchor}-{again}" if again else anchor
            token.attrSet("id", anchor)
            found.append(Heading(int(token.tag[1:]), text, anchor))
    return found


def _lead_on(tokens: list[Token], folder: PurePosixPath, root: str) -> None:
    """Links to other files of docs/ lead to their pages, and so do pictures."""
    for token in tokens:
        for child in token.children or []:
            name = {"link_open": "href", "image": "src"}.get(child.type)
            if name:
                child.attrSet(name, _led(str(child.attrGet(name)), folder, root))


def _led(target: str, folder: PurePosixPath, root: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target):
        return target
    path, _, anchor = target.partition("#")
    whole = _joined(folder, path)
    if whole is None:  # a file of the project outside of docs/
        return f"{root}/"
    page = "" if whole == f"{CONTENTS}.md" else f"/{whole.removesuffix('.md')}"
    return f"{root}{page}" + (f"#{anchor}" if anchor else "")


def _joined(folder: PurePosixPath, path: str) -> str | None:
    """`path` as seen from `folder`; None if that is outside."""
    parts = list(folder.parts)
    for part in PurePosixPath(path).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _safe(html: str) -> Markup:
    # Our own files, and raw HTML in them stays text.
    return Markup(html.replace("<table>", _WIDE).replace("</table>", "</table></div>"))  # noqa: S704


def _marked(excerpt: str) -> Markup:
    return Markup(escape(excerpt).replace("\x02", "<mark>").replace("\x03", "</mark>"))  # noqa: S704 - escaped
