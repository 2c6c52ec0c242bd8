"""From the markdown that a model wrote to an article: title, text, excerpt, tags, and what search engines are told."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Self

from app.content.brief import Brief
from app.quality.subject import text_of
from app.quality.text.keywords import keywords
from app.quality.text.sentences import clean, one_line, paragraphs, plain

LONGEST_TITLE = 200
LONGEST_EXCERPT = 300
LONGEST_SEO_TITLE = 60
LONGEST_SEO_TEXT = 155
MOST_TAGS = 5
_TITLE = re.compile(r"^[ \t]{0,3}#[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FENCED = re.compile(r"^\s*```(?:markdown|md|json)?[ \t]*\n(.*)\n\s*```\s*$", re.DOTALL)
_MARKS = re.compile(r"[*_`]+")


@dataclass(frozen=True, kw_only=True)
class Article:
    """A post as it will be read."""

    title: str
    content: str
    """Markdown, with the title as its first heading."""
    excerpt: str
    tags: tuple[str, ...]
    seo_title: str
    seo_description: str

    @classmethod
    def read(cls, text: str, brief: Brief) -> Self:
        """The article in an answer of a model; what it does not say is worked out from its text and the brief."""
        content = unwrapped(text)
        found = _TITLE.search(content)
        title = one_line(_MARKS.sub("", found[1]) if found else brief.topic, LONGEST_TITLE)
        if not found:
            content = f"# {title}\n\n{content}"
        first = next((part for part in paragraphs(plain(content)) if len(part.split()) > 5), title)
        return cls(
            title=title,
            content=content,
            excerpt=one_line(first, LONGEST_EXCERPT),
            tags=brief.tags or tuple(found.phrase for found in keywords(plain(content), MOST_TAGS)),
            seo_title=one_line(title, LONGEST_SEO_TITLE),
            seo_description=one_line(first, LONGEST_SEO_TEXT),
        )

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """The article as `document` wrote it; people may have changed its text meanwhile."""
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__} | {"tags": tuple(kept["tags"])})

    def document(self) -> dict[str, Any]:
        """The article as JSON."""
        return asdict(self) | {"tags": list(self.tags)}

    @property
    def body(self) -> str:
        """The text without its title, which a CMS shows by itself."""
        found = _TITLE.search(self.content)
        if found is None or self.content[: found.start()].strip():
            return self.content
        return self.content[found.end() :].strip()


def unwrapped(text: str) -> str:
    """What a model meant to write: not in a fence or in JSON, and without a word before the title."""
    fenced = _FENCED.match(clean(text))
    content = out_of_json((fenced[1] if fenced else clean(text)).strip())
    found = _TITLE.search(content)
    before = content[: found.start()].strip() if found else ""
    # "Sure, here is your post:" is no part of it; an introduction above the title would be longer.
    return content[found.start() :] if found and 0 < len(before) < 200 and "\n\n" not in before else content


def out_of_json(text: str) -> str:
    """The post in an object that a model put around it, though nobody asked for one; any other text as it is."""
    if not (text.startswith("{") and text.endswith("}")):
        return text
    try:
        said = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
    title, content = said.get("title"), text_of(said)
    if not content:
        return text
    titled = isinstance(title, str) and title.strip() and not _TITLE.search(content)
    return clean(f"# {one_line(title, LONGEST_TITLE)}\n\n{content}" if titled else content).strip()
