"""A draft taken apart once: title, sections, paragraphs, prose, lists, code, so that checks only look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from actors.builtin.text.readability import Readability, readability
from actors.builtin.text.sentences import clean, paragraphs, plain, words

_FENCED = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^[ \t]{0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_LIST_ITEM = re.compile(r"^[ \t]{0,6}(?:[-*+]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)


@dataclass(frozen=True)
class Draft:
    """A markdown text to be judged; every view of it is worked out at first use."""

    content: str

    @cached_property
    def prose(self) -> str:
        """The text without headings, code and marks."""
        return plain(self.content)

    @cached_property
    def paragraphs(self) -> list[str]:
        """The paragraphs of the prose."""
        return paragraphs(self.prose)

    @cached_property
    def words(self) -> int:
        """Number of words in the prose."""
        return len(words(self.prose))

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading outside code."""
        text = _FENCED.sub("", clean(self.content))
        return [(len(marks), title) for marks, title in _HEADING.findall(text)]

    @property
    def title(self) -> str:
        """The first top heading, or nothing."""
        return next((text for level, text in self.headings if level == 1), "")

    @property
    def sections(self) -> list[str]:
        """Headings below the title."""
        return [text for level, text in self.headings if level > 1]

    @cached_property
    def list_items(self) -> int:
        """Number of list items outside code."""
        return len(_LIST_ITEM.findall(_FENCED.sub("", self.content)))

    @cached_property
    def code_blocks(self) -> int:
        """Number of fenced code blocks."""
        return len(_FENCED.findall(self.content))

    @property
    def opening(self) -> str:
        """The first paragraph."""
        return self.paragraphs[0] if self.paragraphs else ""

    @cached_property
    def closing(self) -> str:
        """The last fifth of the paragraphs, at least the last one."""
        return "\n".join(self.paragraphs[-max(1, len(self.paragraphs) // 5) :])

    @cached_property
    def readability(self) -> Readability:
        """How hard the prose is to read."""
        return readability(self.prose)
