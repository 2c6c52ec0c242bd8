"""What breaks when: nothing but arithmetic on the seed, so that the same words say the same storm again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tests.chaos.storm.catalogue import KINDS, Kind

FIRST_AT = 4.0
# What the product is left in peace for, after one fault and before the next.
PAUSE = (3.0, 8.0)
OVERLAP = 0.3
AT_ONCE = 3


@dataclass(frozen=True)
class Blow:
    """One fault of a plan."""

    at: float
    """Seconds after the load began."""
    kind: str
    seconds: float
    dice: int
    """What the fault itself throws its dice with: whom it falls upon."""

    @property
    def until(self) -> float:
        """When it is over."""
        return self.at + self.seconds


def plan(seed: int, minutes: float, only: Collection[str] = ()) -> list[Blow]:
    """The blows of a storm, in order; `only` kinds whose names begin with one of these words.

    Kinds are dealt like cards: none comes again before each has come. Now and then one begins while others last,
    but never two that touch the same.
    """
    chance = random.Random(f"{seed}:{minutes:g}:{','.join(sorted(only))}")
    cards = _dealt(chance, chosen(only))
    blows: list[Blow] = []
    at = FIRST_AT
    while True:
        kind = next(cards)
        at = max([at, *(blow.until + 1.0 for blow in blows if KINDS[blow.kind].touches & kind.touches)])
        at = max(at, _room(blows, at))
        seconds = round(chance.uniform(*kind.seconds), 1)
        if at + seconds > minutes * 60:
            return blows
        blows.append(Blow(round(at, 1), kind.name, seconds, chance.getrandbits(32)))
        at = _next(chance, blows)


def chosen(only: Collection[str]) -> list[Kind]:
    """The kinds whose names begin with one of the words, or have it behind a hyphen; all without a word."""
    found = [
        kind
        for kind in KINDS.values()
        if not only or any(kind.name.startswith(word) or f"-{word}" in kind.name for word in only)
    ]
    if not found:
        msg = f"no fault is called one of {', '.join(sorted(only))}; there are {', '.join(KINDS)}"
        raise ValueError(msg)
    return found


def _dealt(chance: random.Random, kinds: list[Kind]) -> Iterator[Kind]:
    while True:
        yield from chance.sample(kinds, len(kinds))


def _room(blows: list[Blow], at: float) -> float:
    """The soonest moment from `at` on at which fewer than three are under way."""
    under_way = sorted(blow.until for blow in blows if blow.until > at)
    return under_way[-AT_ONCE] if len(under_way) >= AT_ONCE else at


def _next(chance: random.Random, blows: list[Blow]) -> float:
    last, pause = blows[-1], chance.uniform(*PAUSE)
    if chance.random() < OVERLAP:
        return last.at + chance.uniform(0.3, max(0.5, last.seconds))
    return max(blow.until for blow in blows) + pause


def told(blows: list[Blow], seed: int, minutes: float) -> str:
    """The plan for people."""
    lines = [f"seed {seed}, {minutes:g} minutes, {len(blows)} faults"]
    lines += [
        f"{blow.at:7.1f} s  {blow.kind:22} {f'{blow.seconds:.1f} s' if blow.seconds else '':7} {KINDS[blow.kind].what}"
        for blow in blows
    ]
    return "\n".join(lines)
