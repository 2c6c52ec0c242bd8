"""presentation-designer: a PowerPoint file from a markdown outline, or from a text by its weightiest sentences.

What writes PowerPoint is loaded late: workers import this module only to ask for its health.
"""

from __future__ import annotations

from actors.builtin import commands, places
from actors.builtin.pdf_specialist import slug
from actors.builtin.slides import Deck, deck
from actors.builtin.text import markdown
from actors.builtin.text.sources import from_file, read_text
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import one_line

POWERPOINT = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
WAYS = {"outline": "from the outline", "sentences": "from the sentences that say most"}


def health() -> Health:
    """Whether python-pptx is installed."""
    return commands.health(modules=("pptx",))


def run(work: Work, context: Context) -> JSON:
    """Make the slides and keep the file."""
    from actors.builtin.powerpoint import THEMES, powerpoint

    asked = work.parameters
    context.stage("read", "Reading the content")
    content = _content(work)
    made = deck(
        one_line(str(asked.get("topic") or ""), 120),
        content,
        int(asked.get("slides", 10)),
        context.checkpoint_due,
    )
    if not made.slides:
        places.refuse("content", "There is nothing to show. Give headings with points, or a few sentences.")
    context.stage("draw", f"Making {markdown.count(len(made.slides) + 1, 'slide')}")
    context.progress(50, f"Making {markdown.count(len(made.slides) + 1, 'slide')}")
    name = f"{slug(made.title, 'presentation')}.pptx"
    file = powerpoint(
        made,
        subtitle=one_line(str(asked.get("subtitle") or ""), 160),
        author=one_line(str(asked.get("author") or ""), 120),
        theme=THEMES[str(asked.get("theme") or "paper")],
    )
    context.artifact(name, file, POWERPOINT)
    result = _result(made, name, len(file))
    context.progress(100, str(result["summary"]))
    return result


def _content(work: Work) -> str:
    """The content given, or the file's; HTML is read for its text."""
    if work.parameters.get("content"):
        return str(work.parameters["content"])
    if not work.parameters.get("file"):
        places.refuse(
            "content", "Give the outline or text as `content`, or a `file`: slides need something to say."
        )
    path = places.readable(work, "file")
    return from_file(path).text if path.suffix.lower() in {".html", ".htm"} else read_text(path)


def _result(made: Deck, name: str, size: int) -> JSON:
    noted = sum(bool(slide.notes) for slide in made.slides)
    said = f"{name}: {markdown.count(len(made.slides) + 1, 'slide')} {WAYS[made.way]}, {noted} with notes."
    outline = [
        "\n".join(
            [
                f"### {number}. {markdown.escape(slide.title, 160)}",
                "",
                *(f"{'  ' * level}- {markdown.escape(text, 200)}" for level, text in slide.bullets),
            ]
        )
        for number, slide in enumerate(made.slides, 2)
    ]
    return {
        "summary": said,
        "title": made.title,
        "file_path": name,
        "bytes": size,
        "slides": len(made.slides) + 1,
        "made_from": made.way,
        "outline": [
            {"title": slide.title, "bullets": [text for _, text in slide.bullets], "notes": bool(slide.notes)}
            for slide in made.slides
        ],
        "report": markdown.report([f"# {markdown.escape(made.title)}", markdown.escape(said, 300), *outline]),
    }
