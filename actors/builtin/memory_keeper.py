"""memory-keeper: what is worth knowing later of a conversation, as memories of its session, each once."""

from __future__ import annotations

from actors.builtin import session_work
from actors.builtin.session_work import Place
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from app.db import db
from app.errors import Conflict, NotFound, PermanentError
from app.quality.text.sentences import one_line
from app.sessions import facts, memory, remembering
from app.sessions.facts import Fact
from app.sessions.remembering import Kept

TYPES = ("fact", "preference", "decision", "name", "date")
MOST, MOST_SHOWN = 50, 100
LONGEST = 500
INSTRUCTIONS = """You read a conversation and note what is worth knowing weeks later: facts, preferences, decisions, \
names and dates, in the language of the conversation.

key: what it is about, in lower case with underlines, and never what is said of it (birthday_ada, date_launch), so that
news of it take its place. When a key that is known already fits, use it. content: one sentence that can be understood
alone. importance: 1 (trifle) to 10. Leave out small talk, passwords, keys and other secrets. Invent nothing; an empty
list is fine."""
SCHEMA: JSON = {
    "type": "object",
    "properties": {
        "memories": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string"},
                    "content": {"type": "string"},
                    "type": {"type": "string", "enum": list(TYPES)},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "importance": {"type": "integer", "minimum": 1, "maximum": 10},
                },
                "required": ["key", "content", "type", "tags", "importance"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["memories"],
    "additionalProperties": False,
}


def health() -> Health:
    """Always ready: without a model it reads by itself."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Remember what was said behind `since`; what is known already is not stored again."""
    context.stage("read", "Reading the conversation")
    place = session_work.opened(work)
    context.log(f"{len(place.messages)} messages behind place {place.since}")
    context.stage("think", "Looking for what is worth knowing")
    answer = _asked(work, context, place) if place.messages else None
    found = _written(answer, place) if answer else facts.of(place.messages)
    context.checkpoint_due()
    context.stage("keep", "Keeping what is new")
    try:
        with db.transaction():
            kept = remembering.keep(place.session_id, found, by=place.by, job_id=work.job_id)
    except (Conflict, NotFound) as refused:
        raise PermanentError(str(refused)) from refused
    told = _told(kept)
    context.log(told)
    report = _report(found, kept, told)
    context.artifact("memories.md", report.encode(), "text/markdown")
    context.progress(100, "Done")
    return {
        "session_id": place.session_id,
        "messages": len(place.messages),
        "summary": told,
        "new": kept.new,
        "changed": kept.changed,
        "known": kept.known,
        "memories": [_shown(fact) for fact in found],
        "produced_by": session_work.origin(answer),
        "file_path": "memories.md",
        "report": report,
    }


def _asked(work: Work, context: Context, place: Place) -> JSON | None:
    with db.quick():
        rows = memory.page(place.session_id, limit=MOST_SHOWN)
    known = "\n".join(f"{row['key']}: {one_line(row['content'])}" for row in rows)
    before = f"Known already:\n{known}\n\n" if known else ""
    prompt = f"{before}{session_work.told(place)}\n\nNote what is worth knowing now."
    return session_work.asked(work, context, instructions=INSTRUCTIONS, prompt=prompt, schema=SCHEMA)


def _written(answer: JSON, place: Place) -> list[Fact]:
    """What a model wrote, in bounds; of one key the last."""
    found = {
        key: Fact(
            key=key,
            content=one_line(item["content"], LONGEST),
            type=item["type"],
            tags=tuple(one_line(tag, 40) for tag in item["tags"][:10] if tag.strip()),
            importance=item["importance"],
            place=place.up_to,
        )
        for item in answer["memories"][:MOST]
        if (key := facts.key_of(item["key"])) and item["content"].strip()
    }
    return [fact for fact in found.values() if not facts.is_secret(fact.content)]


def _told(kept: Kept) -> str:
    return f"{len(kept.new)} new, {len(kept.changed)} changed, {len(kept.known)} known already."


def _shown(fact: Fact) -> JSON:
    return {
        "key": fact.key,
        "content": fact.content,
        "type": fact.type,
        "tags": list(fact.tags),
        "importance": fact.importance,
    }


def _report(found: list[Fact], kept: Kept, told: str) -> str:
    """What was found and what became of it, as markdown."""
    became = dict.fromkeys(kept.new, "new") | dict.fromkeys(kept.changed, "changed")
    rows = [(fact.key, fact.content, fact.type, became.get(fact.key, "known")) for fact in found]
    table = markdown.table(("Key", "What", "Type", "It is"), rows) if rows else "Nothing to remember."
    return markdown.report(["# Memories", told, table])
