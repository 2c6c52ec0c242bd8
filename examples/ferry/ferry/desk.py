"""The desk sells tickets: it asks all the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from ferry import fares, seats
from ferry.timetable import Sailing, next_sailing


@dataclass
class Ticket:
    """One sold seat."""

    sailing: Sailing
    seat: str
    cents: int
    names: list[str] = field(default_factory=list)


def sell(age: int = 30, row: int = 1, letter: str = "A") -> Ticket:
    """A seat on the next sailing."""
    sailing = next_sailing()
    return Ticket(sailing, seats.label(row, letter), fares.fare(sailing, age))


def day_ticket() -> int:
    """There and back."""
    return 2 * fares.cheapest()


def window_seats(tickets: list[Ticket]) -> int:
    """How many of the tickets are at the window."""
    return sum(seats.is_window(ticket.seat[-1]) for ticket in tickets)
