"""An audit of pages as a sentence, as figures of each page, and as a markdown report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from actors.builtin.text import markdown
from actors.builtin.web.audit import Finding, score
from actors.builtin.web.page import Page
from app.quality.text.keywords import covers, keywords


@dataclass(frozen=True)
class Audit:
    """Pages with what was found on them."""

    topic: str
    keywords: list[str]
    pages: list[Page]
    findings: list[Finding]

    @cached_property
    def by_page(self) -> dict[str, list[Finding]]:
        """The findings of each page."""
        return {page.name: [each for each in self.findings if each.page == page.name] for page in self.pages}

    @cached_property
    def scores(self) -> dict[str, int]:
        """The points of each page."""
        return {name: score(found) for name, found in self.by_page.items()}

    @property
    def mean(self) -> int:
        """Points of all pages together."""
        return round(sum(self.scores.values()) / len(self.scores))

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of findings by severity."""
        return Counter(finding.severity for finding in self.findings)

    def summary(self) -> str:
        """The audit in one sentence."""
        counted = ", ".join(
            markdown.count(self.counts[name], name) for name in ("error", "warning", "notice")
        )
        return f"{markdown.count(len(self.pages), 'page')} audited: {self.mean}/100, {counted}."

    def page_document(self, page: Page) -> dict[str, Any]:
        """The figures of a page as JSON."""
        return {
            "page": page.name,
            "score": self.scores[page.name],
            "title": page.title,
            "description": page.description,
            "h1": page.h1[:5],
            "words": page.word_count,
            "links": len(page.links),
            "images": len(page.images),
            "keyword_uses": {word: covers(page.text, word) for word in self.keywords},
            "top_terms": [word.phrase for word in keywords(page.text, 5)],
        }

    def report(self) -> str:
        """An overview table, then the findings page by page, worst first."""
        order = sorted(self.pages, key=lambda page: (self.scores[page.name], page.name))
        rows = [
            (
                page.name,
                self.scores[page.name],
                len(self.by_page[page.name]),
                page.word_count,
                page.title or "(none)",
            )
            for page in order
        ]
        wanted = ", ".join(map(markdown.escape, self.keywords))
        return markdown.report(
            [
                f"# Search audit: {markdown.escape(self.topic)}",
                f"**{self.mean}/100** over {markdown.count(len(self.pages), 'page')}; keywords: {wanted}.",
                markdown.table(("Page", "Score", "Findings", "Words", "Title"), rows),
                *[_section(page.name, self.by_page[page.name]) for page in order],
            ]
        )


def _section(name: str, found: list[Finding]) -> str:
    rank = {"error": 0, "warning": 1, "notice": 2}
    lines = [
        f"- **{finding.severity}** {markdown.escape(finding.message, 400)}"
        for finding in sorted(found, key=lambda finding: rank[finding.severity])
    ]
    return f"## {markdown.escape(name)}\n\n" + ("\n".join(lines) or "Nothing to repair.")
