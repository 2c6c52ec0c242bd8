"""What changed from one text to another, as people read prose: by lines, and by words inside a line that was changed.

Pure; drawn by templates/quality/_changes.html. Lines that stayed are left out but for a few around each change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_LINES = 2000
"""Of each text; the rest is not compared."""
MOST_WORDS = 3000
"""Of one line; longer ones are shown whole, before and after."""
MOST_COMPARED = 4_000_000
"""Words times words that are compared in all: beyond it, changed lines are shown whole."""
AROUND = 2
LIKE = 0.35
"""So alike two lines must be to be shown as one line that was changed."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Part:
    """Words that stayed (" "), came in ("+") or went out ("-")."""

    sign: str
    text: str


@dataclass(frozen=True)
class Line:
    """One line: as it stayed (" "), came in ("+"), went out ("-") or was changed ("~"); "…" stands for lines left out."""

    sign: str
    parts: tuple[Part, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All of it."""

    lines: tuple[Line, ...]
    words_in: int
    words_out: int
    is_cut: bool
    """A text was so long that its end was not compared."""

    @property
    def is_same(self) -> bool:
        """No line differs."""
        return not any(line.sign in "+-~" for line in self.lines)


def changes(before: str, after: str) -> Changes:
    """Compare two texts."""
    whole = [text.splitlines() for text in (before, after)]
    old, new = (lines[:MOST_LINES] for lines in whole)
    matcher = SequenceMatcher(None, old, new)
    purse = _Purse(MOST_COMPARED)
    found: list[Line] = []
    for tag, a, to_a, b, to_b in matcher.get_opcodes():
        if tag == "equal":
            found += [_whole(" ", line) for line in old[a:to_a]]
        else:
            found += _replaced(old[a:to_a], new[b:to_b], purse)
    return Changes(
        lines=tuple(_folded(found)),
        words_in=sum(_count(line, "+") for line in found),
        words_out=sum(_count(line, "-") for line in found),
        is_cut=any(len(lines) > MOST_LINES for lines in whole),
    )


@dataclass
class _Purse:
    """What comparing may still cost."""

    left: int

    def spend(self, cost: int) -> bool:
        self.left -= cost
        return self.left >= 0


def _whole(sign: str, text: str) -> Line:
    return Line(sign, (Part(sign, text),))


def _replaced(old: Sequence[str], new: Sequence[str], purse: _Purse) -> Iterator[Line]:
    """Pair lines in their order: what is alike is one line with words marked, the rest goes out and comes in."""
    for before, after in zip(old, new, strict=False):
        parts = _by_words(before, after, purse)
        if parts is None:
            yield _whole("-", before)
            yield _whole("+", after)
        else:
            yield Line("~", parts)
    yield from (_whole("-", line) for line in old[len(new) :])
    yield from (_whole("+", line) for line in new[len(old) :])


def _by_words(before: str, after: str, purse: _Purse) -> tuple[Part, ...] | None:
    """The line with its changed words; None if the two have too little in common, or are too long."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if not (old and new) or max(len(old), len(new)) > MOST_WORDS or not purse.spend(len(old) * len(new)):
        return None
    matcher = SequenceMatcher(None, old, new)
    if matcher.ratio() < LIKE:
        return None
    parts: list[Part] = []
    for tag, a, to_a, b, to_b in matcher.get_opcodes():
        if tag == "equal":
            parts.append(Part(" ", "".join(old[a:to_a])))
            continue
        if to_a > a:
            parts.append(Part("-", "".join(old[a:to_a])))
        if to_b > b:
            parts.append(Part("+", "".join(new[b:to_b])))
    return tuple(parts)


def _count(line: Line, sign: str) -> int:
    return sum(len(part.text.split()) for part in line.parts if part.sign == sign)


def _folded(lines: list[Line]) -> Iterator[Line]:
    """Without the lines that stayed, but for those around what changed."""
    near = {
        place + step
        for place, line in enumerate(lines)
        if line.sign != " "
        for step in range(-AROUND, AROUND + 1)
    }
    left_out = 0
    for place, line in enumerate(lines):
        if place not in near:
            left_out += 1
            continue
        if left_out:
            yield Line("…", left_out=left_out)
            left_out = 0
        yield line
    if left_out:
        yield Line("…", left_out=left_out)
