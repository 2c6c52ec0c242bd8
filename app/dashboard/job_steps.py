"""The way of a job from submission to its end: its states in words, and how long it was in each."""

from __future__ import annotations

from itertools import pairwise

from app.dashboard.words import STATES, Look, look, reason
from app.db import Row
from app.jobs.queries import HOLDS

# The steps that are still to come, by status.
AHEAD = {
    "pending": ("Queued", "Running", "Finished"),
    "queued": ("Running", "Finished"),
    "running": ("Finished",),
    "retry": ("Running", "Finished"),
    "awaiting_input": ("Running", "Finished"),
}
MOST = 11
VERBS = {"running": "ran", "awaiting_input": "asked for"}

_LOST = Look("Worker lost", "bolt", "amber")
_BACK = Look("Handed back", "again", "grey")
_HELD = Look("Held", "pause", "amber")
_AGAIN = Look("Waits to retry", "again", "amber")
_ASKED = Look("Asked a person", "hand", "violet")
_SUBMITTED = Look("Submitted", "circle", "grey")

# What happened to an attempt is said by the reason of the move that ended it.
_BY_REASON = {"lost_worker": _LOST, "released": _BACK} | dict.fromkeys(map(str, HOLDS), _HELD)


def steps(history: list[Row]) -> list[Row]:
    """Each {look, at, words, attempt, verb, left_at, seconds, skipped}: the first and, after many rounds, the last ten.

    `seconds` is how long it was in that state, never less than nothing, however clocks went; None while it is.
    """
    all_steps = [_step(move, is_first=at == 0) for at, move in enumerate(history)]
    for step, following in pairwise(all_steps):
        step["left_at"] = following["at"]
        step["seconds"] = max(0.0, (following["at"] - step["at"]).total_seconds())
    if len(all_steps) <= MOST:
        return all_steps
    all_steps[0]["skipped"] = len(all_steps) - MOST
    return [all_steps[0], *all_steps[1 - MOST :]]


def _step(move: Row, *, is_first: bool) -> Row:
    status = move["to_status"]
    return {
        "status": status,
        "look": _look(status, move["reason"], is_first),
        "at": move["at"],
        "words": reason(move["reason"]),
        "attempt": move["attempt"] if status == "running" else None,
        "verb": VERBS.get(status, "waited"),
        "left_at": None,
        "seconds": None,
        "skipped": 0,
    }


def _look(status: str, why: str | None, is_first: bool) -> Look:
    if is_first and status == "pending":
        return _SUBMITTED
    if status in ("queued", "retry") and why in _BY_REASON:
        return _BY_REASON[why]
    if status == "retry":
        return _AGAIN
    return _ASKED if status == "awaiting_input" else look(status, STATES)
