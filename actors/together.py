"""Threads that want the same kind of statement at the same moment share one.

Whoever finds nobody at it asks for all who wait; those who come meanwhile are the next batch. An idle worker pays
nothing for it (a batch of one), a busy one settles and claims several jobs for the price of one commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class _Waiting(Generic[Question, Answer]):
    def __init__(self, question: Question) -> None:
        self.question = question
        self.taken = False
        self.done = threading.Event()
        self.answer: Answer
        self.error: BaseException | None = None


class Together(Generic[Question, Answer]):
    """`ask(question)` as one of a batch; `do` answers a list of questions with a list of answers."""

    def __init__(self, do: Callable[[list[Question]], list[Answer]], most: int = 16) -> None:
        """At most `most` questions go into one `do`."""
        self._do, self._most = do, most
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting[Question, Answer]] = []

    def ask(self, question: Question) -> Answer:
        """The answer to `question`; an exception of `do` reaches everybody of its batch."""
        mine: _Waiting[Question, Answer] = _Waiting(question)
        with self._lock:
            self._waiting.append(mine)
        while not mine.taken:
            with self._turn:
                if not mine.taken:
                    self._serve()
        mine.done.wait()
        if mine.error is not None:
            raise mine.error
        return mine.answer

    def _serve(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            for waiting in batch:
                waiting.taken = True
        if not batch:  # another took ours between our look and our turn
            return
        try:
            for waiting, answer in zip(batch, self._do([w.question for w in batch]), strict=True):
                waiting.answer = answer
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits
            for waiting in batch:
                waiting.error = error
        finally:
            for waiting in batch:
                waiting.done.set()
