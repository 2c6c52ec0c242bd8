"""A draft taken apart once: title, sections, paragraphs, prose, lists, code, so that checks only look.

The blocks are markdown's, by markdown-it-py without its inline part, which is fast and bounded for any text. A draft
in HTML is read as the markdown that would look like it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from app.quality.text.languages import Language, language_of
from app.quality.text.readability import Readability, readability
from app.quality.text.sentences import STOPWORDS, clean, terms, unmarked, words

if TYPE_CHECKING:
    from markdown_it.token import Token

MOST_CHARACTERS = 1_000_000
"""Of a longer text so much is looked at."""
MOST_LINES = 10_000
"""And of a text with more lines so many; each costs as much as a paragraph to take apart."""
MEASURED = 100_000
"""Characters that reading ease is measured on."""
PASSAGE = 4
USUAL_REPEATS = 0.08
_IS_HTML = re.compile(
    r"\s*<(?:!doctype|html|head|body|article|section|main|div|h[1-6]|p|ul|ol|blockquote)\b", re.IGNORECASE
)
_HTML_BLOCKS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "pre", "div", "tr", "br"}
_HTML_TAG = re.compile(r"<(/?)([a-z0-9]+)>")
_FENCE_END = re.compile(r"[ \t]*(?:`{3,}|~{3,})[ \t]*")
_ENDS = ".!?…。！？؟۔।"
_CLOSERS = "\"”’'»)]*_`>」』"


@dataclass(frozen=True)
class Block:
    """A paragraph, or a whole list, as prose."""

    kind: str
    """`paragraph`, `list`, `code`, `heading`."""
    text: str


@dataclass
class _Reading:
    """What has been gathered of the blocks so far."""

    blocks: list[Block] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    items: int = 0
    code: int = 0
    unclosed: bool = False


@dataclass(frozen=True)
class Draft:
    """A text to be judged, markdown or HTML; every view of it is worked out at first use."""

    content: str
    given_title: str = ""
    """The title that stands beside the text."""

    @cached_property
    def _read(self) -> _Reading:
        text = "\n".join(clean(self.content[:MOST_CHARACTERS]).split("\n", MOST_LINES)[:MOST_LINES])
        return _reading(_from_html(text) if _IS_HTML.match(text) else text)

    @cached_property
    def blocks(self) -> list[Block]:
        """Paragraphs, lists, code and headings in their order."""
        return self._read.blocks

    @cached_property
    def prose(self) -> str:
        """The text without headings, code and marks."""
        return "\n\n".join(block.text for block in self.blocks if block.kind in {"paragraph", "list"})

    @cached_property
    def paragraphs(self) -> list[str]:
        """The paragraphs of the prose, each on one line; a list counts as one."""
        return [" ".join(block.text.split()) for block in self.blocks if block.kind in {"paragraph", "list"}]

    @cached_property
    def tokens(self) -> list[str]:
        """The words of the prose, in lower case."""
        return words(self.prose)

    @cached_property
    def sample(self) -> str:
        """The prose, as much of it as wording is judged by."""
        return self.prose[:MEASURED]

    @cached_property
    def sample_words(self) -> int:
        """Number of words in the sample."""
        return len(words(self.sample))

    @cached_property
    def terms(self) -> list[str]:
        """The stems in the sample that carry meaning."""
        return terms(self.sample)

    @cached_property
    def repeated_words(self) -> int:
        """Words of passages, four words and longer, that were there before; a few in a hundred are usual, and no matter."""
        spoken = words(self.sample)
        seen: set[tuple[str, ...]] = set()
        again: set[int] = set()
        for place in range(len(spoken) - PASSAGE + 1):
            passage = tuple(spoken[place : place + PASSAGE])
            if passage in seen:
                again.update(range(place, place + PASSAGE))
            seen.add(passage)
        return len(again) if len(again) > len(spoken) * USUAL_REPEATS else 0

    @cached_property
    def has_stops(self) -> bool:
        """Sentences end with signs here, so that a missing one means something."""
        return self.language.is_english or any(sign in _ENDS for sign in self.prose)

    @property
    def words(self) -> int:
        """Number of words in the prose."""
        return len(self.tokens)

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading outside code."""
        return self._read.headings

    @property
    def title(self) -> str:
        """The first top heading, else the title beside the text, or nothing."""
        return next((text for level, text in self.headings if level == 1), self.given_title)

    @property
    def sections(self) -> list[str]:
        """Headings below the title."""
        first = next((at for at, (level, _) in enumerate(self.headings) if level == 1), None)
        return [text for at, (level, text) in enumerate(self.headings) if at != first and level < 5]

    @property
    def list_items(self) -> int:
        """Number of list items outside code."""
        return self._read.items

    @property
    def code_blocks(self) -> int:
        """Number of code blocks."""
        return self._read.code

    @property
    def opening(self) -> str:
        """The first paragraph."""
        return self.paragraphs[0] if self.paragraphs else ""

    @cached_property
    def closing(self) -> str:
        """The last fifth of the paragraphs, at least the last one."""
        return "\n".join(self.paragraphs[-max(1, len(self.paragraphs) // 5) :])

    @cached_property
    def language(self) -> Language:
        """What language it is in."""
        return language_of(self.prose or self.content[:MOST_CHARACTERS])

    @cached_property
    def readability(self) -> Readability:
        """How hard the prose is to read; of a long text, its beginning."""
        return readability(self.sample)

    @cached_property
    def broken_off(self) -> str | None:
        """How the text ends if it ends before its end, in words; None if it is whole."""
        if self._read.unclosed:
            return "ends within a code block"
        last = self.blocks[-1] if self.blocks else None
        if last is None or last.kind == "code":
            return None
        if last.kind == "heading":
            return "ends with a heading"
        line = last.text.rstrip().rpartition("\n")[2]
        return _broken(last.kind, line, last.text)


def _broken(kind: str, line: str, block: str) -> str | None:
    if _is_whole(line):
        return None
    spoken = words(line)
    tail = spoken[-1] if spoken else ""
    if kind == "list":
        others = [item for item in block.split("\n\n")[:-1] if item.strip()]
        stops = bool(others) and all(_is_whole(item) for item in others)
        return "ends in mid-sentence" if stops or (tail in STOPWORDS and len(spoken) > 2) else None
    if line.rstrip().endswith((":", ",", ";")) or len(spoken) > 5 or tail in STOPWORDS:
        return "ends in mid-sentence"
    return None


def _is_whole(line: str) -> bool:
    """Whether a line ends like a sentence, or with a sign, a link or an address that needs no full stop."""
    end = line.rstrip().rstrip(_CLOSERS).rstrip()
    if not end or end[-1] in _ENDS:
        return True
    last = end.split()[-1]
    return (
        last.startswith(("#", "@", "http"))
        or "/" in last
        or unicodedata.category(end[-1]) in {"So", "Sk", "Mn"}
    )


def _reading(text: str) -> _Reading:
    found = _Reading()
    tokens: Sequence[Token] = _parser().parse(text)
    depth, items = 0, list[str]()
    lines = text.rstrip().count("\n") + 1
    for at, token in enumerate(tokens):
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            depth += 1
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            depth -= 1
            if not depth and items:
                found.blocks.append(Block("list", "\n\n".join(items)))
                items = []
        elif token.type == "list_item_open":
            found.items += 1
        elif token.type in {"fence", "code_block"}:
            _add_code(found, token, text, lines)
        elif token.type == "inline":
            _add_inline(found, token, tokens[at - 1], items if depth else None)
        elif token.type == "html_block":
            _add(found.blocks, "paragraph", unmarked(token.content))
    return found


def _add_code(found: _Reading, token: Token, text: str, lines: int) -> None:
    found.code += 1
    found.blocks.append(Block("code", ""))
    if token.type == "fence" and token.map and token.map[1] >= lines:
        found.unclosed = (
            not _FENCE_END.fullmatch(text.rstrip().rpartition("\n")[2]) or token.map[1] - token.map[0] < 2
        )


def _add_inline(found: _Reading, token: Token, before: Token, items: list[str] | None) -> None:
    said = unmarked(token.content)
    if before.type == "heading_open":
        found.headings.append((int(before.tag[1:]), " ".join(said.split())))
        found.blocks.append(Block("heading", said))
    elif items is not None:
        items.append(said)
    else:
        _add(found.blocks, "paragraph", said)


def _add(blocks: list[Block], kind: str, said: str) -> None:
    if said.strip():
        blocks.append(Block(kind, said))


def _from_html(text: str) -> str:
    """An HTML text as markdown: headings, paragraphs, lists and code; everything else is its words."""
    import nh3

    known = nh3.clean(
        text, tags=_HTML_BLOCKS, attributes={}, clean_content_tags={"script", "style", "head", "nav"}
    )
    return html.unescape(_HTML_TAG.sub(_mark, known))


def _mark(tag: re.Match[str]) -> str:
    closes, name = tag.group(1), tag.group(2)
    if name == "br":
        return "\n"
    if name == "pre":
        return "\n```\n"
    if closes:
        return "\n\n"
    if name == "li":
        return "\n- "
    return f"\n\n{'#' * int(name[1])} " if name[0] == "h" and name != "html" else "\n\n"


@cache
def _parser() -> Any:
    """CommonMark's blocks and tables; imported late because it takes time."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").disable("inline")
