"""user-story-agent: notes of a meeting become user stories with acceptance criteria, as JSON, markdown and Excel.

What writes Excel is loaded late: workers import this module only to ask for its health.
"""

from __future__ import annotations

from actors.builtin import commands, places, stories
from actors.builtin.stories import Backlog, Story
from actors.builtin.text import markdown
from actors.builtin.text.notes import Point
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import one_line

MOST_STORIES = 500
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PRIORITIES = ("must", "should", "could", "won't")


def health() -> Health:
    """Whether openpyxl is installed."""
    return commands.health(modules=("openpyxl",))


def run(work: Work, context: Context) -> JSON:
    """Read the notes and write the backlog; refused if they hold no need at all."""
    from actors.builtin.story_workbook import workbook

    asked = work.parameters
    style = str(asked.get("format", "gherkin"))
    project = one_line(str(asked.get("project") or ""), 120)
    context.stage("read", "Reading the notes")
    role = one_line(str(asked.get("role") or "user"), 60)
    backlog = stories.read(str(asked["notes"]), role=role, most=MOST_STORIES)
    if not backlog.stories:
        places.refuse(
            "notes",
            "No need was found. Write points like “Customers must be able to reset their password so that …”.",
        )
    if len(backlog.stories) > MOST_STORIES:
        places.refuse(
            "notes", f"There are more than {MOST_STORIES} stories in the notes; give them in parts."
        )
    for number, story in enumerate(backlog.stories, 1):
        context.checkpoint_due()
        context.log(f"{story.story_id} (line {story.line}): {story.sentence}")
        context.progress(
            10 + 70 * number / len(backlog.stories), f"{number} of {len(backlog.stories)} stories"
        )
    context.stage("write", "Writing the backlog")
    context.artifact("user_stories.xlsx", workbook(backlog, style, project), EXCEL)
    document = _document(backlog, style, project)
    context.artifact("user_stories.md", document.encode(), "text/markdown")
    result = _result(backlog, style, project)
    context.progress(100, result["summary"])
    return result | {"report": markdown.report([document])}


def _result(backlog: Backlog, style: str, project: str) -> JSON:
    open_ends = sum(bool(story.to_clarify) for story in backlog.stories)
    said = f"{markdown.count(len(backlog.stories), 'story', 'stories')}"
    said += f" for {project}" if project else ""
    said += f", {open_ends} with something to clarify" if open_ends else ""
    said += f"; {markdown.count(len(backlog.questions), 'open question')}" if backlog.questions else ""
    said += f"; {markdown.count(len(backlog.not_used), 'line')} not used" if backlog.not_used else ""
    return {
        "summary": said + ".",
        "project": project or None,
        "format": style,
        "made_by": "rules",
        "stories": [story.as_json(style) for story in backlog.stories],
        "questions": [_told(point) for point in backlog.questions],
        "not_used": [_told(point) for point in backlog.not_used],
        "counts": {
            "stories": len(backlog.stories),
            "to_clarify": open_ends,
            "questions": len(backlog.questions),
            "not_used": len(backlog.not_used),
            **{name: sum(story.priority == name for story in backlog.stories) for name in PRIORITIES},
        },
        "file_path": "user_stories.xlsx",
    }


def _told(point: Point) -> JSON:
    return {"text": one_line(point.text, 500), "line": point.line}


def _document(backlog: Backlog, style: str, project: str) -> str:
    """The backlog as markdown."""
    parts = [f"# User stories{' for ' + markdown.escape(project) if project else ''}"]
    epic = ""
    for story in backlog.stories:
        if story.epic != epic:
            epic = story.epic
            parts.append(f"## {markdown.escape(epic)}" if epic else "## Others")
        parts += _section(story, style)
    for title, found in (("Open questions", backlog.questions), ("Not used", backlog.not_used)):
        if found:
            parts.append(f"## {title}")
            parts.append("\n".join(f"- {markdown.escape(p.text, 300)} (line {p.line})" for p in found))
    parts.append("*Made by rules, without a model: every story stands in the notes, in their words.*")
    return "\n\n".join(parts) + "\n"


def _section(story: Story, style: str) -> list[str]:
    parts = [
        f"### {story.story_id}: {markdown.escape(story.title)}",
        f"{markdown.escape(story.sentence, 700)} *{story.priority.capitalize()}, line {story.line}.*",
    ]
    criteria = story.criteria(style)
    if style == "gherkin":
        body = "\n\n".join(criteria).replace("```", "'''")
        parts.append(f"```gherkin\n{body}\n```")
    else:
        parts.append("\n".join(f"- [ ] {markdown.escape(each, 400)}" for each in criteria))
    if story.to_clarify:
        parts.append("To clarify: " + " ".join(markdown.escape(each, 200) for each in story.to_clarify))
    return parts
