"""Threads that want the same kind of statement at the same moment share one.

Whoever finds nobody at it leads: it asks for all who wait, and those who come meanwhile are the next batch, led by the
first of them. A lone thread pays nothing for it (a batch of one), a busy process settles and claims many jobs for the
price of one round trip and one commit. Where others are known to come within a moment, the leader waits that moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

PATIENCE_SECONDS = 0.003
"""The most that a leader waits for those who are expected."""


class _Waiting(Generic[Question, Answer]):
    def __init__(self, question: Question) -> None:
        self.question = question
        self.over = False
        self.bell = threading.Lock()  # rung when it is answered, when it has to lead, or when all are there
        self.bell.acquire()
        self.answer: Answer
        self.error: BaseException | None = None


def _nobody() -> int:
    return 0


class Together(Generic[Question, Answer]):
    """`ask(question)` as one of a batch; `do` answers a list of questions with a list of answers."""

    def __init__(
        self,
        do: Callable[[list[Question]], list[Answer]],
        most: int = 16,
        *,
        expected: Callable[[], int] = _nobody,
    ) -> None:
        """At most `most` questions go into one `do`; `expected`: how many will probably ask within a moment."""
        self._do, self._most, self._expected = do, most, expected
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[Question, Answer]] = []
        self._led = False
        self._enough = 0
        """How many the leader waits for; 0: it does not."""

    def ask(self, question: Question) -> Answer:
        """The answer to `question`; an exception of `do` reaches everybody of its batch."""
        mine: _Waiting[Question, Answer] = _Waiting(question)
        if not self._come(mine):
            mine.bell.acquire()
        while not mine.over:  # nobody asked for it, so it is for this thread to lead
            self._gather(mine)
            self._serve()
        if mine.error is not None:
            raise mine.error
        return mine.answer

    def _come(self, mine: _Waiting[Question, Answer]) -> bool:
        """Wait with the others; whether there is nobody who leads."""
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
            if self._enough and len(self._waiting) >= self._enough:
                self._enough = 0
                self._waiting[0].bell.release()
        return leads

    def _gather(self, leader: _Waiting[Question, Answer]) -> None:
        """Give those who are expected a moment to come; the leader is the first of those who wait."""
        with self._lock:
            expected = self._expected()
            enough = min(len(self._waiting) + expected, self._most)
            if not expected or len(self._waiting) >= enough:
                return
            self._enough = enough
        leader.bell.acquire(timeout=PATIENCE_SECONDS)
        with self._lock:
            self._enough = 0

    def _serve(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for waiting, answer in zip(batch, self._do([w.question for w in batch]), strict=True):
                waiting.answer = answer
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits
            for waiting in batch:
                waiting.error = error
        finally:
            self._pass_on(batch)

    def _pass_on(self, batch: list[_Waiting[Question, Answer]]) -> None:
        """Wake those who are answered, and the first of those who came meanwhile to lead; the leader was the first."""
        for waiting in batch:
            waiting.over = True
        with self._lock:
            self._led = bool(self._waiting)
            next_leader = self._waiting[:1]
        for waiting in next_leader + batch[1:]:
            waiting.bell.release()
