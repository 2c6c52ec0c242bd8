"""Keywords and key phrases of a text: runs of meaningful words, weighed by how often they return."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from app.quality.text.sentences import STOPWORDS, stem, terms, words

_BREAK = re.compile(r"[.!?,;:()\[\]{}\"“”|/\n–—]+")


@dataclass(frozen=True)
class Keyword:
    """A phrase as it is written most often, its number of uses, and its weight (best = 1)."""

    phrase: str
    count: int
    weight: float


def keywords(text: str, limit: int = 10) -> list[Keyword]:
    """The best `limit` phrases of one to three words; longer phrases must return to count."""
    forms: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for piece in _BREAK.split(text):
        for run in _runs(words(piece)):
            for size in (1, 2, 3):
                for at in range(len(run) - size + 1):
                    chosen = run[at : at + size]
                    forms[tuple(stem(word) for word in chosen)][" ".join(chosen)] += 1
    weights = {key: _weight(key, uses.total()) for key, uses in forms.items()}
    best = sorted((key for key in weights if weights[key]), key=lambda key: (-weights[key], key))
    return _distinct(best, forms, weights, limit)


def covers(text: str, phrase: str) -> int:
    """How often a phrase occurs in a text, whole words only, endings aside."""
    return occurrences(terms(text), phrase)


def occurrences(found: list[str], phrase: str) -> int:
    """How often a phrase occurs among the terms of a text."""
    wanted = terms(phrase)
    if not wanted:
        return 0
    if len(wanted) == 1:
        return found.count(wanted[0])
    return sum(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))


def _runs(tokens: list[str]) -> list[list[str]]:
    """Tokens as runs without stop words, numbers, and one- or two-letter words."""
    runs: list[list[str]] = [[]]
    for token in tokens:
        if len(token) > 2 and token not in STOPWORDS and not token[0].isdigit():
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return runs


def _weight(key: tuple[str, ...], count: int) -> float:
    """More uses weigh more; phrases that return weigh more than their words."""
    if len(key) > 1 and (count < 2 or len(set(key)) < len(key)):
        return 0.0
    return count * (1.0, 1.7, 2.1)[len(key) - 1]


def _distinct(
    best: list[tuple[str, ...]],
    forms: dict[tuple[str, ...], Counter[str]],
    weights: dict[tuple[str, ...], float],
    limit: int,
) -> list[Keyword]:
    """The first `limit` phrases none of which lies within a chosen one (or the other way round)."""
    chosen: list[tuple[str, ...]] = []
    for key in best:
        if len(chosen) == limit:
            break
        if not any(set(key) <= set(other) or set(other) <= set(key) for other in chosen):
            chosen.append(key)
    top = weights[chosen[0]] if chosen else 1.0
    return [
        Keyword(forms[key].most_common(1)[0][0], forms[key].total(), round(weights[key] / top, 3))
        for key in chosen
    ]
