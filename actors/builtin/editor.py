"""editor: judges a draft with weighted, repeatable checks and says what to change."""

from __future__ import annotations

from collections.abc import Callable

from actors.builtin import places
from actors.builtin.text import markdown
from actors.builtin.text.scoring import CRITERIA, Check, Quality, grade
from actors.builtin.text.sources import HTML, from_file, read_text
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.draft import Draft
from app.quality.text.keywords import keywords
from app.quality.text.sentences import clean, one_line
from app.quality.text.tone import TONES, tone_of_voice

MOST_CHARACTERS = 200_000


def health() -> Health:
    """Always ready: its tools come with Callboard."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Score the draft 0 to 10; a score below the threshold is a completed job with a clear verdict."""
    context.stage("read", "Reading the draft")
    content = _content(work)
    wishes = _wishes(work.parameters)
    threshold = float(work.parameters.get("threshold", 7.0))
    context.log(f"{Draft(content).words:,} words, {wishes['tone']} tone, threshold {threshold:.1f}")
    context.stage("check", "Making the checks")
    quality = grade(content, wishes, threshold, each=_teller(context))
    context.stage("report", "Writing the report")
    context.log(quality.feedback, level="info" if quality.passed else "warning", score=quality.score)
    report = _report(content, quality)
    context.artifact("review.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    return _result(content, quality, report)


def _content(work: Work) -> str:
    """The draft itself, or the file's; HTML is read for its text."""
    content = work.parameters.get("content")
    if content is None or not str(content).strip():
        if not work.parameters.get("file"):
            places.refuse("content", "There is nothing to judge. Give the draft as `content`, or a `file`.")
        path = places.readable(work, "file")
        content = from_file(path).text if path.suffix.lower() in HTML else read_text(path)
    content = clean(str(content))
    if not content.strip():
        places.refuse("content", "The draft is empty. Give a text of at least a few sentences.")
    if len(content) > MOST_CHARACTERS:
        places.refuse(
            "content", f"The draft is longer than {MOST_CHARACTERS:,} characters. Judge it in parts."
        )
    return content


def _wishes(parameters: JSON) -> JSON:
    """What the draft is measured against; a tone named by the brand voice holds unless one is given."""
    voice = str(parameters.get("brand_voice") or "")
    tone = str(parameters.get("tone") or tone_of_voice(voice) or TONES[0])
    return {**parameters, "tone": tone, "brand_voice": voice}


def _teller(context: Context) -> Callable[[Check], None]:
    """What hears of each check: the job's log and its progress bar."""
    made: list[str] = []

    def tell(check: Check) -> None:
        context.checkpoint_due()
        made.append(check.name)
        mark = "✓" if check.passed else "✗"
        said = check.evidence if check.issue is None else f"{check.issue} ({check.evidence})"
        level = "info" if check.passed else "warning"
        context.log(f"{mark} {check.name.replace('_', ' ')}: {said}", level=level, grade=check.grade)
        context.progress(10 + 80 * len(made) / len(CRITERIA), f"Checked {check.name.replace('_', ' ')}")

    return tell


def _result(content: str, quality: Quality, report: str) -> JSON:
    """The result; `score`, `issues` and `feedback` are also at the top for templates."""
    draft = Draft(content)
    return {
        "summary": quality.feedback + (f" First: {quality.issues[0].lower()}." if quality.issues else ""),
        "quality": quality.document(),
        "score": quality.score,
        "passed": quality.passed,
        "issues": quality.issues,
        "feedback": quality.feedback,
        "word_count": draft.words,
        "reading_time_minutes": draft.readability.minutes,
        "reading_ease": draft.readability.ease,
        "keywords": [word.phrase for word in keywords(draft.prose, 8)],
        "file_path": "review.md",
        "report": report,
    }


def _report(content: str, quality: Quality) -> str:
    """The verdict, the table of checks and the advice as markdown."""
    draft = Draft(content)
    advice = [
        f"- **{check.issue}**: {markdown.escape(check.suggestion, 400)}"
        for check in quality.checks
        if check.issue
    ]
    rows = [
        (check.name.replace("_", " "), f"{check.grade * 10:.1f}", check.weight, check.evidence)
        for check in quality.checks
    ]
    return markdown.report(
        [
            f"# Review of {markdown.escape(one_line(draft.title or draft.opening, 80) or 'the draft')}",
            f"**{quality.feedback}**",
            "## What to change" if advice else "Nothing to change.",
            "\n".join(advice),
            "## Checks",
            markdown.table(("Check", "Score", "Weight", "Evidence"), rows),
            (
                f"{markdown.count(draft.words, 'word')}, {draft.readability.minutes} minutes to read, "
                f"reading ease {draft.readability.ease} ({draft.readability.label})."
            ),
        ]
    )
