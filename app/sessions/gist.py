"""The gist of a conversation without a model: its weightiest sentences, tasks, decisions, open questions and topics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from app.db import Row
from app.quality.text.keywords import keywords
from app.quality.text.sentences import one_line, terms
from app.quality.text.textrank import MOST_SENTENCES, rank, shortlist
from app.sessions import said
from app.sessions.said import Sentence, Task

MOST_TOLD = 5
"""Sentences in the text."""
MOST_LISTED = 50
MOST_TOPICS, FEWEST_TOPICS = 8, 3
"""Topics; those that were named once count only where there are hardly any others."""
NAMED_SPEAKERS = 4
SHORTEST_TOLD = 4
"""Words of a sentence that can stand for a conversation."""

Listed = TypeVar("Listed", Sentence, Task)

# What says nothing of a topic, besides the stop words of English that the keywords know.
_FILLERS = re.compile(
    r"\b(?:aber|alle[nsr]?|als|also|am|an|auch|auf|aus|bei|bin|bis|bitte|da|damit|danke|dann|das|dass|dein\w*|dem|den|denn|der|"
    r"des|die|dies\w*|doch|du|durch|ein\w*|er|es|etwas|für|ganz|gegen|gerade|gern|gut|hab\w*|hallo|hat|hatte\w*|hier|ich|ihm|ihn|"
    r"ihr\w*|im|in|ins|ist|ja|jede[rnsm]?|jetzt|kann\w*|kein\w*|könn\w*|könnt\w*|lass\w*|mach\w*|mal|man|mehr|mein\w*|mich|mir|mit|morgen|"
    r"muss|müss\w*|nach|nein|nicht|nichts|noch|nun|nur|ob|oder|ohne|schon|sehr|sein\w*|sich|sie|sind|so|soll\w*|um|und|uns|"
    r"unser\w*|unter|viel\w*|vom|von|vor|wann|war\w*|was|weil|wenn|wer|werd\w*|wie|wieder|will|wir|wird|wo|woll\w*|würd\w*|zu|"
    r"zum|zur|zwischen|über|thanks?|thank|please|okay|ok|yeah|hello|hi|hey|sure|gonna|wanna|great|good|nice|cool|right|"
    r"think|know|mean|want|today|tomorrow|heute|monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|"
    r"mittwoch|donnerstag|freitag|samstag|sonntag|decided|agreed|beschlossen|action|item|todo|decision|question)\b",
    re.IGNORECASE,
)

# Words with a capital inside a sentence: names, and nouns of German.
_NAMING = re.compile(r"(?<=[\w,;] )[A-ZÄÖÜ][\w-]+")


@dataclass(frozen=True)
class Gist:
    """What a conversation comes to; `text` stands for all of it."""

    text: str
    action_items: list[Task]
    decisions: list[Sentence]
    questions: list[Sentence]
    topics: list[str]


def of(messages: Sequence[Row]) -> Gist:
    """Read messages {speaker, text, place} in their order."""
    sentences = said.cut(messages)
    topics = topics_of(sentences)
    return Gist(
        text=_text(sentences, topics, len(messages)),
        action_items=_distinct(said.tasks(sentences)),
        decisions=_distinct(said.decisions(sentences)),
        questions=_distinct(said.questions(sentences)),
        topics=topics,
    )


def document(gist: Gist) -> dict[str, Any]:
    """As a session keeps it and shows it."""
    return {
        "text": gist.text,
        "action_items": [
            {"text": task.text, "owner": task.owner, "due": task.due, "place": task.place}
            for task in gist.action_items
        ],
        "decisions": [
            {"text": each.text, "by": each.speaker, "place": each.place} for each in gist.decisions
        ],
        "questions": [
            {"text": each.text, "by": each.speaker, "place": each.place} for each in gist.questions
        ],
        "topics": gist.topics,
    }


def topics_of(sentences: Sequence[Sentence], most: int = MOST_TOPICS) -> list[str]:
    """What it is about, the weightiest first; the names of those who speak are no topics."""
    names = {part.lower() for each in sentences for part in re.findall(r"\w+", each.speaker)}
    text = "\n".join(_FILLERS.sub(",", each.text) for each in sentences)
    named = {word.lower() for each in sentences for word in _NAMING.findall(each.text)}
    found = [word for word in keywords(text, most * 3) if not set(word.phrase.split()) <= names]
    found.sort(key=lambda word: (-word.count, not set(word.phrase.split()) & named))
    often = [word.phrase for word in found if word.count > 1]
    return (often if len(often) >= FEWEST_TOPICS else [word.phrase for word in found][:FEWEST_TOPICS])[:most]


def _text(sentences: Sequence[Sentence], topics: list[str], messages: int) -> str:
    if not sentences:
        return "Nothing has been said yet."
    head = f"{messages} {'message' if messages == 1 else 'messages'} by {_speakers(sentences)}"
    head += f" about {_listed(topics[:3])}." if topics else "."
    return "\n".join([head, *(f"{each.speaker}: {each.text}" for each in _weightiest(sentences, topics))])


def _speakers(sentences: Sequence[Sentence]) -> str:
    names = list(dict.fromkeys(each.speaker for each in sentences))
    more = len(names) - NAMED_SPEAKERS
    return _listed([*names[:NAMED_SPEAKERS], f"{more} more"] if more > 1 else names)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _weightiest(sentences: Sequence[Sentence], topics: list[str]) -> list[Sentence]:
    """The sentences that carry the conversation, in the order they were said; none repeats another."""
    worth = [
        each for each in sentences if len(each.text.split()) >= SHORTEST_TOLD and not each.text.endswith("?")
    ]
    worth = worth or list(sentences[:MOST_TOLD])
    topic = [term for phrase in topics for term in terms(phrase)]
    bags = [terms(_FILLERS.sub(" ", each.text)) for each in worth]
    kept = shortlist(bags, topic, MOST_SENTENCES)
    weights = rank([bags[at] for at in kept], topic)
    best = sorted(range(len(kept)), key=lambda at: (-_appeal(worth[kept[at]], weights[at]), at))
    chosen: list[int] = []
    for at in best:
        if len(chosen) < MOST_TOLD and not any(_alike(bags[kept[at]], bags[other]) for other in chosen):
            chosen.append(kept[at])
    return [worth[at] for at in sorted(chosen)]


def _appeal(sentence: Sentence, weight: float) -> float:
    """More for what was decided or is to be done: that is what a reader looks for first."""
    telling = any(True for _ in said.decisions([sentence])) or any(True for _ in said.tasks([sentence]))
    return weight * (1.6 if telling else 1.0)


def _alike(one: Iterable[str], other: Iterable[str]) -> bool:
    mine, theirs = set(one), set(other)
    return len(mine & theirs) > 0.6 * max(1, min(len(mine), len(theirs)))


def _distinct(
    found: Iterable[Listed], most: int = MOST_LISTED, key: Callable[[str], str] = str.casefold
) -> list[Listed]:
    """Each text once, as it was said last, in the order of the conversation; of very many the newest."""
    by_text = {key(one_line(each.text)): each for each in found}
    return sorted(by_text.values(), key=lambda each: each.place)[-most:]
