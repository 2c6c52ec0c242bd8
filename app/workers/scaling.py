"""How many worker processes are right: pure figures in, a number and the reason in words out.

Grown: by 5 for each full thousand that waits; by as many as what waits needs to be done within a minute, at the pace
of late; by one when work waits too long, or when more than 70 % of the seats were busy for 5 minutes. Shrunk: by one
at a time, after 15 minutes with less than 30 % busy and nothing waiting, and never below what runs. Between two
decisions lies a cool-down, so that the number does not go up and down with every look.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SMALLEST, LARGEST = 5, 50
STEP, BACKLOG = 5, 1000
HOT, CALM = 0.7, 0.3
HOT_SECONDS, CALM_SECONDS = 300.0, 900.0
COOLDOWN = 60.0
TOO_LONG_SECONDS = 30.0
"""Work that waits for so long asks for one worker more: critical jobs are to start within that."""
DRAIN_SECONDS = 60.0
"""What waits should be done within so long, at the pace of late."""
USUAL_SEATS = 8
MOST = 1000

_RANGE = re.compile(r"(?P<least>\d{1,4})(?:\.\.(?P<most>\d{1,4}))?")


@dataclass(frozen=True)
class Bounds:
    """The least and the most worker processes there may be."""

    smallest: int = SMALLEST
    largest: int = LARGEST

    @property
    def is_fixed(self) -> bool:
        """One number: nothing is to be decided."""
        return self.smallest == self.largest

    def within(self, amount: int) -> int:
        """The nearest number that is allowed."""
        return max(self.smallest, min(self.largest, amount))


def bounds_of(text: str) -> Bounds:
    """`1..8` or `3`, which is 3..3. Raises ValueError with what is wrong."""
    found = _RANGE.fullmatch(text.strip())
    if not found:
        msg = f"{text!r} is no number of workers: write 4, or 1..8 for as many as the backlog asks for"
        raise ValueError(msg)
    least = int(found["least"])
    most = int(found["most"] or least)
    if not 1 <= least <= most <= MOST:
        msg = f"{text!r}: the least must be at least 1, and the most neither below it nor above {MOST}"
        raise ValueError(msg)
    return Bounds(least, most)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How things stand, of one pool or of all."""

    workers: int = 0
    """Processes that take work."""
    capacity: int = 0
    """Their seats together."""
    running: int = 0
    waiting: int = 0
    """Jobs that could be claimed at once if a seat were free."""
    oldest_seconds: float = 0.0
    mean_seconds: float | None = None
    """How long a job of late took; None: none ended."""
    hot_seconds: float = 0.0
    """For how long more than HOT of the seats have been busy."""
    calm_seconds: float = 0.0
    """For how long less than CALM of them have been, while nothing waited."""

    @property
    def seats(self) -> float:
        """Of one worker."""
        return self.capacity / self.workers if self.workers and self.capacity else USUAL_SEATS

    @property
    def busy(self) -> float:
        """Share of the seats that work."""
        return min(1.0, self.running / self.capacity) if self.capacity else 0.0

    @property
    def is_calm(self) -> bool:
        """Nothing waits, and little runs."""
        return not self.waiting and self.busy < CALM


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was decided last, and how long ago it changed."""

    wanted: int
    changed_seconds: float
    grew_seconds: float
    """Since it last became more."""


@dataclass(frozen=True)
class Pace:
    """How soon the number may change again, and after how long a calm it becomes less."""

    cooldown: float = COOLDOWN
    calm_seconds: float = CALM_SECONDS


USUAL = Pace()


@dataclass(frozen=True)
class Decision:
    """A number of workers, and why."""

    wanted: int
    why: str


def decide(seen: Seen, bounds: Bounds, before: Before | None = None, pace: Pace = USUAL) -> Decision:
    """How many workers are right now; `before` None: nothing was decided yet, so what is there counts."""
    base = bounds.within(before.wanted if before else max(seen.workers, 1))
    floor = bounds.within(math.ceil(seen.running / seen.seats))
    if base < floor:
        return Decision(floor, f"{seen.running:,} jobs run and need so many")
    if before and before.changed_seconds < pace.cooldown:
        return Decision(base, "it changed a moment ago")
    more, why = _grown(seen, base)
    if more > base:
        return Decision(bounds.within(more), why if base < bounds.largest else _kept(seen, bounds, base))
    if base > floor and _may_shrink(seen, base, before, pace):
        quiet = (
            f"nothing waits and less than {CALM:.0%} of the seats were busy for {_minutes(pace.calm_seconds)}"
        )
        return Decision(base - 1, f"{quiet}, so one can go")
    return Decision(base, _kept(seen, bounds, base))


def _grown(seen: Seen, base: int) -> tuple[int, str]:
    """The most that anything asks for; more waiting never asks for less."""
    if not seen.waiting:
        hot = seen.hot_seconds >= HOT_SECONDS
        return base + hot, f"more than {HOT:.0%} of the seats were busy for {_minutes(HOT_SECONDS)}"
    wishes = [(base, "")]
    if thousands := seen.waiting // BACKLOG:
        each = f"{STEP} more" if thousands == 1 else f"{STEP} more each"
        wishes.append(
            (base + STEP * thousands, f"{seen.waiting:,} jobs wait, and a full thousand asks for {each}")
        )
    if seen.mean_seconds:
        seats = seen.running + seen.waiting * seen.mean_seconds / DRAIN_SECONDS
        pace = f"{seen.waiting:,} jobs wait, of {seen.mean_seconds:.3g} s each of late: so many do them in {_minutes(DRAIN_SECONDS)}"
        wishes.append((math.ceil(seats / seen.seats), pace))
    if seen.oldest_seconds > TOO_LONG_SECONDS:
        wishes.append(
            (base + 1, f"the oldest of {seen.waiting:,} jobs waits for {seen.oldest_seconds:,.0f} s")
        )
    if seen.hot_seconds >= HOT_SECONDS:
        wishes.append((base + 1, f"more than {HOT:.0%} of the seats were busy for {_minutes(HOT_SECONDS)}"))
    return max(wishes, key=lambda wish: wish[0])


def _may_shrink(seen: Seen, base: int, before: Before | None, pace: Pace) -> bool:
    """Whether it has been quiet for long, and one less would be well below what makes them more again."""
    if not seen.is_calm or seen.calm_seconds < pace.calm_seconds:
        return False
    if before and (before.grew_seconds < pace.calm_seconds or before.changed_seconds < pace.cooldown):
        return False
    return seen.running <= (HOT + CALM) / 2 * (base - 1) * seen.seats


def _kept(seen: Seen, bounds: Bounds, base: int) -> str:
    if base == bounds.largest and seen.waiting:
        return f"it is the most that is allowed; {seen.waiting:,} jobs wait"
    if base == bounds.smallest:
        return f"it is the least, and {_waiting(seen)}"
    return f"{_waiting(seen)}, and {seen.busy:.0%} of the seats are busy"


def _waiting(seen: Seen) -> str:
    return f"{seen.waiting:,} jobs wait" if seen.waiting else "nothing waits"


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} seconds"
    return "a minute" if seconds == 60 else f"{seconds / 60:g} minutes"
