"""An extractive digest: the sentences that say most about a topic, each with the source it stands in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.builtin.text.sources import Source
from app.quality.text.keywords import Keyword
from app.quality.text.sentences import sentences, stem, terms
from app.quality.text.textrank import MOST_SENTENCES, rank, shortlist

MOST_PER_SOURCE = 20_000
_DANGLING = re.compile(
    r"^(?:this|that|these|those|it|they|he|she|and|but|so|or|here|there|however|both|such)\b", re.IGNORECASE
)
_SHAPES = (
    (r"\b{}\w{{0,2}} (?:means|turns|stands for|(?:is|are) (?:a|an|the|what|where|when))\b", "What is “{}”?"),
    (r"\b(?:because|therefore|so that|the reason|leads? to|causes?)\b", "Why does “{}” matter?"),
    (r"\b(?:should|must|needs? to|has to|have to)\b", "What rule is given for “{}”?"),
    (r"\d", "Which figures are given on “{}”?"),
    ("", "What should one know about “{}”?"),
)
"""Patterns with a place for the keyword, and the question each answers; the last fits everything."""


@dataclass(frozen=True)
class Passage:
    """A sentence with the number of its source, its place in it, and its weight."""

    text: str
    source: int
    position: int
    weight: float
    terms: frozenset[str]


def digest(
    sources: Sequence[Source], topic: Sequence[str], most: int, step: Callable[[], None] = lambda: None
) -> list[Passage]:
    """The `most` weightiest sentences that do not repeat each other, in reading order.

    `step` is called between the slow parts, so that the caller can be stopped.
    """
    places: list[tuple[int, int, str, list[str]]] = []
    for number, source in enumerate(sources, 1):
        step()
        places += [(number, *rest) for rest in _candidates(source.text)]
    bags = [place[3] for place in places]
    kept = shortlist(bags, topic, MOST_SENTENCES)
    step()
    weights = rank([bags[at] for at in kept], topic)
    passages = [
        Passage(text, number, position, weight, frozenset(bag))
        for (number, position, text, bag), weight in zip((places[at] for at in kept), weights, strict=True)
    ]
    return _chosen(
        sorted(passages, key=lambda passage: (-_appeal(passage, topic), passage.source, passage.position)),
        most,
    )


def questions(
    passages: Sequence[Passage], keywords: Sequence[Keyword], most: int = 5
) -> list[tuple[str, Passage]]:
    """Questions that the passages answer, one for each keyword that occurs in one."""
    free = sorted(passages, key=lambda passage: -passage.weight)
    found: list[tuple[str, Passage]] = []
    for keyword in keywords:
        wanted = {stem(word) for word in keyword.phrase.split()}
        fitting = [passage for passage in free if wanted <= passage.terms]
        if fitting and len(found) < most:
            shape, passage = _best_shape(fitting, keyword.phrase)
            found.append((shape.format(keyword.phrase), passage))
            free.remove(passage)
    return found


def _candidates(text: str) -> list[tuple[int, str, list[str]]]:
    """Sentences worth quoting: 6 to 60 words, no questions, at least three terms."""
    found: list[tuple[int, str, list[str]]] = []
    for position, sentence in enumerate(sentences(text)[:MOST_PER_SOURCE]):
        bag = terms(sentence)
        if 6 <= len(sentence.split()) <= 60 and sentence[-1] in ".!…。”\"')" and len(bag) >= 3:
            found.append((position, sentence, bag))
    if found:
        return found
    # A text without sentences (a list, another script) is quoted as it stands.
    return [
        (at, piece, terms(piece) or [piece[:40]])
        for at, piece in enumerate(sentences(text)[:200])
        if len(piece) > 20
    ]


def _appeal(passage: Passage, topic: Sequence[str]) -> float:
    """The weight, less for a sentence that hangs on the one before, more for one on the topic."""
    shared = len(passage.terms & frozenset(topic)) / max(1, len(set(topic)))
    hanging = 0.6 if _DANGLING.match(passage.text) else 1.0
    return passage.weight * hanging * (1 + shared)


def _chosen(ordered: list[Passage], most: int) -> list[Passage]:
    """The first `most` passages of which none shares more than half its terms with a better one."""
    chosen: list[Passage] = []
    for passage in ordered:
        if len(chosen) == most:
            break
        if all(_overlap(passage, other) <= 0.5 for other in chosen):
            chosen.append(passage)
    return sorted(chosen, key=lambda passage: (passage.source, passage.position))


def _overlap(one: Passage, other: Passage) -> float:
    return len(one.terms & other.terms) / max(1, min(len(one.terms), len(other.terms)))


def _best_shape(fitting: list[Passage], phrase: str) -> tuple[str, Passage]:
    """The most telling question among those the passages could answer."""
    for pattern, question in _SHAPES:
        sought = re.compile(pattern.format(re.escape(phrase)), re.IGNORECASE)
        for passage in fitting:
            if sought.search(passage.text):
                return question, passage
    raise AssertionError("the last shape fits everything")
