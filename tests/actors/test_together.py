"""Threads that ask at the same moment share a statement."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.together import Together
from tests.waiting import until


def test_everybody_gets_their_own_answer() -> None:
    doubled = Together(lambda numbers: [2 * n for n in numbers])
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(doubled.ask, range(200))) == [2 * n for n in range(200)]


def test_a_lone_question_is_a_batch_of_one() -> None:
    batches: list[list[int]] = []
    asked = Together(lambda numbers: batches.append(numbers) or numbers)
    assert asked.ask(1) == 1
    assert batches == [[1]]


class Gated:
    """A statement that everybody waits for until the gate opens; keeps the batches it got."""

    def __init__(self, most: int) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []
        self.asked = Together(self._do, most=most)

    def _do(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        self.gate.wait(10)
        return numbers

    def ask_all(self, count: int) -> list[int]:
        """Ask from so many threads; the gate opens when the first batch is under way and everybody else waits."""
        with ThreadPoolExecutor(count) as threads:
            answers = [threads.submit(self.asked.ask, n) for n in range(count)]
            try:
                until(lambda: self.batches)
                until(lambda: len(self.asked._waiting) == count - sum(map(len, self.batches)))
            finally:
                self.gate.set()
            return sorted(answer.result(10) for answer in answers)


def test_those_who_wait_go_together_and_nobody_asks_for_nothing() -> None:
    gated = Gated(most=16)
    assert gated.ask_all(10) == list(range(10))
    assert all(gated.batches)
    assert len(gated.batches) <= 2


def test_no_batch_is_larger_than_the_most() -> None:
    gated = Gated(most=2)
    assert gated.ask_all(9) == list(range(9))
    assert max(map(len, gated.batches)) == 2


def test_an_error_reaches_everybody_of_its_batch_and_the_next_goes_on() -> None:
    fail = [True]

    def do(numbers: list[int]) -> list[int]:
        if fail.pop() if fail else False:
            raise ConnectionError("away")
        return numbers

    asked = Together(do)
    with pytest.raises(ConnectionError):
        asked.ask(1)
    assert asked.ask(2) == 2


def test_who_is_expected_and_does_not_come_holds_nobody_up() -> None:
    asked = Together(lambda numbers: numbers, expected=lambda: 5)
    assert [asked.ask(n) for n in range(3)] == [0, 1, 2]


def test_all_who_are_expected_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.together.PATIENCE_SECONDS", 10)
    batches: list[list[int]] = []
    asked = Together(
        lambda numbers: batches.append(sorted(numbers)) or numbers,
        expected=lambda: 3 - len(asked._waiting),
    )
    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(asked.ask, [1, 2, 3])) == [1, 2, 3]
    assert batches == [[1, 2, 3]]
