"""How hard a text is to read: Flesch reading ease with syllables by pyphen's hyphenation rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from app.quality.text.sentences import sentences, words

if TYPE_CHECKING:
    import pyphen

_VOWELS = re.compile(r"[aeiouyäöüáéíóúàèìòùâêîôû]+")


@dataclass(frozen=True)
class Readability:
    """What a reader meets: words, sentences, reading ease (0-100, higher is easier), minutes."""

    words: int
    sentences: int
    words_per_sentence: float
    ease: float
    grade: float
    """Flesch-Kincaid: years of school."""
    minutes: float

    @property
    def label(self) -> str:
        """The reading ease in words."""
        for least, label in ((80, "very easy"), (60, "easy"), (45, "fairly difficult"), (30, "difficult")):
            if self.ease >= least:
                return label
        return "very difficult"


def readability(text: str) -> Readability:
    """Measure a prose text; an empty text counts as perfectly easy."""
    tokens = [word for word in words(text) if not word[0].isdigit()]
    parts = sentences(text, longest=100_000)
    if not tokens or not parts:
        return Readability(0, 0, 0.0, 100.0, 0.0, 0.0)
    per_sentence = len(tokens) / len(parts)
    per_word = sum(syllables(token) for token in tokens) / len(tokens)
    ease = 206.835 - 1.015 * per_sentence - 84.6 * per_word
    minutes = round(len(tokens) / 225, 1)
    grade = 0.39 * per_sentence + 11.8 * per_word - 15.59
    return Readability(
        len(tokens),
        len(parts),
        round(per_sentence, 1),
        round(min(100.0, max(0.0, ease)), 1),
        round(max(0.0, grade), 1),
        minutes,
    )


@lru_cache(maxsize=50_000)
def syllables(word: str) -> int:
    """Syllables of a word: the greater of pyphen's breaks and a vowel-group count without silent e."""
    groups = len(_VOWELS.findall(word[:60]))
    if word.endswith("e") and not word.endswith(("le", "ee")):
        groups -= 1
    return max(1, groups, len(_hyphenation().positions(word[:60])) + 1)


@cache
def _hyphenation() -> pyphen.Pyphen:
    """Imported late: most processes measure nothing."""
    import pyphen

    return pyphen.Pyphen(lang="en_US")
