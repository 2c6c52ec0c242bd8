"""Answers of a moment ago: bounded in age, number and size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.polling.recent import Recent


class Wall:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.time = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.time


@pytest.fixture
def wall() -> Wall:
    """The clock of the answers."""
    return Wall()


def counting(size: int = 1) -> Callable[[], bytes]:
    """Makes b"0...", b"1...", … of that size."""
    numbers = iter(range(1000))
    return lambda: str(next(numbers)).encode().ljust(size)


def test_the_same_answer_is_given_again_until_it_is_a_second_old(wall: Wall) -> None:
    recent, make = Recent(now=wall), counting()

    assert [recent.answer("a", make), recent.answer("a", make), recent.answer("b", make)] == [
        b"0",
        b"0",
        b"1",
    ]
    wall.time += 0.99
    assert recent.answer("a", make) == b"0"
    wall.time += 0.01
    assert recent.answer("a", make) == b"2"


@pytest.mark.parametrize(
    ("seconds", "after", "same"), [(0.0, 0.0, False), (0.5, 0.4, True), (0.5, 0.5, False), (60, 1.0, False)]
)
def test_it_may_be_younger_and_never_older(wall: Wall, seconds: float, after: float, same: bool) -> None:
    recent, make = Recent(now=wall), counting()
    recent.answer("a", make, seconds=seconds)
    wall.time += after

    assert (recent.answer("a", make, seconds=seconds) == b"0") is same


def test_its_age_counts_from_before_it_was_made(wall: Wall) -> None:
    recent = Recent(now=wall)

    def slowly() -> bytes:
        wall.time += 5
        return b"old when it came"

    recent.answer("a", slowly)
    assert recent.answer("a", lambda: b"new") == b"new"


def test_the_oldest_make_room_and_what_is_too_old_goes(wall: Wall) -> None:
    recent = Recent(most=2, now=wall)
    for key in "abc":
        recent.answer(key, lambda: b"x")
    assert len(recent) == 2
    assert recent.answer("b", lambda: b"y") == b"x"
    assert recent.answer("a", lambda: b"y") == b"y"

    wall.time += 2
    recent.answer("z", lambda: b"x")
    assert len(recent) == 1


def test_what_is_large_is_not_kept(wall: Wall) -> None:
    recent, make = Recent(largest=10, now=wall), counting(11)

    assert recent.answer("a", make) != recent.answer("a", make)
    assert len(recent) == 0


def test_a_failure_is_not_kept(wall: Wall) -> None:
    recent = Recent(now=wall)
    with pytest.raises(ZeroDivisionError):
        recent.answer("a", lambda: bytes(1 // 0))

    assert recent.answer("a", lambda: b"fine") == b"fine"
