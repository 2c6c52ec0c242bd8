"""Seats and what is printed on a ticket."""

from __future__ import annotations


class NoSuchSeat(ValueError):
    """There is no seat of this name."""


def row_of(seat: str) -> int:
    """The row of a seat such as `12C`."""
    if seat[-1] not in "ABCD":
        raise NoSuchSeat(seat)
    return int(seat[:-1])


def is_window(letter: str) -> bool:
    """Whether a seat is at the window."""
    return letter in ("A", "D")


def label(row: int, letter: str) -> str:
    """What is printed on the ticket."""
    return f"{row:02d}{letter}"
