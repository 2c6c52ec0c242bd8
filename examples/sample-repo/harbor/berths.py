"""Which berth is free for which boat."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


class Full(Exception):
    """No berth of this length is free on these nights."""


@dataclass
class Berth:
    """A place to moor; lengths are metres."""

    name: str
    length: float
    stays: list[tuple[date, date, str]] = field(default_factory=list)

    def is_free(self, arrival: date, departure: date) -> bool:
        """Whether nobody lies here on any night from `arrival` to the one before `departure`."""
        return all(departure <= begun or ended <= arrival for begun, ended, _ in self.stays)


def book(berths: list[Berth], boat: str, length: float, arrival: date, departure: date) -> Berth:
    """Take the shortest berth that fits; raises Full, or ValueError for a stay without a night."""
    if departure <= arrival:
        raise ValueError("a stay needs at least one night")
    fitting = sorted((b for b in berths if b.length >= length), key=lambda berth: berth.length)
    for berth in fitting:
        if berth.is_free(arrival, departure):
            berth.stays.append((arrival, departure, boat))
            return berth
    raise Full(boat)


def release(berths: list[Berth], boat: str) -> int:
    """Cancel all stays of a boat; answers how many there were."""
    removed = 0
    for berth in berths:
        kept = [stay for stay in berth.stays if stay[2] != boat]
        removed += len(berth.stays) - len(kept)
        berth.stays = kept
    return removed
