"""seo-specialist: audits HTML pages for what search engines and readers would hold against them."""

from __future__ import annotations

from pathlib import Path

import orjson

from actors.builtin import places
from actors.builtin.text import markdown
from actors.builtin.text.sources import HTML, files_in
from actors.builtin.web.audit import Finding, across, audit, broken_links
from actors.builtin.web.page import Page, read_page
from actors.builtin.web.report import Audit
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import one_line

MOST_PAGES = 200
MOST_FINDINGS = 300


def health() -> Health:
    """Always ready: nothing but Python is needed."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Read the pages, make the checks, and answer the findings with a score for each page."""
    context.stage("read", "Reading pages")
    path = places.readable(work, "path")
    folder = path if path.is_dir() else path.parent
    pages = _pages(work, path, folder, context)
    wanted = _keywords(work.parameters)
    context.stage("audit", f"Auditing {markdown.count(len(pages), 'page')}")
    findings = _findings(pages, wanted, folder, context)
    context.stage("report", "Writing the report")
    return _result(Audit(str(work.parameters["topic"]), wanted, pages, findings), context)


def _pages(work: Work, path: Path, folder: Path, context: Context) -> list[Page]:
    """The page, or the pages of the folder up to `max_pages`."""
    most = min(MOST_PAGES, int(work.parameters.get("max_pages") or 50))
    files = files_in(path, HTML, most)
    if not files or files[0].suffix.lower() not in HTML:
        places.refuse(
            "path",
            f"There are no HTML pages in `{path.name}`. Name an .html file or a folder such as examples/site.",
        )
    pages: list[Page] = []
    for at, file in enumerate(files):
        context.checkpoint_due()
        context.progress(5 + 40 * at / len(files), f"Reading {file.name}")
        pages.append(read_page(file, file.relative_to(folder).as_posix()))
    if len(files) == most and path.is_dir():
        context.log(
            f"Stopped at {most} pages; raise max_pages for more (up to {MOST_PAGES}).", level="warning"
        )
    return pages


def _keywords(parameters: JSON) -> list[str]:
    """The keywords to look for: those given, otherwise the topic."""
    given = [one_line(str(word), 80) for word in parameters.get("keywords") or []]
    return [word for word in given if word] or [one_line(str(parameters["topic"]), 80)]


def _findings(pages: list[Page], wanted: list[str], folder: Path, context: Context) -> list[Finding]:
    """All findings; each page's number goes into the log as it is audited."""
    known = {page.path: page for page in pages}
    found: list[Finding] = []
    for at, page in enumerate(pages):
        context.checkpoint_due()
        here = audit(page, wanted) + broken_links(page, known, folder)
        level = "warning" if any(finding.severity == "error" for finding in here) else "info"
        context.log(
            f"{page.name}: {markdown.count(len(here), 'finding')}, {page.word_count:,} words", level=level
        )
        context.progress(45 + 45 * at / len(pages), f"Audited {page.name}")
        found += here
    return found + across(pages)


def _result(found: Audit, context: Context) -> JSON:
    """Scores and findings, also as findings.json and report.md."""
    pages = [found.page_document(page) for page in found.pages]
    findings = [finding.document() for finding in found.findings]
    complete = orjson.dumps({"pages": pages, "findings": findings}, option=orjson.OPT_INDENT_2)
    report = found.report()
    context.artifact("findings.json", complete, "application/json")
    context.artifact("report.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    return {
        "summary": found.summary(),
        "score": found.mean,
        "errors": found.counts["error"],
        "warnings": found.counts["warning"],
        "notices": found.counts["notice"],
        "keywords": found.keywords,
        "pages": pages,
        "findings": findings[:MOST_FINDINGS],
        "file_path": "report.md",
        "report": report,
    }
