"""When the ferry sails."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_HOUR = 6
LAST_HOUR = 22


@dataclass(frozen=True)
class Sailing:
    """One crossing; `hour` is when it leaves."""

    harbour: str
    hour: int
    seats: int = 40

    def is_late(self) -> bool:
        """Whether the night fare is due."""
        return self.hour >= 20


def sailings(harbour: str = "Northport", every: int = 4) -> list[Sailing]:
    """The sailings of a day."""
    return [Sailing(harbour, hour) for hour in range(FIRST_HOUR, LAST_HOUR + 1, every)]


def next_sailing(hour: int = 12) -> Sailing:
    """The first sailing at or after `hour`; tomorrow's first if there is none."""
    day = sailings()
    return next((sailing for sailing in day if sailing.hour >= hour), day[0])
