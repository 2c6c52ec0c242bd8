"""research-agent: the sentences of given texts, files and pages that say most about a topic, with citations.

Extractive on purpose: every sentence of the summary stands in a source, so nothing can be invented.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from actors.builtin import places
from actors.builtin.text import markdown
from actors.builtin.text.digest import Passage, digest, questions
from actors.builtin.text.sources import MOST_BYTES, READABLE, Source, decode, files_in, from_file, from_text
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.keywords import Keyword, keywords
from app.quality.text.sentences import one_line, terms

MOST_SOURCES = 50
MOST_CHARACTERS = 4_000_000
PAGE_TYPES = frozenset({"application/xhtml+xml", "application/octet-stream"})
PASSAGES = {"short": 5, "normal": 10, "long": 20}


@dataclass(frozen=True)
class Digest:
    """What was found on a topic."""

    topic: str
    sources: list[Source]
    passages: list[Passage]
    keywords: list[Keyword]
    questions: list[tuple[str, Passage]]

    @property
    def on_topic(self) -> bool:
        """Whether a word of the topic occurs in what is quoted."""
        return bool(set(terms(self.topic)) & {term for passage in self.passages for term in passage.terms})


def health() -> Health:
    """Always ready: nothing but Python is needed."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Read the sources, rank their sentences for the topic, and answer summary, keywords, questions."""
    topic = one_line(str(work.parameters["topic"]), 300)
    depth = str(work.parameters.get("depth", "normal"))
    context.stage("read", "Reading the sources")
    sources = _sources(work, context)
    context.stage("rank", f"Ranking the sentences of {markdown.count(len(sources), 'source')}")
    context.progress(50, "Ranking sentences")
    passages = digest(sources, terms(topic), PASSAGES.get(depth, 10), step=context.checkpoint_due)
    if not passages:
        places.refuse(
            "texts", "The sources contain no full sentences. Give texts of at least a few sentences."
        )
    context.progress(75, "Finding keywords and questions")
    words = keywords("\n".join(source.text for source in sources), 12)
    found = Digest(topic, sources, passages, words, questions(passages, words))
    if not found.on_topic:
        context.log(f"None of the words of “{topic}” occurs in the sources.", level="warning")
    context.stage("write", "Writing the summary")
    return _result(found, depth, context)


def _sources(work: Work, context: Context) -> list[Source]:
    """Everything given to read; refused if it is nothing, too many, or too much."""
    given = [
        from_text(str(text), f"Text {at}") for at, text in enumerate(work.parameters.get("texts") or [], 1)
    ]
    given += _from_files(work, context)
    for url in work.parameters.get("urls") or []:
        context.checkpoint_due()
        given.append(_page(str(url), work, context))
    sources = [source for source in given if source.text.strip()]
    if not sources:
        places.refuse(
            "texts",
            "There is nothing to read. Give `texts`, or `files` such as examples/articles, or `urls`.",
        )
    if len(sources) > MOST_SOURCES or sum(len(source.text) for source in sources) > MOST_CHARACTERS:
        places.refuse(
            "files", f"Too much to read at once: at most {MOST_SOURCES} sources and 4 million characters."
        )
    for at, source in enumerate(sources, 1):
        context.log(f"[{at}] {source.title}: {source.words:,} words", source_name=source.name)
    return sources


def _from_files(work: Work, context: Context) -> list[Source]:
    """The files named, and the readable files of the folders named."""
    allowed = places.roots(work, places.READ)
    found: list[Source] = []
    for raw in work.parameters.get("files") or []:
        path = places.confined(str(raw), allowed, parameter="files", setting=places.READ)
        for file in files_in(path, READABLE, MOST_SOURCES + 1):
            context.checkpoint_due()
            found.append(from_file(file))
            if len(found) > MOST_SOURCES:
                return found
    return found


def _page(url: str, work: Work, context: Context) -> Source:
    """A public web page; the guard against private addresses is in fetch_public."""
    # Only jobs with addresses pay for loading the HTTP client.
    from actors.runners.http import fetch_public

    context.log(f"Fetching {one_line(url)}")
    address, media_type, content = fetch_public(
        url,
        max_bytes=MOST_BYTES,
        timeout=min(20.0, context.remaining_seconds),
        allow_private=bool(work.config.get("http_allow_private")),
        context=context,
    )
    if media_type not in PAGE_TYPES and not media_type.startswith("text/"):
        places.refuse(
            "urls", f"{one_line(url)} is {media_type}, not a page of text. Name HTML or text pages."
        )
    suffix = ".html" if "html" in media_type else ".md"
    return from_text(decode(content, one_line(url)), one_line(address, 120), suffix)


def _result(found: Digest, depth: str, context: Context) -> JSON:
    """The result with its report, which is also kept as summary.md."""
    report = _report(found)
    context.artifact("summary.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    cited = {passage.source for passage in found.passages}
    return {
        "summary": _summary(found, len(cited)),
        "topic": found.topic,
        "depth": depth,
        "on_topic": found.on_topic,
        "sentences": [{"text": passage.text, "source": passage.source} for passage in found.passages],
        "keywords": [asdict(word) for word in found.keywords],
        "questions": [
            {"question": text, "answer": answer.text, "source": answer.source}
            for text, answer in found.questions
        ],
        "sources": [
            {
                "number": at,
                "name": source.name,
                "title": source.title,
                "words": source.words,
                "cited": at in cited,
            }
            for at, source in enumerate(found.sources, 1)
        ],
        "file_path": "summary.md",
        "report": report,
    }


def _summary(found: Digest, cited: int) -> str:
    said = f"{markdown.count(len(found.passages), 'sentence')} on “{found.topic}” "
    said += f"from {cited} of {markdown.count(len(found.sources), 'source')}."
    return said if found.on_topic else f"{said} The sources do not mention the topic itself."


def _report(found: Digest) -> str:
    """Summary, questions, keywords and list of sources as markdown."""
    topic = markdown.escape(found.topic, 300)
    return markdown.report(
        [
            f"# {topic}",
            "" if found.on_topic else f"*None of the words of “{topic}” occurs in the sources.*",
            "\n".join(f"- {_cited(passage)}" for passage in found.passages),
            "## Questions the sources answer" if found.questions else "",
            "\n\n".join(
                f"**{markdown.escape(text, 200)}** {_cited(answer)}" for text, answer in found.questions
            ),
            "## Keywords",
            ", ".join(f"{markdown.escape(word.phrase)} ({word.count})" for word in found.keywords),
            "## Sources",
            "\n".join(f"{at}. {_named(source)}" for at, source in enumerate(found.sources, 1)),
        ]
    )


def _cited(passage: Passage) -> str:
    return f"{markdown.escape(passage.text, 700)} \\[{passage.source}\\]"


def _named(source: Source) -> str:
    name = markdown.escape(source.name)
    return name if source.title == source.name else f"{markdown.escape(source.title)} ({name})"
