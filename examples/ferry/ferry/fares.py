"""What a seat costs, in cents."""

from __future__ import annotations

from ferry.timetable import Sailing, next_sailing

FULL = 850


def fare(sailing: Sailing, age: int = 30) -> int:
    """The fare for one; children under 6 go free."""
    if age < 6:
        return 0
    price = FULL // 2 if age < 15 else FULL
    return price + 300 if sailing.is_late() else price


def cheapest() -> int:
    """What the next sailing costs an adult."""
    return fare(next_sailing())


def split(total: int, people: int) -> list[int]:
    """Shares of `total` that differ by a cent at most."""
    share, rest = divmod(total, people)
    return [share + (at < rest) for at in range(min(people, 1000))]
