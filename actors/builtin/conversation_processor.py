"""conversation-processor: a conversation's summary, tasks, decisions, open questions and topics, kept with its session."""

from __future__ import annotations

from actors.builtin import session_work
from actors.builtin.session_work import Place
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from app import clock
from app.db import db
from app.errors import NotFound, PermanentError
from app.quality.text.sentences import one_line
from app.sessions import gist, summary

MOST, LONGEST = 50, 500
LONGEST_TEXT = 4_000
INSTRUCTIONS = """You read a conversation and write its minutes, in the language of the conversation.

text: what somebody who was not there should know, at most 150 words.
action_items: what somebody promised, was asked to do, or was given to do. owner: who, as they are called in the
conversation, or empty. due: the words by which the conversation says when, or empty. Invent neither.
decisions: what was decided, not what was only discussed. questions: what was asked and nobody answered.
topics: at most eight, one to three words each. Take only what is there; empty lists are fine."""
_LISTED: JSON = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
}
SCHEMA: JSON = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "action_items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("text", "owner", "due")},
                "required": ["text", "owner", "due"],
                "additionalProperties": False,
            },
        },
        "decisions": _LISTED,
        "questions": _LISTED,
        "topics": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["text", "action_items", "decisions", "questions", "topics"],
    "additionalProperties": False,
}


def health() -> Health:
    """Always ready: without a model it reads by itself."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Read what was said behind `since` and put the summary of the session in the place of the one before."""
    context.stage("read", "Reading the conversation")
    place = session_work.opened(work)
    context.log(f"{len(place.messages)} messages behind place {place.since}")
    context.stage("think", "Looking for tasks, decisions and questions")
    answer = _asked(work, context, place) if place.messages else None
    context.checkpoint_due()
    context.stage("keep", "Keeping the summary")
    with db.transaction():
        kept = _keep(work, place, answer)
    report = _report(place, kept)
    context.artifact("minutes.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    return _result(place, kept, answer, report)


def _asked(work: Work, context: Context, place: Place) -> JSON | None:
    before = str((place.session["summary"] or {}).get("text") or "") if place.since else ""
    known = f"What was said before comes to this:\n{before}\n\n" if before else ""
    prompt = f"{known}{session_work.told(place)}\n\nWrite the minutes now, of all of it."
    return session_work.asked(work, context, instructions=INSTRUCTIONS, prompt=prompt, schema=SCHEMA)


def _keep(work: Work, place: Place, answer: JSON | None) -> JSON:
    """Nothing new leaves the summary as it is; what stood in it of earlier messages stays."""
    before: JSON = place.session["summary"] or {}
    if not place.messages and before:
        return before
    new = _written(answer, place) if answer else _read(place)
    new |= {
        "made_by": session_work.origin(answer) if answer else summary.OFFLINE,
        "at": clock.iso(clock.now()),
        "up_to": place.up_to,
    }
    whole = summary.joined(before, new, place.since) if place.since else new
    try:
        return summary.keep(place.session_id, whole, by=place.by, job_id=work.job_id)
    except NotFound as gone:
        raise PermanentError(str(gone)) from gone


def _read(place: Place) -> JSON:
    """Without a model: the lists of what is new, the text and the topics of the whole conversation."""
    new = gist.document(gist.of(place.messages))
    if place.since:
        whole = gist.of(summary.read(place.session_id))
        new |= {"text": whole.text, "topics": whole.topics}
    return new


def _written(answer: JSON, place: Place) -> JSON:
    """What a model wrote, in bounds."""
    return {
        "text": str(answer["text"])[:LONGEST_TEXT],
        "action_items": [
            {name: one_line(item[name], LONGEST) for name in ("text", "owner", "due")}
            | {"place": place.up_to}
            for item in answer["action_items"][:MOST]
            if item["text"].strip()
        ],
        **{name: _texts(answer[name], place) for name in ("decisions", "questions")},
        "topics": [one_line(topic, 60) for topic in answer["topics"][: gist.MOST_TOPICS] if topic.strip()],
    }


def _texts(items: list[JSON], place: Place) -> list[JSON]:
    return [
        {"text": one_line(item["text"], LONGEST), "by": "", "place": place.up_to}
        for item in items[:MOST]
        if item["text"].strip()
    ]


def _result(place: Place, kept: JSON, answer: JSON | None, report: str) -> JSON:
    return {
        "session_id": place.session_id,
        "messages": len(place.messages),
        "summary": kept["text"],
        **{name: kept[name] for name in ("action_items", "decisions", "questions", "topics", "up_to")},
        "produced_by": session_work.origin(answer),
        "file_path": "minutes.md",
        "report": report,
    }


def _report(place: Place, kept: JSON) -> str:
    """The minutes as markdown."""
    rows = [(item["text"], item["owner"] or "–", item["due"] or "–") for item in kept["action_items"]]
    title = one_line(place.session["title"] or place.session_id, 80)
    parts = [f"# Minutes of {markdown.escape(title)}"]
    parts += [markdown.escape(line, 1_000) for line in kept["text"].split("\n")]
    if rows:
        parts += ["## To do", markdown.table(("What", "Who", "When"), rows)]
    for heading, name in (("Decided", "decisions"), ("Open questions", "questions")):
        if kept[name]:
            parts += [
                f"## {heading}",
                "\n".join(f"- {markdown.escape(each['text'], LONGEST)}" for each in kept[name]),
            ]
    return markdown.report(parts)
