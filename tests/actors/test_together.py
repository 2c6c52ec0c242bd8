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


def test_those_who_wait_go_together_and_nobody_asks_for_nothing() -> None:
    gate, batches = threading.Event(), []  # type: ignore[var-annotated]

    def do(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        gate.wait(10)
        return numbers

    asked = Together(do, most=16)
    with ThreadPoolExecutor(10) as threads:
        answers = [threads.submit(asked.ask, n) for n in range(10)]
        until(lambda: len(batches) == 3 and len(asked._waiting) == 7)
        gate.set()
        assert sorted(a.result(10) for a in answers) == list(range(10))
    assert all(batches)
    assert len(batches) == 4


def test_no_batch_is_larger_than_the_most() -> None:
    gate, batches = threading.Event(), []  # type: ignore[var-annotated]

    def do(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        gate.wait(10)
        return numbers

    asked = Together(do, most=2)
    with ThreadPoolExecutor(9) as threads:
        answers = [threads.submit(asked.ask, n) for n in range(9)]
        until(lambda: len(batches) == 3)
        gate.set()
        assert sorted(a.result(10) for a in answers) == list(range(9))
    assert max(map(len, batches)) == 2


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
