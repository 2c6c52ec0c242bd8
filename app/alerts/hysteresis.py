"""When a figure that is wrong becomes an alert, and when the alert is over. Pure: times and figures in, a step out.

    right ──wrong──► suspected ──wrong for `hold`──► raised ──right──► calming ──right for `calm`──► resolved
      ▲                  │                             ▲                  │
      └──────right───────┘                             └──────wrong───────┘

A figure at the edge of its threshold, now over it and now under, is neither raised again and again nor resolved
again and again. Only what was seen counts: after a silence of nobody looking, `hold` and `calm` begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

# Looks are some seconds apart; a longer silence means that nobody looked.
SILENCE = timedelta(seconds=90)


class Step(Enum):
    """What is to be done about one subject of one rule after a look."""

    NOTHING = "nothing"
    SUSPECT = "suspect"
    """Remember since when it is wrong."""
    DROP = "drop"
    """It was wrong for a moment only; forget it."""
    RAISE = "raise"
    WORRY = "worry"
    """It goes on being wrong."""
    CALM = "calm"
    """It is right, but not for long enough yet."""
    RESOLVE = "resolve"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a subject from before."""

    wrong_since: datetime
    seen_at: datetime
    raised_at: datetime | None = None
    calm_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a figure must be wrong to be said so, and right to be over."""

    hold: timedelta
    calm: timedelta


def step(before: Seen | None, *, wrong: bool, at: datetime, patience: Patience) -> Step:
    """What follows from one more look at `at`."""
    if before is None:
        return _first(wrong=wrong, patience=patience)
    if before.raised_at is None:
        return _suspected(before, wrong=wrong, at=at, patience=patience)
    if wrong:
        return Step.WORRY
    since = calm_since(before, at)
    return Step.RESOLVE if at - since >= patience.calm else Step.CALM


def _first(*, wrong: bool, patience: Patience) -> Step:
    if not wrong:
        return Step.NOTHING
    return Step.SUSPECT if patience.hold else Step.RAISE


def _suspected(before: Seen, *, wrong: bool, at: datetime, patience: Patience) -> Step:
    if not wrong:
        return Step.DROP
    return Step.RAISE if at - wrong_since(before, at) >= patience.hold else Step.SUSPECT


def wrong_since(before: Seen | None, at: datetime) -> datetime:
    """Since when it is known to be wrong without a break, if it is wrong at `at`."""
    if before is None or (before.raised_at is None and at - before.seen_at > SILENCE):
        return at
    return before.wrong_since


def calm_since(before: Seen, at: datetime) -> datetime:
    """Since when it is known to be right without a break, if it is right at `at`."""
    if before.calm_since is None or at - before.seen_at > SILENCE:
        return at
    return before.calm_since
