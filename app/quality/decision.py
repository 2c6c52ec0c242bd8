"""What follows from the score of a draft: pure, and the same whoever asks, so that a later attempt goes the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Verdict = Literal["passed", "revise", "needs_review", "rejected"]

MOST_ASK_BACKS = 10
HARDLY = 1e-9  # scores are decimals that binary does not hold


@dataclass(frozen=True)
class Rules:
    """What a gate says of the drafts after the first."""

    refinements: int
    """So many more drafts at most, while the gate alone decides."""
    min_gain: float
    """A refinement that gained less is the last one; 0: every one is worth it."""
    otherwise: Literal["needs_review", "rejected"]
    """What becomes of a draft that does not pass when there is nothing left to try."""


@dataclass(frozen=True)
class Judged:
    """One draft as far as decisions go."""

    number: int
    score: float | None
    """None: no check ran."""
    passed: bool
    source: str = "agent"
    verdict: str | None = None
    """What was decided after it; None: that is the question."""


def verdict_on(draft: Judged, before: Sequence[Judged], rules: Rules) -> Verdict:
    """What follows from `draft`, which came after `before`.

    Where no check could be made of any draft, a person is asked: that is no rejection, whatever the gate says.
    What a person wrote is accepted. Who sent a draft back sees the next one, whatever its score: no check knows
    whether it does what they asked for.
    """
    if draft.source == "person":
        return "passed"
    if any(each.verdict == "needs_review" for each in before):
        return "needs_review"
    if draft.passed:
        return "passed"
    if len(before) < rules.refinements and _worth_it(draft, before, rules.min_gain):
        return "revise"
    if all(each.score is None for each in (draft, *before)):
        return "needs_review"
    return rules.otherwise


def _worth_it(draft: Judged, before: Sequence[Judged], min_gain: float) -> bool:
    """Whether another refinement may help: something was found out, and the last one brought enough."""
    scores = [each.score for each in before if each.score is not None]
    if draft.score is None:
        return False
    if not scores or not min_gain:
        return True
    return draft.score - max(scores) >= min_gain - HARDLY


def best(drafts: Sequence[Judged]) -> Judged:
    """The one to keep: one that passed, else the highest score; of equals the later, which knew more."""
    return max(
        drafts, key=lambda each: (each.passed, -1.0 if each.score is None else each.score, each.number)
    )


def shown(drafts: Sequence[Judged]) -> Judged:
    """The one a person is asked about: the best of those they have not seen."""
    seen = max((each.number for each in drafts[:-1] if each.verdict == "needs_review"), default=0)
    return best([each for each in drafts if each.number > seen])


def ask_backs(drafts: Sequence[Judged]) -> int:
    """How many drafts were made because a person sent one back."""
    return sum(
        before.verdict == "needs_review" and after.source == "agent" for before, after in pairwise(drafts)
    )


def options(drafts: Sequence[Judged], *, can_do_better: bool) -> tuple[str, ...]:
    """What the person may do: send it back only to whoever can make another draft, and not for ever."""
    again = can_do_better and ask_backs(drafts) < MOST_ASK_BACKS
    return ("approve", "reject", "edit", "ask_back") if again else ("approve", "reject", "edit")
