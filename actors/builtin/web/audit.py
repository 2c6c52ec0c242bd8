"""What search engines and readers would hold against pages, each finding with the way to repair it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from actors.builtin.web.page import Page
from app.quality.text.keywords import covers
from app.quality.text.sentences import one_line

COSTS = {"error": 12, "warning": 5, "notice": 2}
"""Points a finding takes from a page's 100."""


@dataclass(frozen=True)
class Finding:
    """One flaw of one page."""

    page: str
    severity: str
    """error, warning or notice."""
    code: str
    message: str

    def document(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


def audit(page: Page, keywords: Sequence[str]) -> list[Finding]:
    """The flaws of a page by itself."""
    checks = (_title, _description, _head, _headings, _images, _content)
    found = [finding for check in checks for finding in check(page)]
    return found + list(_keywords(page, keywords))


def broken_links(page: Page, pages: dict[Path, Page], folder: Path) -> list[Finding]:
    """Links to files that are not in the folder, or to anchors that are not on the page.

    Nothing outside the folder is ever looked at: whether a file exists there is not ours to tell.
    """
    found: dict[str, Finding] = {}
    for link in page.links:
        problem = _problem(link, page, pages, folder)
        if problem:
            found[link] = Finding(
                page.name, "error", "broken-link", f"Link to “{one_line(link, 100)}”: {problem}."
            )
    return list(found.values())


def across(pages: Sequence[Page]) -> list[Finding]:
    """Flaws that only show between pages: the same title or description twice."""
    found: list[Finding] = []
    for what in ("title", "description"):
        groups: dict[str, list[Page]] = defaultdict(list)
        for page in pages:
            if value := page.title if what == "title" else page.description:
                groups[value.lower()].append(page)
        for same in groups.values():
            for page in same if len(same) > 1 else []:
                others = ", ".join(other.name for other in same if other is not page)[:200]
                found.append(
                    Finding(
                        page.name,
                        "warning",
                        f"duplicate-{what}",
                        f"The {what} is also that of {others}. Give each page its own.",
                    )
                )
    return found


def score(findings: Sequence[Finding]) -> int:
    """Points of a page from 0 to 100."""
    return max(0, 100 - sum(COSTS[finding.severity] for finding in findings))


def _title(page: Page) -> Iterator[Finding]:
    size = len(page.title)
    if not size:
        yield Finding(
            page.name, "error", "title-missing", "There is no title. Write one of 30 to 60 characters."
        )
    elif size > 60:
        yield Finding(
            page.name,
            "warning",
            "title-long",
            f"The title has {size} characters and will be cut; keep it under 60.",
        )
    elif size < 15:
        yield Finding(
            page.name,
            "notice",
            "title-short",
            f"The title has only {size} characters; say what the page is about.",
        )


def _description(page: Page) -> Iterator[Finding]:
    size = len(page.description)
    if not size:
        yield Finding(
            page.name,
            "error",
            "description-missing",
            "There is no meta description. Write one of 70 to 160 characters.",
        )
    elif size > 160:
        yield Finding(
            page.name,
            "notice",
            "description-long",
            f"The description has {size} characters; results show about 160.",
        )
    elif size < 50:
        yield Finding(
            page.name,
            "notice",
            "description-short",
            f"The description has only {size} characters; use up to 160.",
        )


def _head(page: Page) -> Iterator[Finding]:
    if not page.canonical:
        yield Finding(
            page.name,
            "notice",
            "canonical-missing",
            'There is no <link rel="canonical">; name the page\'s own address.',
        )
    if not page.language:
        yield Finding(page.name, "notice", "language-missing", "The html element has no lang attribute.")
    if not page.viewport:
        yield Finding(
            page.name,
            "warning",
            "viewport-missing",
            "There is no viewport meta element: phones will zoom out.",
        )
    if page.noindex:
        yield Finding(
            page.name, "warning", "noindex", "The page asks search engines to leave it out. Is that meant?"
        )


def _headings(page: Page) -> Iterator[Finding]:
    if not page.h1:
        yield Finding(page.name, "error", "h1-missing", "There is no h1. Give the page one top heading.")
    elif len(page.h1) > 1:
        yield Finding(page.name, "warning", "h1-many", f"There are {len(page.h1)} h1 headings; keep one.")
    levels = [level for level, _ in page.headings]
    for before, after in pairwise(levels):
        if after > before + 1:
            yield Finding(
                page.name,
                "notice",
                "heading-skipped",
                f"An h{after} follows an h{before}; do not skip a level.",
            )
            return


def _images(page: Page) -> Iterator[Finding]:
    without = [src for src, alt in page.images if alt is None]
    if without:
        shown = ", ".join(one_line(src, 60) or "(no src)" for src in without[:3])
        said = f"{len(without)} of {len(page.images)} images have no alt text: {shown}."
        yield Finding(
            page.name, "error", "alt-missing", said + ' Describe them, or write alt="" for decoration.'
        )


def _content(page: Page) -> Iterator[Finding]:
    if page.word_count < 150:
        yield Finding(
            page.name,
            "warning",
            "thin-content",
            f"Only {page.word_count} words; pages under 150 rarely rank.",
        )


def _keywords(page: Page, keywords: Sequence[str]) -> Iterator[Finding]:
    for keyword in keywords:
        uses = covers(page.text, keyword)
        if not uses:
            yield Finding(
                page.name,
                "notice",
                "keyword-absent",
                f"“{one_line(keyword, 60)}” does not occur on the page.",
            )
        elif not covers(page.title, keyword) and not any(covers(text, keyword) for text in page.h1):
            yield Finding(
                page.name,
                "notice",
                "keyword-buried",
                f"“{one_line(keyword, 60)}” is neither in the title nor in the h1.",
            )
        elif page.word_count and uses * len(keyword.split()) / page.word_count > 0.05:
            yield Finding(
                page.name,
                "warning",
                "keyword-stuffed",
                f"“{one_line(keyword, 60)}” is used {uses} times; write for people.",
            )


def _problem(link: str, page: Page, pages: dict[Path, Page], folder: Path) -> str | None:
    """What is wrong with an internal link; None for sound and for external ones."""
    try:
        parts = urlsplit(link.strip())
    except ValueError:
        return "not an address"
    if parts.scheme or parts.netloc:
        return None
    target: Path | None = page.path
    if parts.path:
        target = _target(unquote(parts.path), page, folder)
        if target is None:
            return "leads out of the folder"
        if not target.is_file():
            return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and anchor != "top" and target in pages and anchor not in pages[target].anchors:
        return f"there is no “#{one_line(anchor, 40)}” on that page"
    return None


def _target(path: str, page: Page, folder: Path) -> Path | None:
    """The file a link path means; None if it lies outside the folder, links resolved."""
    base = folder if path.startswith("/") else page.path.parent
    try:
        target = (base / path.lstrip("/")).resolve()
        if not target.is_relative_to(folder):
            return None
        return target / "index.html" if target.is_dir() else target
    except (OSError, ValueError, RuntimeError):
        return folder / "\N{REPLACEMENT CHARACTER}"
